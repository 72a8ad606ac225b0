"""Where the command line listens, what it answers beside the session, and what it needs."""

from __future__ import annotations

import socket
import sys

import httpx2
import pytest

from agentprogress import SessionRegistry
from agentprogress.cli._listen import DEFAULT_PORT, CannotServe, listen, origin
from agentprogress.cli._site import Site

from .programs import CLI, client, demonstrating, fetch, running, started

pytestmark = pytest.mark.anyio

WITHOUT_UVICORN = "import sys; sys.modules['uvicorn'] = None\nfrom agentprogress.cli import main\n"


def port_of(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def test_port_zero_is_any_free_port() -> None:
    with listen("127.0.0.1", 0) as one, listen("127.0.0.1", 0) as other:
        assert port_of(one) != port_of(other)


def test_a_port_that_is_asked_for_and_taken_is_an_error_with_advice() -> None:
    with listen("127.0.0.1", 0) as one:
        port = port_of(one)
        with pytest.raises(CannotServe, match=f"port {port} of 127.0.0.1: another program has it"):
            listen("127.0.0.1", port)


def test_the_default_port_gives_way_to_a_free_one() -> None:
    with listen("127.0.0.1", None) as one, listen("127.0.0.1", None) as other:
        # The first may have it, or somebody else on this machine; the second one cannot.
        assert port_of(other) not in (DEFAULT_PORT, port_of(one))


def test_a_host_that_is_not_here_is_an_error_with_a_sentence() -> None:
    with pytest.raises(CannotServe, match=r"Cannot listen on port 0 of 192\.0\.2\.1: "):
        listen("192.0.2.1", 0)
    with pytest.raises(CannotServe, match="Cannot listen on 'no such host'"):
        listen("no such host", None)


@pytest.mark.parametrize(
    ("host", "shown"),
    [("127.0.0.1", "127.0.0.1"), ("localhost", "localhost"), ("0.0.0.0", "127.0.0.1")],
)
def test_the_address_is_one_that_a_browser_here_can_open(host: str, shown: str) -> None:
    with listen(host, 0) as listener:
        assert origin(host, listener) == f"http://{shown}:{port_of(listener)}"


@pytest.mark.parametrize("host", ["::1", "::"])
def test_an_ipv6_address_is_written_in_brackets(host: str) -> None:
    try:
        listener = listen(host, 0)
    except CannotServe as error:
        pytest.skip(str(error))
    with listener:
        assert origin(host, listener) == f"http://[::1]:{port_of(listener)}"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 307),
        ("localhost:8765", 307),
        ("LOCALHOST", 307),
        ("[::1]:8765", 307),
        ("example.com:8765", 404),
        ("127.0.0.1.example.com", 404),
        ("[", 404),
        ("", 404),
    ],
)
async def test_the_root_leads_to_the_page_unless_a_name_was_used(host: str, status: int) -> None:
    site = Site(SessionRegistry())
    site.home = "/progress/sessions/s_x/view"
    transport = httpx2.ASGITransport(site)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        answer = await http.get("/", headers={"host": host})
    assert answer.status_code == status
    assert answer.headers.get("location") == (site.home if status == 307 else None)


async def test_the_root_leads_nowhere_before_there_is_a_session() -> None:
    transport = httpx2.ASGITransport(Site(SessionRegistry()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        assert (await http.get("/")).status_code == 404


@pytest.mark.server
async def test_the_printed_addresses_work() -> None:
    async with started([*CLI, "run", "--port", "0", "--linger", "60", "--", "true"]) as program:
        watch, events, result = await program.addresses()
        assert events == f"Events: curl -N {program.url}/events"
        assert (await fetch(f"{program.url}/events")).text.rstrip().split("\n")[-3] == "event: end"
        assert (await fetch(result.removeprefix("Result: curl "))).json()["exit_status"] == 0
        home = httpx2.URL(program.url).copy_with(path="/")
        async with client() as http:
            page = await http.get(home, follow_redirects=True)
        assert str(page.url) == watch.removeprefix("Watch: ")
        assert page.status_code == 200


@pytest.mark.server
async def test_the_title_heads_the_session() -> None:
    async with running("echo", "a b", options=["--linger", "60"]) as program:
        assert (await fetch(program.url)).json()["title"] == "echo 'a b'"
    async with running("true", options=["--linger", "60", "--title", "Nightly"]) as program:
        assert (await fetch(program.url)).json()["title"] == "Nightly"
    async with demonstrating("--title", "A show") as program:
        assert (await fetch(program.url)).json()["title"] == "A show"


@pytest.mark.server
@pytest.mark.parametrize(
    "arguments", [["demo"], ["run", "--", "true"], ["serve", "--store", "sqlite:///x.db"]]
)
async def test_without_uvicorn_the_extra_is_named(arguments: list[str]) -> None:
    script = f"{WITHOUT_UVICORN}sys.exit(main({arguments!r}))"
    async with started([sys.executable, "-c", script]) as program:
        assert await program.exit_status() == 1
        assert "pip install 'agentprogress[cli]'" in await program.errors()


@pytest.mark.server
async def test_a_taken_port_is_an_error_and_nothing_is_run() -> None:
    with listen("127.0.0.1", 0) as taken:
        words = ["run", "--port", str(port_of(taken)), "--", "echo", "ran"]
        async with started([*CLI, *words]) as program:
            assert await program.exit_status() == 1
            assert await program.rest() == b""
            assert "another program has it" in await program.errors()
