"""A window of the browser that may be hidden and frozen.

Playwright holds the pages that it opens visible for ever, whatever is done to their windows; those
of a profile that is not its own it leaves alone. So this one is driven by Chromium's own protocol.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from playwright.async_api import Browser, CDPSession

__all__ = ["Window", "opened_window"]


class Window:
    """One page in a window of its own. Evaluates as Playwright's pages do."""

    def __init__(self, browser: CDPSession, target: str, session: str, window: int) -> None:
        self._browser = browser
        self._target = target
        self._session = session
        self._window = window
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        browser.on("Target.receivedMessageFromTarget", self._received)

    def _received(self, told: dict[str, Any]) -> None:
        message = json.loads(told["message"])
        if told["sessionId"] == self._session and message.get("id") in self._asked:
            self._asked.pop(message["id"]).set_result(message)

    async def _send(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        self._asked[number] = answer = asyncio.get_running_loop().create_future()
        message = json.dumps({"id": number, "method": method, "params": params})
        await self._browser.send(
            "Target.sendMessageToTarget", {"sessionId": self._session, "message": message}
        )
        return (await answer)["result"]

    async def evaluate(self, expression: str, arg: Any = None) -> Any:
        """Evaluates an expression, or calls the function that it is."""
        called = f"typeof value === 'function' ? value({json.dumps(arg)}) : value"
        found = await self._send(
            "Runtime.evaluate",
            expression=f"(async () => {{ const value = {expression}; return {called}; }})()",
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def wait_for_function(self, condition: str, *, arg: Any = None) -> None:
        """Waits until an expression, or the function that it is, gives something true."""
        with anyio.fail_after(30):
            while not await self.evaluate(condition, arg):
                pass

    async def hide(self) -> None:
        """Minimizes the window; nobody sees the page any more."""
        await self._change_window("minimized")
        await self.wait_for_function("document.hidden")

    async def show(self) -> None:
        """Brings the window back."""
        await self._change_window("normal")
        await self.wait_for_function("!document.hidden")

    async def freeze(self) -> None:
        """Does to a hidden page what browsers do to save power: nothing in it runs any more."""
        await self._send("Page.setWebLifecycleState", state="frozen")

    async def thaw(self) -> None:
        """Lets it run again."""
        await self._send("Page.setWebLifecycleState", state="active")

    async def _change_window(self, state: str) -> None:
        bounds = {"windowId": self._window, "bounds": {"windowState": state}}
        await self._browser.send("Browser.setWindowBounds", bounds)


@asynccontextmanager
async def opened_window(browser: Browser, url: str) -> AsyncGenerator[Window]:
    """Opens a page in a window of its own, until the block is left."""
    session = await browser.new_browser_cdp_session()
    context = (await session.send("Target.createBrowserContext"))["browserContextId"]
    created = {"url": url, "browserContextId": context, "newWindow": True}
    target = (await session.send("Target.createTarget", created))["targetId"]
    try:
        attached = await session.send("Target.attachToTarget", {"targetId": target})
        found = await session.send("Browser.getWindowForTarget", {"targetId": target})
        yield Window(session, target, attached["sessionId"], found["windowId"])
    finally:
        await session.send("Target.disposeBrowserContext", {"browserContextId": context})
        await session.detach()
