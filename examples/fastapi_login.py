"""Progress behind the login that an application already has.

Start it with `uvicorn examples.fastapi_login:app`. `fastapi_owners.py` goes one step further.
"""

from typing import Annotated

import anyio
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from agentprogress import ProgressSession, SessionHandle, SessionRegistry
from agentprogress.starlette import progress_router

LOGINS = {"login-of-ann": "ann", "login-of-bob": "bob"}  # in place of a database
bearer = HTTPBearer(auto_error=False)
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


def current_user(request: Request, sent: Bearer) -> str:
    """As it stands before the application's other routes: a cookie or a bearer."""
    login = request.cookies.get("login") or (sent.credentials if sent else "")
    user = LOGINS.get(login)
    if user is None:
        raise HTTPException(401, "Log in first.")
    request.state.user = user
    return user


registry = SessionRegistry()
app = FastAPI()
# Every route, the WebSocket included. Whoever is logged in may follow a session whose id they know.
app.include_router(
    progress_router(registry, dependencies=[Depends(current_user)]), prefix="/progress"
)


@app.post("/runs", status_code=202)
async def create_run(user: Annotated[str, Depends(current_user)]) -> SessionHandle:
    return registry.start(work, title="Report", owner=user).handle()


async def work(session: ProgressSession) -> None:
    with session.phase("research", total=3) as phase:
        for _ in range(3):
            await anyio.sleep(0.1)  # the real work
            phase.advance()
