"""A service that answers POST /runs at once: start it with `uvicorn examples.fastapi_app:app`."""

import anyio
from fastapi import FastAPI

from agentprogress import ProgressSession, SessionHandle, SessionRegistry
from agentprogress.asgi import ProgressApp

registry = SessionRegistry()
app = FastAPI()
app.mount("/progress", ProgressApp(registry))


async def write_report(session: ProgressSession, topic: str) -> dict[str, str]:
    with session.phase("research", total=3, unit="source") as phase:
        for source in ("filings", "news", "prices"):
            await anyio.sleep(0.1)  # the real work
            phase.advance(message=f"read {source}")
    return {"topic": topic}


@app.post("/runs", status_code=202)
async def create_run(topic: str) -> SessionHandle:
    session = registry.start(write_report, topic, title=f"Report on {topic}")
    return session.handle()
