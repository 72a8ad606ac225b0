"""Progress in aiohttp: start it with `python -m examples.aiohttp_app`."""

import os

from aiohttp import web

from agentprogress import ProgressSession, SessionRegistry
from agentprogress.aiohttp import add_progress_routes

registry = SessionRegistry()


async def count(session: ProgressSession, to: int) -> int:
    with session.phase("count", total=to) as phase:
        for number in range(to):
            phase.advance(message=f"{number + 1}")
    return to


async def create_run(request: web.Request) -> web.Response:
    return web.json_response(registry.start(count, 3, title="Count").handle(), status=202)


app = web.Application()
app.router.add_post("/runs", create_run)
add_progress_routes(app, registry)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
