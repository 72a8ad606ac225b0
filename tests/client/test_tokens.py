from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest

from agentprogress.client._tokens import TokenSource
from agentprogress.errors import FollowError

pytestmark = pytest.mark.anyio


class Office:
    """Makes tokens, numbered; what stands in `instead` is raised in place of the next one."""

    def __init__(self) -> None:
        self.made = 0
        self.instead: Exception | None = None

    def plain(self) -> str:
        if self.instead is not None:
            raised, self.instead = self.instead, None
            raise raised
        self.made += 1
        return f"token-{self.made}"

    async def slow(self) -> str:
        return self.plain()


def ways(office: Office) -> Iterator[Callable[[], str | Awaitable[str]]]:
    yield office.plain
    yield office.slow


async def test_without_one_there_is_none() -> None:
    source = TokenSource(None)
    assert not source.can_renew
    assert await source.get() is None
    assert await source.get("any") is None


async def test_a_given_one_is_the_only_one() -> None:
    source = TokenSource("abc")
    assert not source.can_renew
    assert await source.get() == "abc"
    assert await source.get("abc") == "abc"


@pytest.mark.parametrize("way", [0, 1], ids=["plain", "async"])
async def test_one_is_made_when_it_is_needed_and_anew_when_it_was_refused(way: int) -> None:
    office = Office()
    source = TokenSource([*ways(office)][way])
    assert source.can_renew
    assert office.made == 0
    assert [await source.get() for _ in range(3)] == ["token-1"] * 3
    assert await source.get("token-1") == "token-2"
    assert await source.get() == "token-2"


async def test_one_that_was_refused_is_never_used_again() -> None:
    office = Office()
    source = TokenSource(office.slow)
    await source.get()
    office.instead = OSError("The sign-in service is away.")
    with pytest.raises(FollowError):
        await source.get("token-1")
    assert await source.get() == "token-2"


async def test_that_none_can_be_had_may_pass_and_says_no_more_than_the_kind_of_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    office = Office()
    office.instead = OSError("secret://")
    with pytest.raises(FollowError, match="could not be had: OSError") as found:
        await TokenSource(office.plain).get()
    assert (found.value.kind, found.value.retryable) == ("unauthorized", True)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_an_application_may_say_itself_that_there_is_no_use() -> None:
    office = Office()
    office.instead = FollowError("forbidden", "You have left.", retryable=False)
    with pytest.raises(FollowError, match="You have left") as found:
        await TokenSource(office.plain).get()
    assert found.value is not None
    assert not found.value.retryable


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX: y", "a\x00", "tökén", "a\n", "\ud800"])
async def test_what_no_header_can_have_is_refused_and_not_shown(token: str) -> None:
    def make() -> str:
        return token

    given: list[Any] = [token, make]
    for one in given:
        with pytest.raises(FollowError) as found:
            await TokenSource(one).get()
        assert (found.value.kind, found.value.retryable) == ("unauthorized", False)
        assert str(found.value) == "The token has characters that a header cannot have."


async def test_two_that_are_refused_at_once_make_one_token() -> None:
    office = Office()
    source = TokenSource(office.slow)
    await source.get()
    made: list[str | None] = []

    async def renew() -> None:
        made.append(await source.get("token-1"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(renew)
        tasks.start_soon(renew)
    assert made == ["token-2", "token-2"]


async def test_a_token_that_is_no_text_is_told_by_its_type() -> None:
    make: Any = lambda: b"abc"  # noqa: E731 - as wrong as can be
    with pytest.raises(FollowError, match="no text but bytes") as found:
        await TokenSource(make).get()
    assert not found.value.retryable
