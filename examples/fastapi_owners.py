"""The same login, and a rule: sessions are followed, controlled and listed by their owners only.

Start it with `uvicorn examples.fastapi_owners:app`.
"""

from typing import Annotated

from fastapi import Depends, FastAPI

from agentprogress import SessionHandle, SessionRegistry
from agentprogress.access import Access, AccessRequest
from agentprogress.starlette import progress_router

from .fastapi_login import current_user, work


def owners_only(request: AccessRequest) -> Access | None:
    user = request.connection.state["user"]  # where current_user has left it
    if request.action == "list":
        return Access(user, frozenset({"list"}))
    if request.session is None or request.session.owner != user:
        return None
    return Access(user, frozenset({"follow", "control"}))


registry = SessionRegistry()
app = FastAPI()
app.include_router(
    progress_router(registry, owners_only, [Depends(current_user)]), prefix="/progress"
)


@app.post("/runs/{name}", status_code=202)
async def create_run(name: str, user: Annotated[str, Depends(current_user)]) -> SessionHandle:
    # With a rule of its own an application may choose ids that can be guessed.
    return registry.start(work, session_id=name, owner=user).handle()
