"""The docs tell what the code says."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from agentprogress import SessionRegistry
from scripts.settings_page import PAGE, render

from .stores.engines import Engine, Kind, ask

ROOT = Path(__file__).parent.parent


def test_the_settings_page_lists_every_setting_as_it_is() -> None:
    assert PAGE.read_text(encoding="utf-8") == render()


@pytest.mark.anyio
@pytest.mark.server
@pytest.mark.parametrize("kind", list(Kind), ids=str)
async def test_a_redis_user_who_may_do_what_the_page_lists_may_do_enough(
    kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    page = (ROOT / "docs" / "stores.md").read_text(encoding="utf-8")
    rules = [line for line in page.splitlines() if line.startswith("ACL SETUSER ")]
    assert rules
    with Engine(kind) as engine:
        with engine.client() as client:
            for rule in rules:
                ask(client, *rule.split())
        url = engine.url.replace("redis://", "redis://progress:secret@")
        async with SessionRegistry(store=url) as web, SessionRegistry(store=url) as worker:
            reserved = (await web.reserve(owner="ann"))["session_id"]
            async with web.subscribe(reserved) as subscription:
                async with worker.open(session_id=reserved) as session:
                    for number in range(2 * web.settings.max_history_events):
                        session.log(f"{number}")
                        if number % 100 == 0:
                            await session.flush()
                    session.complete("done")
                assert [item async for item in subscription]
            assert web.snapshot(reserved).status == "completed"
            assert [info.id for info in web.list(owner="ann")] == [reserved]
            assert web.result(reserved) == "done"
            web.delete(reserved)
    # A script that may not do something is told of here.
    assert [entry for entry in caplog.records if entry.levelno >= logging.WARNING] == []


def test_every_page_that_the_readme_links_to_exists() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    linked = [part.split(")")[0] for part in readme.split("](")[1:]]
    assert linked
    assert [name for name in linked if not (ROOT / name).exists()] == []
