"""The element in each of its states, which the story's session and a real server bring about."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import anyio
from playwright.async_api import BrowserContext, Page, WebSocketRoute, expect

from agentprogress import ProgressSession, SessionRegistry, Settings
from agentprogress.access import Access, AccessRequest, allow_anyone
from agentprogress.asgi import ProgressApp
from tests.http.peers import serving

from .story import PLAN, Crew, StoryClock

__all__ = ["STATES", "in_state"]

TITLE = "Market report: home batteries in Europe"
_POLICY = b"default-src 'none'; script-src 'self'; connect-src 'self'; img-src data:"
_PAGE = """<!doctype html>
<html lang="en"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>App</title>
<link rel="icon" href="data:,"><script type="module" src="/client/define.js"></script>
<main><h1>Reports</h1><agent-progress {src}></agent-progress></main></html>"""


class Office:
    """A registry and an application, whose connections may be cut and whose doors may be shut.

    Attributes:
        is_open: whether it lets anybody follow.
        src: the address of what its page shows.
    """

    def __init__(self, registry: SessionRegistry) -> None:
        self.is_open = True
        self.src: str | None = None
        self._app = ProgressApp(registry, authorize=self._authorize)
        self._connections: list[anyio.CancelScope] = []

    def _authorize(self, request: AccessRequest) -> Access | None:
        return allow_anyone(request) if self.is_open else None

    def cut(self) -> None:
        """Ends all connections, as a network does."""
        for connection in self._connections:
            connection.cancel()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves a connection, or the page."""
        if scope["path"] != "/app":
            with anyio.CancelScope() as connection:
                self._connections.append(connection)
                await self._app(scope, receive, send)
            return
        src = "" if self.src is None else f'src="{self.src}"'
        headers = [(b"content-type", b"text/html"), (b"content-security-policy", _POLICY)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": _PAGE.format(src=src).encode()})


class Scene(NamedTuple):
    """What a state is made of."""

    registry: SessionRegistry
    office: Office
    crew: Crew
    clock: StoryClock
    page: Page

    def start(self) -> ProgressSession:
        """Starts the crew."""
        return self.registry.start(
            self.crew.report,
            session_id="market-report-7",
            title=TITLE,
            plan=PLAN,
            metadata={"team": "energy"},
        )

    async def expect(self, part: str, text: str) -> None:
        """Waits until a part of the element says something."""
        await expect(self.page.locator(f"agent-progress [part~={part}]").first).to_contain_text(
            text
        )

    async def cut(self) -> None:
        """Cuts the connection, once there is one; it is refused from then on."""
        await self.expect("connection", "Live")
        self.office.is_open = False
        self.office.cut()


# How a state begins, with the id of the session that is shown, if any; and how it goes on once
# the page is there.
Begin = Callable[[Scene], Awaitable[str | None]]
Then = Callable[[Scene], Awaitable[None]]


async def _nothing(scene: Scene) -> str | None:
    return None


async def _crew(scene: Scene) -> str:
    session = scene.start()
    await scene.crew.writing.wait()
    await session.flush()
    await scene.page.clock.set_fixed_time(scene.clock.now)
    return session.id


async def _unheard(scene: Scene) -> str:
    def silent(route: WebSocketRoute) -> None:
        """Opens, and says nothing."""

    await scene.page.route_web_socket("**/ws*", silent)
    return await _crew(scene)


async def _idle(scene: Scene) -> str:
    async def idle(session: ProgressSession) -> None:
        await anyio.sleep_forever()

    return scene.registry.start(idle).id


async def _reserved(scene: Scene) -> str:
    handle = await scene.registry.reserve(session_id="market-report-7", title=TITLE)
    return handle["session_id"]


def _said(part: str, text: str) -> Then:
    return lambda scene: scene.expect(part, text)


def _going_on(how: str, part: str, text: str) -> Then:
    async def then(scene: Scene) -> None:
        await scene.expect("connection", "Live")
        scene.crew.go_on(how)
        await scene.expect(part, text)

    return then


async def _reconnecting(scene: Scene) -> None:
    await scene.cut()
    await scene.expect("connection", "Reconnecting")


async def _offline(scene: Scene) -> None:
    await scene.expect("connection", "Live")
    await scene.page.context.set_offline(True)
    await scene.cut()
    await scene.expect("connection", "Offline")


async def _gave_up(scene: Scene) -> None:
    await scene.cut()
    await scene.page.get_by_role("button", name="Retry now").click()
    await scene.page.mouse.move(0, 0)
    await scene.expect("connection", "Not connected")


STATES: dict[str, tuple[Begin, Then]] = {
    "nothing": (_nothing, _said("quiet", "Nothing to follow")),
    "connecting": (_unheard, _said("connection", "Connecting")),
    "pending": (_reserved, _said("status", "Pending")),
    "empty": (_idle, _said("quiet", "Nothing has happened yet")),
    "running": (_crew, _said("lines", "Could not confirm")),
    "question": (_crew, _going_on("ask", "questions", "Publish it")),
    "waiting": (_crew, _going_on("suspend", "status", "Waiting")),
    "reconnecting": (_crew, _reconnecting),
    "offline": (_crew, _offline),
    "gave-up": (_crew, _gave_up),
    "completed": (_crew, _going_on("complete", "status", "Completed")),
    "failed": (_crew, _going_on("fail", "status", "Failed")),
    "cancelled": (_crew, _going_on("cancel", "status", "Cancelled")),
    "lost": (_reserved, _said("status", "Lost")),
}


@asynccontextmanager
async def in_state(
    context: BrowserContext, state: str, *, width: int = 1280, in_view: bool = False
) -> AsyncGenerator[Page]:
    """Opens a page whose element is in a state.

    Args:
        context: in which it opens.
        state: one of `STATES`.
        width: of the window.
        in_view: in the page that comes with the server, not in an application's.
    """
    begin, then = STATES[state]
    clock = StoryClock()
    settings = Settings(
        # The first attempt is made at the end of a long wait.
        min_retry_window=20,
        delivery_interval=0.002,
        pending_ttl=0.5 if state == "lost" else 3600,
    )
    page = await context.new_page()
    await page.set_viewport_size({"width": width, "height": 800})
    await page.add_init_script("Math.random = () => 0.42")
    await page.clock.set_fixed_time(clock.now)
    async with SessionRegistry(settings, clock=clock) as registry:
        office = Office(registry)
        async with serving(office) as address:
            scene = Scene(registry, office, Crew(clock), clock, page)
            session_id = await begin(scene)
            office.src = session_id and f"/sessions/{session_id}"
            await page.goto(f"{address}{office.src}/view" if in_view else f"{address}/app")
            try:
                await then(scene)
                yield page
            finally:
                # A server waits for those who follow.
                await page.close()
                await context.set_offline(False)
