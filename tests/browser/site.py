"""What a case has: a registry that is served, and pages of a real browser that follow its sessions."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import anyio
import httpx2
from playwright.async_api import BrowserContext, Page, Route, TimeoutError

from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Mount

from agentprogress import ProgressSession, SessionRegistry
from agentprogress.asgi import ProgressApp
from tests.conformance.oracle import check_items
from tests.http.peers import App, serving
from tests.kit import entered

__all__ = ["MOUNTED_AT", "PACKAGE", "Site", "Tab", "Tabs", "page_url", "serving_site", "until"]

PACKAGE = Path(__file__).parents[2] / "src" / "agentprogress" / "browser" / "package"
_PAGES = Path(__file__).parent / "pages"
_PREFIX, _CLIENT = "/pages/", "client/"
# Where docs/servers.md has the application.
MOUNTED_AT = "/progress"

Json = dict[str, Any]


class Tab:
    """A page that follows one session, and what it was told."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def until(self, condition: str, arg: Any = None) -> None:
        """Waits until something is true in the page, where `told` is what it was told."""
        try:
            await self.page.wait_for_function(condition, arg=arg)
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
        return await self.page.evaluate(expression)

    async def stop_clock(self) -> None:
        """From now on the page's time moves only when it is told to; it must have been opened so."""
        await self.page.clock.pause_at(await self.ask("Date.now() / 1000 + 1"))

    async def start_clock(self) -> None:
        """From now on the page's time goes on by itself again."""
        await self.page.clock.resume()

    async def reload(self) -> None:
        """Does what the reload button does."""
        async with _pages_for(self.page):
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
    theirs["omitted"] = {**theirs["omitted"], "logs": 0, "texts": 0}
    ours["omitted"] = {**ours["omitted"], "logs": 0, "texts": 0}
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
            lambda error: self.uncaught.append(str(error.error)) or print("WEBERR", error.error),
        )
        context.on("console", self._heard)

    def _heard(self, message: Any) -> None:
        print("CONSOLE", message.text)
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
        async with _pages_for(page) if at is None else nullcontext():
            await page.goto(page_url(src, at, **options))
        return Tab(page)


@asynccontextmanager
async def _pages_for(page: Page) -> AsyncGenerator[None]:
    """Answers requests for the page's files as long as the block lasts; all others go their way."""
    await page.route("**/pages/**", _answer)
    try:
        yield
    finally:
        await page.unroute("**/pages/**")


async def _answer(route: Route) -> None:
    path = _file_at(urlsplit(route.request.url).path)
    kind, _ = mimetypes.guess_type(path)
    await route.fulfill(body=path.read_bytes(), content_type=kind)


def _file_at(path: str) -> Path:
    """Returns the file of a path that begins with `/pages/`."""
    name = path.removeprefix(_PREFIX)
    inside = name.removeprefix(_CLIENT)
    if name.startswith(_CLIENT):
        return Path("/tmp/e2e/pkg") / inside  # TEMP
    return (PACKAGE if name.startswith(_CLIENT) else _PAGES) / inside


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
        await FileResponse(_file_at(scope["path"]))(scope, receive, send)

    return Starlette(routes=[Mount(MOUNTED_AT, noting), Mount(_PREFIX, pages)])
