"""A page that shows components, and what a test may ask of it."""

from __future__ import annotations

import json
from typing import Any

import anyio
from playwright.async_api import ConsoleMessage, Locator, Page, Route, WebSocket, expect

from tests.browser.site import Site

from .bundles import Bundle

__all__ = ["Held", "Screen"]

Json = dict[str, Any]

_HTML = "<!doctype html><title>React</title><link rel=icon href=data:,><div id=root>{}</div>"


class Screen:
    """Shows components that follow sessions of one site.

    Attributes:
        complaints: warnings and errors on the page's console.
        sockets: all WebSockets that the page has opened, in order.
    """

    def __init__(self, site: Site, page: Page, bundle: Bundle) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.sockets: list[WebSocket] = []
        self._bundle = bundle
        self._address = f"{site.address}/react/page.html"
        page.on("console", self._heard)
        page.on("websocket", self._opened)

    @classmethod
    async def opened(cls, site: Site, bundle: Bundle) -> Screen:
        """Opens a page of a site's browser."""
        screen = cls(site, await site.tabs.context.new_page(), bundle)
        await screen.open()
        return screen

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("warning", "error"):
            self.complaints.append(message.text)

    def _opened(self, socket: WebSocket) -> None:
        self.sockets.append(socket)

    async def open(self, rendered: str = "") -> None:
        """Opens the page, with what a server has rendered, and loads its script."""

        async def answer(route: Route) -> None:
            await route.fulfill(body=_HTML.format(rendered), content_type="text/html")

        await self.page.route(self._address, answer)
        await self.page.goto(self._address)
        await self.page.add_script_tag(path=self._bundle.page)

    async def render(self, **what: Any) -> str:
        """Returns what a server renders."""
        return await self._bundle.render(what)

    async def show(self, **what: Any) -> None:
        """Shows this, or changes what is shown."""
        await self.page.evaluate(f"show({json.dumps(what)})")

    async def hydrate(self, **what: Any) -> None:
        """Takes over what the server has rendered."""
        await self.page.evaluate(f"hydrate({json.dumps(what)})")

    async def unmount(self) -> None:
        """Shows nothing any more."""
        await self.page.evaluate("unmount()")

    def place(self, name: str) -> Locator:
        """What a component shows."""
        return self.page.locator(f"#{name}")

    async def until_state(self, name: str, state: str) -> None:
        """Waits until a component with the hook shows a state of its connection."""
        await expect(self.place(name)).to_have_attribute("data-state", state)

    async def until_lines(self, name: str, *lines: str) -> None:
        """Waits until a component with the hook shows these lines of the log."""
        await expect(self.place(name)).to_have_text(json.dumps(lines, separators=(",", ":")))

    async def until(self, condition: str) -> None:
        """Waits until something is true in the page, where `told` is what its components noted."""
        await self.page.wait_for_function(condition)

    async def told(self, name: str, what: str) -> Any:
        """Returns what a component has noted."""
        return await self.page.evaluate(f"told.{name}.{what}")


class Held:
    """A request that goes on when it is told to."""

    def __init__(self) -> None:
        self.asked, self.go_on = anyio.Event(), anyio.Event()

    async def hold(self, route: Route) -> None:
        self.asked.set()
        await self.go_on.wait()
        await route.continue_()
