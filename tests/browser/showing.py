"""An application's page with the element in it, under a policy that forbids all that is inline."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from playwright.async_api import Locator, Page

from agentprogress import ProgressSession, SessionRegistry
from agentprogress.access import Authorize, allow_anyone
from agentprogress.asgi import ProgressApp
from tests.http.peers import App, serving

from .site import Tabs

__all__ = ["ELEMENT", "Show", "Stages", "in_page", "part", "showing", "texts"]

ELEMENT = "document.querySelector('agent-progress')"
_POLICY = b"default-src 'none'; script-src 'self'; connect-src 'self'"
_PAGE = """<!doctype html>
<html lang="en"><meta name="viewport" content="width=device-width"><title>App</title>
<link rel="icon" href="data:,"><script type="module" src="/client/define.js"></script>
<main><h1>App</h1>{element}</main></html>"""
# What the policy says of the page's own icon; a page that is left complains of its connection.
_HARMLESS = ("data:,",)


def part(page: Page, name: str) -> Locator:
    """Returns the parts of the element with this name."""
    return page.locator(f"agent-progress [part~={name}]")


async def in_page(page: Page, expression: str) -> Any:
    """Evaluates something of `element`, which is the element."""
    return await page.evaluate(f"(() => {{ const element = {ELEMENT}; return {expression}; }})()")


async def texts(rows: Locator) -> list[str]:
    """Returns the texts of rows, shown or not, without what surrounds them."""
    return [text.strip() for text in await rows.all_text_contents()]


class Show:
    """A registry on a real server, and pages of an application that show its sessions.

    Attributes:
        address: the server's origin.
        html: what each path of the application has in the place of its element.
    """

    def __init__(self, registry: SessionRegistry, tabs: Tabs, address: str) -> None:
        self.registry = registry
        self.address = address
        self.html: dict[str, str] = {}
        self.complaints: list[str] = []
        self._tabs = tabs

    def url(self, session: ProgressSession) -> str:
        """Returns a session's URL as an application writes it."""
        return f"/sessions/{session.id}"

    async def open(
        self,
        session: ProgressSession | None,
        attributes: str = "",
        *,
        before: str = "",
        width: int = 1280,
        clock: str | None = None,
    ) -> Page:
        """Opens a page that shows a session, or none.

        Args:
            session: what is shown.
            attributes: more of them, as HTML.
            before: JavaScript that is run before anything of the page.
            width: of the window.
            clock: what the page takes for now; its time may then be moved.
        """
        src = "" if session is None else f'src="{self.url(session)}"'
        return await self.open_html(
            f"<agent-progress {src} {attributes}></agent-progress>",
            before=before,
            width=width,
            clock=clock,
        )

    async def open_html(
        self, html: str, *, before: str = "", width: int = 1280, clock: str | None = None
    ) -> Page:
        """Opens a page with this in its middle, or, where it is a whole one, this page."""
        path = f"/app/{len(self.html)}"
        self.html[path] = html if html.startswith("<!doctype") else _PAGE.format(element=html)
        page = await self._tabs.context.new_page()
        await page.set_viewport_size({"width": width, "height": 800})
        page.on("console", self._heard)
        if before:
            await page.add_init_script(before)
        if clock is not None:
            await page.clock.install(time=clock)
        await page.goto(self.address + path)
        return page

    def _heard(self, message: Any) -> None:
        if message.type == "error" and not any(text in message.text for text in _HARMLESS):
            self.complaints.append(message.text)


@asynccontextmanager
async def showing(
    registry: SessionRegistry, tabs: Tabs, authorize: Authorize | None = allow_anyone
) -> AsyncGenerator[Show]:
    """Serves a registry and an application; checks in the end that no page has complained."""
    pages: dict[str, str] = {}
    app = _beside(ProgressApp(registry, authorize=authorize), pages)
    async with serving(app) as address:
        show = Show(registry, tabs, address)
        show.html = pages
        try:
            yield show
        finally:
            # A server waits for those who follow.
            for page in tabs.context.pages:
                await page.close()
    assert show.complaints == []


def _beside(app: ProgressApp, pages: dict[str, str]) -> App:
    """Returns an application that has pages, each under the policy, beside the progress."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] not in pages:
            await app(scope, receive, send)
            return
        kind = (b"content-type", b"text/html; charset=utf-8")
        headers = [kind, (b"content-security-policy", _POLICY)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": pages[scope["path"]].encode()})

    return serve


class Stages:
    """A job that goes on when it is told to."""

    def __init__(self) -> None:
        self.go_on = [anyio.Event(), anyio.Event()]

    async def job(self, session: ProgressSession) -> dict[str, int]:
        """Reads four files in two halves."""
        with session.phase("read", total=4, unit="file") as phase:
            phase.advance(2, message="half way")
            session.log("first half")
            await self.go_on[0].wait()
            phase.advance(2)
            session.log("second half <b>not bold</b>")
        await self.go_on[1].wait()
        return {"files": 4}
