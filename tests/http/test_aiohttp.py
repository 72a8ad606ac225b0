"""What is particular to aiohttp; everything else is in the conformance suite."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
import anyio
import pytest
from aiohttp import web

from agentprogress import SessionRegistry, Settings
from agentprogress.access import Access
from agentprogress.aiohttp import add_progress_routes

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

SECRET = "a-very-secret-token"


@asynccontextmanager
async def serving(registry: SessionRegistry) -> AsyncGenerator[str]:
    app = web.Application()
    add_progress_routes(
        app, registry, authorize=lambda _: Access("ann", frozenset({"follow", "control"}))
    )
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/progress"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("also", [(), ("agentprogress.v1",)])
async def test_a_bearer_among_subprotocols_is_never_logged(
    also: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    registry = SessionRegistry()
    with registry.open() as session:
        session.log("one")
    token = base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("=")
    bearer = f"agentprogress.bearer.{token}"
    with caplog.at_level(logging.DEBUG):
        async with serving(registry) as url, aiohttp.ClientSession() as client:
            path = f"{url}/sessions/{session.id}/ws"
            async with client.ws_connect(path, protocols=(*also, bearer)) as socket:
                assert socket.protocol == (also[0] if also else None)
                frames = [
                    each
                    for message in [m async for m in socket]
                    for each in json.loads(message.data)
                ]
    assert frames[-1]["type"] == "end"
    served = [each for each in caplog.records if not each.name.startswith("aiohttp.client")]
    assert all(
        token not in each.getMessage() and SECRET not in each.getMessage() for each in served
    )


async def test_a_stream_that_is_refused_frees_its_connection_at_once() -> None:
    registry = SessionRegistry(Settings(max_session_subscribers=1))
    with registry.open() as session:
        async with serving(registry) as url, aiohttp.ClientSession() as client:
            path = f"{url}/sessions/{session.id}/events"
            async with client.get(path) as first:
                await first.content.readline()
                with anyio.fail_after(5):
                    async with client.get(path) as second:
                        assert b"event: reconnect" in await second.read()


async def test_half_a_request_does_nothing() -> None:
    registry = SessionRegistry()
    session = registry.start(lambda session: anyio.sleep_forever())
    async with serving(registry) as url:
        host, port = url.removeprefix("http://").removesuffix("/progress").split(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            head = f"POST /progress/sessions/{session.id}/cancel HTTP/1.1\r\nHost: x\r\n"
            await stream.send(f"{head}Content-Length: 30\r\n\r\n{{".encode())
            await anyio.wait_all_tasks_blocked()
        # By the time a later request is answered, the end of that one was seen.
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"{url}/sessions/{session.id}") as answer,
        ):
            assert (await answer.json())["cancel_requested"] is False
        assert not session.cancel_requested
        session.request_cancel()


async def test_offers_may_come_in_several_lines() -> None:
    registry = SessionRegistry()
    with registry.open() as session:
        pass
    async with serving(registry) as url:
        host, port = url.removeprefix("http://").removesuffix("/progress").split(":")
        head = (
            f"GET /progress/sessions/{session.id}/ws HTTP/1.1\r\nHost: {host}:{port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Protocol: agentprogress.bearer.eA\r\n"
            "Sec-WebSocket-Protocol: agentprogress.v1\r\n\r\n"
        )
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(head.encode())
            answer = await stream.receive()
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"sec-websocket-protocol: agentprogress.v1\r\n" in answer.lower()
