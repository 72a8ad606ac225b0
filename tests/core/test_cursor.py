from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprogress._core.cursor import Cursor, check_session_id, process_tag
from agentprogress.errors import InvalidSessionId

ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@given(st.text(ALPHANUMERIC, min_size=10, max_size=10), st.integers(0, 2**53))
def test_a_cursor_reads_back_as_it_was_written(epoch: str, seq: int) -> None:
    assert Cursor.parse(str(Cursor(epoch, seq))) == Cursor(epoch, seq)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0123456789",
        "0123456789-",
        "0123456789-x",
        "0123456789--1",
        "0123456789-1 ",
        "0123456789-1\n",
        "012345678-1",
        "01234567890-1",
        "012345678é-1",
        "0123456789-\u0661",
        "0123456789-12345678901234567",
        "0123456789-" + "1" * 10_000,
    ],
)
def test_anything_else_is_unreadable(text: str) -> None:
    assert Cursor.parse(text) is None


@pytest.mark.parametrize("session_id", ["a", "9", "report-7", "A.b_c~d-e", "x" * 128])
def test_an_id_of_the_alphabet_is_returned_unchanged(session_id: str) -> None:
    assert check_session_id(session_id, chosen=True) == session_id


@pytest.mark.parametrize(
    "session_id", ["", ".", "-a", "_a", "~a", "a b", "a/b", "a\n", "é", "x" * 129, "a%2f", "../a"]
)
def test_an_id_outside_the_alphabet_is_refused_with_a_sentence(session_id: str) -> None:
    with pytest.raises(InvalidSessionId, match="is not a session id: 1-128 characters"):
        check_session_id(session_id)


def test_only_the_library_may_choose_ids_with_its_prefix() -> None:
    generated = "s_" + "x" * 22
    assert check_session_id(generated) == generated
    with pytest.raises(InvalidSessionId, match="only generated ids may"):
        check_session_id(generated, chosen=True)


def test_the_tag_of_a_process_is_read_from_tagged_ids_only() -> None:
    assert process_tag("s_" + "Ab3d" + "x" * 22) == "Ab3d"
    assert process_tag("s_" + "x" * 22) is None
    assert process_tag("report-7") is None
