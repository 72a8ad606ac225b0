"""Splitting output into lines: exact, the same for every cut into chunks, and in bounded memory."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprogress.cli._lines import MAX_LINE_BYTES, Line, LineSplitter, clean_line

OUTPUT = st.lists(
    st.sampled_from([b"a", b"bc", b"\r", b"\n", b"\r\n", b"\0", b"\xff", "é€😀".encode(), b"x" * 7])
).map(b"".join)


def split(*chunks: bytes, limit: int = MAX_LINE_BYTES) -> list[Line]:
    splitter = LineSplitter(limit)
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    rest = splitter.finish()
    return lines if rest is None else [*lines, rest]


def test_each_newline_ends_a_line_and_so_does_the_end_of_the_output() -> None:
    assert split(b"one\n\ntwo\nthree") == [Line("one"), Line(""), Line("two"), Line("three")]


def test_a_newline_at_the_end_does_not_begin_another_line() -> None:
    assert split(b"one\n") == [Line("one")]
    assert split() == []


def test_returns_before_a_newline_belong_to_it() -> None:
    assert split(b"one\r\ntwo\r\r\n") == [Line("one"), Line("two")]


def test_a_return_alone_ends_a_line_that_is_redrawn() -> None:
    assert split(b"10%\r20%\rdone\n") == [Line("10%", True), Line("20%", True), Line("done")]
    assert split(b"\r10%\r\r20%") == [Line("", True), Line("10%", True), Line("20%")]


def test_a_return_at_the_end_of_a_chunk_waits_for_what_follows() -> None:
    assert split(b"one\r", b"\ntwo\r", b"three") == [Line("one"), Line("two", True), Line("three")]


def test_a_return_at_the_end_of_the_output_leaves_its_line() -> None:
    assert split(b"99%\r") == [Line("99%")]


def test_bytes_that_are_no_utf_8_are_replaced() -> None:
    assert split(b"caf\xe9 \xff\xfe\n") == [Line("caf\ufffd \ufffd\ufffd")]


def test_a_nul_is_a_character_like_any_other() -> None:
    assert split(b"a\0b\n\0\n") == [Line("a\0b"), Line("\0")]


def test_a_code_point_may_be_split_between_chunks() -> None:
    euro = "€".encode()
    assert split(euro[:1], euro[1:2], euro[2:] + b"\n") == [Line("€")]


def test_of_a_long_line_the_beginning_is_kept_and_the_rest_counted() -> None:
    assert split(b"x" * 10 + b"\nnext\n", limit=4) == [Line("xxxx", cut_bytes=6), Line("next")]
    assert split(b"xxxx\n", limit=4) == [Line("xxxx")]


def test_a_code_point_that_the_cut_goes_through_is_left_out_whole() -> None:
    assert split("xx€€\n".encode(), limit=4) == [Line("xx", cut_bytes=6)]
    assert split("€€\n".encode(), limit=4) == [Line("€", cut_bytes=3)]


def test_a_code_point_that_the_line_breaks_off_is_replaced() -> None:
    assert split("€".encode()[:2] + b"\n") == [Line("\ufffd")]


def test_the_open_line_is_what_a_terminal_shows_now() -> None:
    splitter = LineSplitter()
    assert splitter.open_line is None
    list(splitter.feed(b"done\nname? "))
    assert splitter.open_line == Line("name? ")
    list(splitter.feed(b"x\r"))
    assert splitter.open_line == Line("name? x")
    list(splitter.feed(b"\n"))
    assert splitter.open_line is None


@given(OUTPUT, st.data())
def test_the_lines_are_the_same_however_the_output_is_cut(
    output: bytes, data: st.DataObject
) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(output)), max_size=8).map(sorted))
    chunks = [output[a:b] for a, b in zip([0, *cuts], [*cuts, len(output)], strict=True)]
    assert split(*chunks, limit=10) == split(output, limit=10)


@given(OUTPUT)
def test_no_byte_is_lost_without_being_counted(output: bytes) -> None:
    printed = output.replace(b"\xff", b"?")  # what is replaced has another length
    lines = split(printed, limit=10)
    told = sum(len(line.text.encode()) + line.cut_bytes for line in lines)
    assert told == len(printed.replace(b"\r", b"").replace(b"\n", b""))
    assert all(len(line.text.encode()) <= 10 for line in lines)


def test_a_hundred_megabytes_without_a_newline_take_the_memory_of_one_line() -> None:
    splitter, chunk = LineSplitter(), b"x" * (64 * 1024)
    tracemalloc.start()
    try:
        for _ in range(1600):
            assert list(splitter.feed(chunk)) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MAX_LINE_BYTES
    line = splitter.finish()
    assert line is not None
    assert len(line.text) == MAX_LINE_BYTES
    assert line.cut_bytes == 1600 * len(chunk) - MAX_LINE_BYTES


def test_returns_without_end_take_no_memory() -> None:
    splitter = LineSplitter()
    for _ in range(100):
        assert list(splitter.feed(b"\r" * 1000)) == []
    assert list(splitter.feed(b"x")) == [Line("", True)]


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[38:2::1:2:3mcolour", "colour"),
        ("\x1b[2K\x1b[1Gredrawn", "redrawn"),
        ("\x1b[?25lcursor\x1b[?25h", "cursor"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$q\x1b\\text", "text"),
        ("\x1b(Bascii", "ascii"),
        ("\x9b1mtext", "text"),
        ("cut\x1b[3", "cut"),
        ("cut\x1b]0;tit", "cut"),
        ("cut\x1b", "cut"),
        ("a\0b\x08c\x7f", "abc"),
        ("a\tb", "a\tb"),
        ("  indented  ", "  indented"),
        ("[31m is text", "[31m is text"),
    ],
)
def test_escape_sequences_and_control_characters_are_taken_out(raw: str, clean: str) -> None:
    assert clean_line(raw) == clean


@given(st.text(st.sampled_from("\x1b[]P();?01mKhAa\x07\\\x9b é")))
def test_no_control_character_is_left(text: str) -> None:
    assert all(char.isprintable() for char in clean_line(text))
