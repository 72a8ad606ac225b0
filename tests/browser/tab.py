"""A page that follows one session: what it was told, and whether that is right."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from playwright.async_api import Page, Route, TimeoutError

from agentprogress import ProgressSession
from tests.conformance.oracle import check_items

from .window import Window

__all__ = ["PACKAGE", "PAGES_AT", "Tab", "file_at", "pages_for"]

PACKAGE = Path(__file__).parents[2] / "src" / "agentprogress" / "browser" / "package"
_PAGES = Path(__file__).parent / "pages"
# Where the page and the package's modules are.
PAGES_AT, _CLIENT = "/pages/", "client/"

Json = dict[str, Any]


class Tab:
    """A page that follows one session, and what it was told."""

    def __init__(self, page: Page | Window) -> None:
        self._page = page

    @property
    def page(self) -> Page:
        """Where it is shown, if Playwright opened it."""
        assert isinstance(self._page, Page)
        return self._page

    async def until(self, condition: str, arg: Any = None) -> None:
        """Waits until something is true in the page, where `told` is what it was told."""
        try:
            await self._page.wait_for_function(condition, arg=arg)
        except TimeoutError as error:
            told = await self.ask("({...told, events: told.events.length})")
            raise AssertionError(f"{condition}: never, with {told}") from error

    async def until_state(self, state: str) -> None:
        """Waits for a state of the connection."""
        await self.until("(state) => told.state === state", state)

    async def until_lines(self, *lines: str) -> None:
        """Waits until the session's log has these lines, and no others."""
        await self.until(f"(lines) => String({_LINES}) === String(lines)", lines)

    async def ask(self, expression: str) -> Any:
        """Evaluates something in the page."""
        return await self._page.evaluate(expression)

    async def stop_clock(self) -> None:
        """From now on the page's time moves only when it is told to; its clock must be one."""
        await self.page.clock.pause_at(await self.ask("Date.now() / 1000 + 1"))

    async def start_clock(self) -> None:
        """From now on the page's time goes on by itself again."""
        await self.page.clock.resume()

    async def reload(self) -> None:
        """Does what the reload button does."""
        async with pages_for(self.page):
            await self.page.reload()

    @property
    async def events(self) -> list[Json]:
        """All events, as they were told."""
        # As one text: of thousands of objects Playwright takes each apart by itself.
        found: list[Json] = json.loads(await self.ask("JSON.stringify(told.events)"))
        return found

    @property
    async def states(self) -> list[str]:
        """The states of the connection, in order, each once in a row."""
        found: list[str] = await self.ask("told.connections.map(({ state }) => state)")
        return [
            state for number, state in enumerate(found) if [state] != found[number - 1 : number]
        ]

    @property
    async def connection(self) -> Json:
        """How the connection stands."""
        found: Json = await self.ask(
            "(({ error, ...rest }) => ({...rest, error: error && { ...error } }))"
            "(client.getSnapshot().connection)"
        )
        return found

    async def judge(self, head: str) -> None:
        """Checks that it was told all up to a cursor, and has folded it as its server has.

        Raises:
            AssertionError: an event is missing, came twice or out of order, was changed, or the
                state is another one.
        """
        check_items(_items(await self.events, await self.ask("told.epochs")), head)
        await self.judge_state()

    async def judge_state(self) -> None:
        """Checks that its state is the server's."""
        url = await self.ask("client.url")
        async with httpx2.AsyncClient(verify=False, trust_env=False) as server:
            theirs = (await server.get(url)).json()
        assert_holds(json.loads(await self.ask("JSON.stringify(told.session)")), theirs)

    async def judge_end(self, session: ProgressSession) -> None:
        """Waits for the end; checks that it was told all of a session, and `onComplete` once."""
        await self.until_state("ended")
        await self.until("told.completed.length")
        await self.judge(session.cursor)
        assert await self.ask("told.completed.length") == 1


_LINES = "(told.session?.logs ?? []).map(({ message }) => message)"


def _items(events: list[Json], epochs: list[str]) -> list[Json]:
    """Returns what came as the judge wants it: where seqs begin anew, another log has begun."""
    items: list[Json] = []
    later = iter(epochs[1:])
    for number, event in enumerate(events):
        if number and event["seq"] == 1 and len(epochs) > 1:
            items.append({"type": "snapshot", "epoch": next(later), "seq": 0, "reset": True})
        data = event.get("data")
        carried = data if isinstance(data, dict) and "digest" in data else {}
        items.append({"type": event["type"], "seq": event["seq"], **carried})
    return items


def assert_holds(ours: Any, theirs: Any) -> None:
    """Checks that a page has the server's state; it may know more, since it keeps more."""
    ours, theirs = dict(ours), dict(theirs)
    if theirs["result"] is None and theirs["result_bytes"]:
        del theirs["result"]
    lines = theirs.pop("logs")
    assert_within(lines, ours.pop("logs")[-len(lines) :] if lines else [])
    texts = {text["message_id"]: text for text in ours.pop("texts")}
    for text in theirs.pop("texts"):
        mine = texts[text["message_id"]]
        assert mine["text"].endswith(text["text"])
        assert mine["done"] == text["done"]
    omitted, ours_omitted = theirs.pop("omitted"), ours.pop("omitted")
    assert all(count <= omitted.get(name, 0) for name, count in ours_omitted.items())
    # What was too large for the server, and may not be for the page, is null.
    theirs["custom"] = {name: data for name, data in theirs["custom"].items() if data is not None}
    assert_within(theirs, ours)


def assert_within(less: Any, more: Any) -> None:
    """Checks that all of one value is in another; objects may have more members."""
    if isinstance(less, dict):
        assert isinstance(more, dict), (less, more)
        for name, value in less.items():
            assert name in more, (name, more)
            assert_within(value, more[name])
    elif isinstance(less, list):
        assert isinstance(more, list), (less, more)
        assert len(less) == len(more)
        for one, other in zip(less, more, strict=True):
            assert_within(one, other)
    else:
        assert less == more


@asynccontextmanager
async def pages_for(page: Page) -> AsyncGenerator[None]:
    """Answers requests for the page's files as long as the block lasts; all others go their way."""
    await page.route("**/pages/**", _answer)
    try:
        yield
    finally:
        await page.unroute("**/pages/**")


async def _answer(route: Route) -> None:
    path = file_at(urlsplit(route.request.url).path)
    kind, _ = mimetypes.guess_type(path)
    await route.fulfill(body=path.read_bytes(), content_type=kind)


def file_at(path: str) -> Path:
    """Returns the file of a path that begins with `/pages/`."""
    name = path.removeprefix(PAGES_AT)
    inside = name.removeprefix(_CLIENT)
    return (PACKAGE if name.startswith(_CLIENT) else _PAGES) / inside
