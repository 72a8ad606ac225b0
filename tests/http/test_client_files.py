"""The browser package over HTTP: public, immutable in one build, and nothing else of the disk."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urljoin

import aiohttp
import pytest
from aiohttp import web
from fastapi import Depends, FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.routing import Mount

from agentprogress import SessionRegistry, __version__
from agentprogress.access import Access, AccessRequest
from agentprogress.aiohttp import add_progress_routes
from agentprogress.asgi import ProgressApp
from agentprogress.browser import build_name, digest, package_files
from agentprogress.starlette import progress_router, progress_routes

from .asking import ask
from .peers import App

MODULES = [name for name in package_files() if name.endswith(".js")]
ELSEWHERE = "https://elsewhere.example"


def nobody(request: AccessRequest) -> Access | None:
    return None


def refuse() -> None:
    raise HTTPException(401, "Who are you?")


def bare(prefix: str) -> App:
    return Starlette(routes=[Mount(prefix, ProgressApp(SessionRegistry(), nobody))])


def routes(prefix: str) -> App:
    return Starlette(routes=[Mount(prefix, routes=progress_routes(SessionRegistry(), nobody))])


def router(prefix: str) -> App:
    app = FastAPI()
    guarded = progress_router(SessionRegistry(), nobody, [Depends(refuse)])
    app.include_router(guarded, prefix=prefix)
    return app


APPS = pytest.mark.parametrize("new_app", [bare, routes, router])


@APPS
@pytest.mark.anyio
async def test_every_module_is_served_to_any_page_without_asking_who_it_is(
    new_app: Callable[[str], App],
) -> None:
    app = new_app("/progress")
    assert "index.js" in MODULES
    for name in MODULES:
        path = f"/progress/client/{build_name()}/{name}"
        answer = await ask(app, "GET", path, origin=ELSEWHERE, sec_fetch_site="cross-site")
        assert answer.status == 200
        assert answer.body == package_files()[name]
        etag = answer.headers.pop("etag")
        assert answer.headers == {
            "content-type": "text/javascript; charset=utf-8",
            "content-length": str(len(answer.body)),
            "cache-control": "public, max-age=31536000, immutable",
            "access-control-allow-origin": "*",
            "cross-origin-resource-policy": "cross-origin",
            "x-content-type-options": "nosniff",
        }
        again = await ask(app, "GET", path, if_none_match=etag)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", etag)
        head = await ask(app, "HEAD", path)
        assert (head.status, head.body) == (200, b"")
        assert head.headers == {**answer.headers, "etag": etag}


@pytest.mark.anyio
async def test_a_version_alone_is_asked_for_each_time_since_builds_share_it() -> None:
    path = f"/p/client/{__version__}/index.js"
    answer = await ask(bare("/p"), "GET", path, origin=ELSEWHERE)
    assert (answer.status, answer.body) == (200, package_files()["index.js"])
    assert answer.headers["cache-control"] == "no-cache"
    again = await ask(bare("/p"), "GET", path, if_none_match=answer.headers["etag"])
    assert (again.status, again.headers["cache-control"]) == (304, "no-cache")


def test_a_build_is_named_by_the_names_and_contents_of_all_its_modules() -> None:
    served = {name: package_files()[name] for name in MODULES}
    assert build_name() == f"{__version__}-{digest(served)}"
    assert re.fullmatch("[0-9a-f]{8}", digest(served))
    assert digest(dict(reversed(served.items()))) == digest(served)
    others = [
        {**served, "index.js": served["index.js"] + b"\n"},
        {**served, "more.js": b""},
        {**served, "index.js": served["fold.js"], "fold.js": served["index.js"]},
        {name: body for name, body in served.items() if name != "react.js"},
    ]
    assert len({digest(files) for files in [served, *others]}) == 5
    assert digest({"a": b"xb\0y"}) != digest({"a": b"x", "b": b"y"})


@pytest.mark.anyio
async def test_the_view_page_names_the_build() -> None:
    registry = SessionRegistry()
    with registry.open() as session:
        pass
    answer = await ask(ProgressApp(registry), "GET", f"/sessions/{session.id}/view")
    imported = re.findall(r'"\.\./\.\./(client/[^"]*)"', answer.body.decode())
    assert imported == [f"client/{build_name()}/{name}" for name in ("define.js", "element.js")]


@pytest.mark.anyio
async def test_dependencies_of_include_router_stand_before_every_route() -> None:
    app = FastAPI()
    app.include_router(progress_router(SessionRegistry()), dependencies=[Depends(refuse)])
    assert (await ask(app, "GET", f"/client/{build_name()}/index.js")).status == 401


@APPS
@pytest.mark.parametrize("prefix", ["/progress", "/some/deeper/mount"])
@pytest.mark.anyio
async def test_a_name_without_a_version_leads_to_the_present_one(
    new_app: Callable[[str], App], prefix: str
) -> None:
    path = f"{prefix}/client/define.js"
    answer = await ask(new_app(prefix), "GET", path, origin=ELSEWHERE)
    assert answer.status == 307
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["access-control-allow-origin"] == "*"
    # Whatever a proxy has put before the path, or taken from it, stays as it is.
    told = urljoin(f"https://app.example/beyond{path}", answer.headers["location"])
    assert told == f"https://app.example/beyond{prefix}/client/{build_name()}/define.js"


@pytest.mark.parametrize("other", ["0.0.7", f"{__version__}-01234567", f"{__version__}-"])
@pytest.mark.anyio
async def test_another_build_is_refused_so_that_no_page_has_modules_of_two(other: str) -> None:
    answer = await ask(bare("/p"), "GET", f"/p/client/{other}/index.js", origin=ELSEWHERE)
    assert (answer.status, answer.code) == (404, "not_found")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert f"has {build_name()} of" in answer.json["detail"]
    assert f"not {other!r}" in answer.json["detail"]


@pytest.mark.parametrize(
    "name",
    [
        "nothing.js",
        "package.json",
        "index.d.ts",
        "../__init__.py",
        "..%2f__init__.py",
        "../../package/index.js",
        "%2e%2e/index.js",
        "..",
        "/etc/passwd",
        "index.js/",
        "index.js%00",
        "INDEX.JS",
        "",
    ],
)
@pytest.mark.parametrize("version", [f"{build_name()}/", f"{__version__}/", ""])
@APPS
@pytest.mark.anyio
async def test_nothing_but_modules_is_there(
    new_app: Callable[[str], App], version: str, name: str
) -> None:
    path = f"/p/client/{version}{name}"
    answer = await ask(new_app("/p"), "GET", path)
    if answer.status == 307:  # Starlette's own, to the address without the last slash
        assert path.endswith("/")
        assert answer.headers["location"] == f"http://api.example{path.rstrip('/')}"
    else:
        assert answer.status == 404


@pytest.mark.anyio
async def test_modules_are_only_read() -> None:
    answer = await ask(bare("/p"), "POST", f"/p/client/{build_name()}/index.js")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.anyio
async def test_allowed_origins_do_not_narrow_or_repeat_who_may_import() -> None:
    app = ProgressApp(SessionRegistry(), nobody, allowed_origins=("https://app.example",))
    answer = await ask(app, "GET", f"/client/{build_name()}/index.js", origin=ELSEWHERE)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_aiohttp_serves_them_too() -> None:
    app = web.Application()
    add_progress_routes(app, SessionRegistry(), authorize=nobody)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        url = f"http://{host}:{port}/progress/client/"
        headers = {"origin": ELSEWHERE}
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.get(f"{url}define.js") as found,
            client.get(f"{url}..%2f__init__.py") as missing,
        ):
            assert str(found.url) == f"{url}{build_name()}/define.js"
            assert found.headers["content-type"] == "text/javascript; charset=utf-8"
            assert await found.read() == package_files()["define.js"]
            assert missing.status == 404
    finally:
        await runner.cleanup()
