from __future__ import annotations

import re
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprogress._core.jsonable import encode_json
from agentprogress._core.sse import encode_control, encode_event
from agentprogress._core.sse_reader import MessageTooLarge, SseMessage, SseReader
from tests.strategies import JSON


def test_an_event_is_an_unnamed_message_with_its_data_before_its_id() -> None:
    assert encode_event(b'{"seq":1}', "e-1") == b'data: {"seq":1}\nid: e-1\n\n'


def test_a_control_frame_is_named_and_leaves_the_last_id_alone() -> None:
    assert encode_control("heartbeat", b"{}") == b"event: heartbeat\ndata: {}\n\n"


def test_a_control_frame_may_carry_an_id_and_the_delay_before_a_retry() -> None:
    assert encode_control("welcome", b"{}", cursor="e-0", retry=1.5) == (
        b"event: welcome\ndata: {}\nid: e-0\nretry: 1500\n\n"
    )


@given(JSON)
def test_no_value_can_break_out_of_its_line(value: object) -> None:
    message = encode_event(encode_json({"value": value}), "e-1")
    assert message.count(b"\n") == 3
    assert b"\r" not in message


# Reading

LINES = st.sampled_from(
    [
        "data: a",
        "data:é😀",
        "data",
        "id: 1",
        "id",
        "id: 2\0",
        "event: e",
        "retry: 9",
        ": c",
        "x: y",
        "",
    ]
)
STREAMS = st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r", "\r\n"]))).map(
    lambda lines: "".join(line + end for line, end in lines).encode()
)
BYTES = st.one_of(
    STREAMS,
    st.binary(),
    st.lists(st.sampled_from(b"data: id\r\n\n\xef\xbb\xbf\xf0\x9f\x98\x80\0"), max_size=80).map(
        bytes
    ),
)


def by_the_standard(stream: bytes) -> tuple[list[SseMessage], str, int | None]:
    """Reads a whole stream as the standard tells it: first decoded, then cut into lines."""
    lines = re.split("\r\n|\r|\n", stream.decode(errors="replace").removeprefix("\ufeff"))[:-1]
    messages: list[SseMessage] = []
    last_id = id_buffer = event = data = ""
    retry: int | None = None
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            last_id = id_buffer
            if data:
                messages.append(SseMessage(event or "message", data.removesuffix("\n"), last_id))
            event = data = ""
        elif field == "data":
            data += value + "\n"
        elif field == "event":
            event = value
        elif field == "id" and "\0" not in value:
            id_buffer = value
        elif field == "retry" and re.fullmatch("[0-9]+", value):
            retry = int(value)
    return messages, last_id, retry


@given(BYTES, st.lists(st.integers(0, 200)))
def test_any_bytes_are_read_as_the_standard_says_however_they_are_cut(
    stream: bytes, places: list[int]
) -> None:
    reader, messages = SseReader(1_000_000), list[SseMessage]()
    for start, end in pairwise([0, *sorted(places), max([len(stream), *places])]):
        messages += reader.feed(stream[start:end])
    assert (messages, reader.last_id, reader.retry) == by_the_standard(stream)


@given(JSON, st.integers(1, 9))
def test_what_is_written_is_what_is_read(value: object, seq: int) -> None:
    frame = encode_json({"value": value})
    stream = encode_event(frame, f"e-{seq}") + encode_control("heartbeat", frame, retry=1.5)
    reader = SseReader(len(stream))
    text, cursor = frame.decode(), f"e-{seq}"
    assert reader.feed(stream) == [
        SseMessage("message", text, cursor),
        SseMessage("heartbeat", text, cursor),
    ]
    assert reader.retry == 1500


def test_a_carriage_return_ends_a_message_at_once() -> None:
    reader = SseReader(100)
    assert reader.feed(b"data: a\r\r") == [SseMessage("message", "a", "")]
    assert reader.feed(b"\ndata: b\r\n\r") == [SseMessage("message", "b", "")]
    assert reader.feed(b"") == []
    assert reader.feed(b"\n\n") == []


@pytest.mark.parametrize(
    ("digits", "milliseconds"),
    [("007", 7), ("0", 0), ("9" * 5_000, 2**53 - 1), ("0" * 5_000 + "1", 1), ("٣", None)],
)
def test_no_number_of_milliseconds_is_too_long(digits: str, milliseconds: int | None) -> None:
    reader = SseReader(10_000)
    reader.feed(f"retry: {digits}\n".encode())
    assert reader.retry == milliseconds


# Bounds, here of 40 bytes: a message of exactly so many, in lines of each kind

FULL = [
    b"data: " + b"a" * 33 + b"\n",
    b"data: aaaaaaaaaaaa\n: comment\n" + b"other: 345\n",
    b": " + b"c" * 37 + b"\n",
    b"data: a\r\n" * 5,
    b"data\n" * 8,
]


@pytest.mark.parametrize("message", FULL)
@pytest.mark.parametrize("step", [1, 7, 1_000])
def test_a_message_may_take_all_of_the_bound_and_no_byte_more(message: bytes, step: int) -> None:
    reader = SseReader(40)
    for stream in (message + b"\n", message + b"\r\n"):
        assert sum(len(reader.feed(piece)) for piece in pieces(stream, step)) <= 1
    with pytest.raises(MessageTooLarge, match="larger than 40 bytes") as caught:
        for piece in pieces(message + b"x\n\n", step):
            reader.feed(piece)
    assert caught.value.limit_bytes == 40


def pieces(stream: bytes, step: int) -> list[bytes]:
    return [stream[start : start + step] for start in range(0, len(stream), step)]


@pytest.mark.parametrize("endless", [b"data: ", b":", b"id: 1\n", b": ping\n", b"data\n", b"\0"])
@pytest.mark.parametrize("repeat", [1, 50])
def test_what_never_ends_is_refused_before_it_is_kept(endless: bytes, repeat: int) -> None:
    reader, fed = SseReader(10_000), 0
    with pytest.raises(MessageTooLarge):
        while fed <= 10_000:
            reader.feed(endless * repeat)
            fed += len(endless) * repeat
    assert 10_000 - len(endless) * repeat <= fed <= 10_000


def test_a_message_that_is_too_large_takes_those_of_its_bytes_with_it() -> None:
    reader = SseReader(20)
    reader.feed(b"data: a\nid: 1\n\n")
    with pytest.raises(MessageTooLarge):
        reader.feed(b"data: b\nid: 2\n\ndata: " + b"c" * 20)
    assert reader.last_id == "1"


def test_a_stream_of_messages_is_not_bounded_as_a_whole() -> None:
    reader = SseReader(20)
    assert len(reader.feed(b"data: abc\n\n" * 1_000)) == 1_000
    assert len(reader.feed(b": ping\n\n" * 1_000)) == 0


def test_a_large_message_in_single_bytes_is_kept_once() -> None:
    size = 64 * 1024
    reader = SseReader(size + 100)
    reader.feed(b"data: ")
    tracemalloc.start()
    try:
        for _ in range(size):
            reader.feed(b"x")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * size  # growing, a buffer is there twice for a moment
    ((_, data, _),) = reader.feed(b"\n\n")
    assert data == "x" * size
