"""Progress in Starlette: start it with `uvicorn examples.starlette_app:app`."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from agentprogress import ProgressSession, SessionRegistry
from agentprogress.starlette import progress_lifespan, progress_routes

registry = SessionRegistry()


async def count(session: ProgressSession, to: int) -> int:
    with session.phase("count", total=to) as phase:
        for number in range(to):
            phase.advance(message=f"{number + 1}")
    return to


async def create_run(request: Request) -> JSONResponse:
    return JSONResponse(registry.start(count, 3, title="Count").handle(), status_code=202)


routes = [
    Route("/runs", create_run, methods=["POST"]),
    Mount("/progress", routes=progress_routes(registry)),
]
app = Starlette(routes=routes, lifespan=progress_lifespan(registry))
