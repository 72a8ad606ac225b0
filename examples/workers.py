"""Several workers behind one address: start it with `uvicorn examples.workers:app --workers 2`.

A run lives in the worker that was asked for it, and is followed through any of them.
"""

import os

import anyio
from fastapi import FastAPI

from agentprogress import ProgressSession, SessionHandle, SessionRegistry
from agentprogress.asgi import ProgressApp

registry = SessionRegistry(store=os.environ.get("AGENTPROGRESS_STORE", "sqlite:///progress.db"))
app = FastAPI()
app.mount("/progress", ProgressApp(registry))


async def count(session: ProgressSession, to: int) -> int:
    with session.phase("count", total=to) as phase:
        for _ in range(to):
            await anyio.sleep(0.1)  # the real work
            phase.advance()
    session.log("counted", pid=os.getpid())
    return to


@app.post("/runs", status_code=202)
async def create_run() -> SessionHandle:
    return registry.start(count, 3, title="Count").handle()
