"""The backend of the React example: `uvicorn examples.react.server:app` from the project's folder.

Once `npm run build` has made them, it serves the example's pages as well.
"""

from pathlib import Path
from typing import Literal, TypedDict

import anyio
from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from agentprogress import ProgressSession, SessionHandle, SessionRegistry
from agentprogress.asgi import ProgressApp

PAGES = Path(__file__).parent / "dist"
SOURCES = ("annual report", "earnings call", "press", "patents", "job offers", "prices")
DRAFT = (
    "Sales grew by a tenth, and most of it came from repeat customers. Costs grew more slowly. "
    "The order book covers the next two quarters; what is open is the price of energy."
)


class Report(TypedDict):
    topic: str
    words: int
    published: bool


def create_app(pace: float = 0.4, pages: Path = PAGES) -> FastAPI:
    """Makes the application; `pace` is how many seconds each piece of work takes."""
    registry = SessionRegistry()
    app = FastAPI()

    @app.post("/jobs", status_code=202)
    async def create_job(topic: str) -> SessionHandle:
        title = f"Report on {topic}"
        plan = ["research", "write", "review"]
        return registry.start(write_report, topic, pace, title=title, plan=plan).handle()

    app.mount("/progress", ProgressApp(registry))
    app.mount("/", StaticFiles(directory=pages, html=True, check_dir=False))
    return app


async def write_report(session: ProgressSession, topic: str, pace: float) -> Report:
    with session.phase("research", total=len(SOURCES), unit="sources") as research:
        for source in SOURCES:
            with research.tool(f"read {source}", input={"topic": topic}):
                await anyio.sleep(pace)
            research.advance(message=source)
            session.log(f"read the {source}")
    words = DRAFT.split()
    with (
        session.phase("write", total=len(words), unit="words") as writing,
        writing.agent("writer") as writer,
        writer.text(channel="answer") as text,
    ):
        for word in words:
            await anyio.sleep(pace / 4)
            text.write(f"{word} ")
            writing.advance()
    with session.phase("review"):
        verdict = await session.request_input("Publish the report?", Literal["publish", "discard"])
    return {"topic": topic, "words": len(words), "published": verdict == "publish"}


app = create_app()
