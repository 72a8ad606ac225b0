"""What a case has: a registry that is served, and pages of a real browser that follow it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any
from urllib.parse import quote, urlsplit

import anyio
from playwright.async_api import BrowserContext
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Mount

from agentprogress import ProgressSession, SessionRegistry
from agentprogress.asgi import ProgressApp
from agentprogress.testing import FaultProxy, Faults
from tests.http.peers import App, serving
from tests.kit import entered

from .tab import PACKAGE, PAGES_AT, Tab, file_at, pages_for

__all__ = [
    "PACKAGE",
    "Site",
    "Tab",
    "Tabs",
    "cut_off",
    "page_url",
    "serving_site",
    "until",
]

# Where docs/servers.md has the application.
MOUNTED_AT = "/progress"


class Tabs:
    """Opens pages of one browser context. They are at whatever origin follows; no server has them.

    Attributes:
        uncaught: what was thrown in them and caught by nobody.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.uncaught: list[str] = []
        self.warnings: list[str] = []
        context.on(
            "weberror",
            lambda error: self.uncaught.append(str(error.error)),
        )
        context.on("console", self._heard)

    def _heard(self, message: Any) -> None:
        if message.type == "warning":
            self.warnings.append(message.text)

    async def open(
        self, src: str, *, at: str | None = None, clock: bool = False, **options: Any
    ) -> Tab:
        """Opens a page that follows a session.

        Args:
            src: the session's URL.
            at: an origin that has the page; the session's own by default, which need not.
            clock: whether the page's time may be moved.
            options: of the client; `tokens` are what its function gives one after the other,
                `random` is what all delays are drawn by, `idle` has nobody subscribed, `throws`
                names a callback that throws.
        """
        page = await self.context.new_page()
        if clock:
            await page.clock.install()
        async with pages_for(page) if at is None else nullcontext():
            await page.goto(page_url(src, at, **options))
        return Tab(page)


@asynccontextmanager
async def cut_off(proxy: FaultProxy) -> AsyncGenerator[None]:
    """Cuts all connections and lets none in until the block is left.

    A browser repeats by itself a request that was cut before its answer, if it can.
    """
    proxy.plan = Faults(refuse=True)
    await proxy.cut_all()
    yield
    proxy.plan = Faults()


def page_url(src: str, at: str | None = None, **options: Any) -> str:
    """Returns where the page is that follows a session; arguments are those of `Tabs.open`."""
    query = quote(json.dumps({"src": src, **options}))
    return f"{at or _origin_of(src)}/pages/follow.html?{query}"


async def until(condition: Callable[[], object]) -> None:
    """Waits until something is true on this side, of which nobody tells."""
    with anyio.fail_after(30):
        while not condition():
            await anyio.lowlevel.checkpoint()


def _origin_of(url: str) -> str:
    """Returns what stands before the path."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


class Site:
    """A registry on a real server, and pages that follow it.

    Attributes:
        address: the server's origin.
        joins: the targets of all requests to follow, in order.
    """

    def __init__(
        self, registry: SessionRegistry, tabs: Tabs, address: str, joins: list[str]
    ) -> None:
        self.registry = registry
        self.tabs = tabs
        self.address = address
        self.joins = joins
        self._blocks: dict[str, AbstractContextManager[ProgressSession]] = {}

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        port = urlsplit(self.address).port
        assert port is not None
        return port

    def url(self, session: ProgressSession, origin: str | None = None) -> str:
        """Returns where a session is followed."""
        return f"{(origin or self.address).rstrip('/')}{MOUNTED_AT}/sessions/{session.id}"

    def begin(self, **options: Any) -> ProgressSession:
        """Opens a session that runs until `end`."""
        block = self.registry.open(**options)
        session = entered(block)
        self._blocks[session.id] = block
        return session

    def end(self, session: ProgressSession, result: Any = None) -> None:
        """Completes a session."""
        session.complete(result)
        self._blocks.pop(session.id).__exit__(None, None, None)

    def subscribers(self, session: ProgressSession) -> int:
        """Returns how many follow a session."""
        return self.registry.get(session.id).subscribers

    async def until_followed(self, session: ProgressSession, by: int = 1) -> None:
        """Waits until so many connections follow a session: one that polls has none in between."""
        await until(lambda: self.subscribers(session) == by)

    async def open(self, session: ProgressSession, **options: Any) -> Tab:
        """Opens a page that follows a session; options are those of `Tabs.open`."""
        return await self.tabs.open(self.url(session), **options)


@asynccontextmanager
async def serving_site(
    registry: SessionRegistry, tabs: Tabs, **options: Any
) -> AsyncGenerator[Site]:
    """Serves a registry until the block is left; options are those of the application."""
    joins: list[str] = []
    async with serving(_site(ProgressApp(registry, **options), joins)) as address:
        try:
            yield Site(registry, tabs, address, joins)
        finally:
            # A server waits for those who follow.
            for page in tabs.context.pages:
                await page.close()


def _site(app: ProgressApp, joins: list[str]) -> App:
    """Returns the application, mounted, with the pages beside it; who joins is written down."""

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        route = scope["path"].rpartition("/")[2]
        if route in ("ws", "events", "page"):
            joins.append(f"{route}?{scope['query_string'].decode()}".rstrip("?"))
        await app(scope, receive, send)

    async def pages(scope: Any, receive: Any, send: Any) -> None:
        await FileResponse(file_at(scope["path"]))(scope, receive, send)

    return Starlette(routes=[Mount(MOUNTED_AT, noting), Mount(PAGES_AT, pages)])
