"""A page on another port follows a session, because it is in `allowed_origins`.

    uvicorn examples.other_origin:app
    python -m http.server 3000 --directory examples

The first prints the page's address.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from fastapi import FastAPI

from agentprogress import ProgressSession, SessionRegistry
from agentprogress.asgi import ProgressApp

SERVER = os.environ.get("SERVER", "http://localhost:8000")
PAGE = os.environ.get("PAGE", "http://localhost:3000")

registry = SessionRegistry()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    async with registry:
        handle = registry.start(work, title="Report").handle()
        print(f"{PAGE}/page.html?session={SERVER}{handle['url']}")
        print(f"To cancel it: {handle['control_token']}", flush=True)
        yield


async def work(session: ProgressSession) -> None:
    with session.phase("research", total=600, unit="second") as phase:
        for _ in range(600):
            await anyio.sleep(1)  # the real work
            phase.advance()


app = FastAPI(lifespan=lifespan)
app.mount("/progress", ProgressApp(registry, allowed_origins=(PAGE,)))
