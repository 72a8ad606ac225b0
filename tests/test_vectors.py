"""The shared vectors, held against the library; `client/test_shared_vectors.py` has more."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urljoin

import pytest

from agentprogress._core import frames
from agentprogress._core.backoff import Backoff
from agentprogress._core.cursor import Cursor
from agentprogress._core.fold import Fold
from agentprogress._core.history import History, Join, Joined, Missed, Resume
from agentprogress._core.outbox import Encoded
from agentprogress._core.sse import encode_control, encode_event
from agentprogress._core.sse_reader import SseMessage, SseReader
from agentprogress._core.states import SessionStatus
from agentprogress.client._urls import SessionUrl, websocket_url
from agentprogress.client._wire import read_frame, read_frames, read_page
from agentprogress.codes import CODES
from agentprogress.errors import InvalidUrl
from agentprogress.events import UnknownEvent, parse_event
from agentprogress.settings import Settings
from agentprogress.snapshot import SessionSnapshot

Json = dict[str, Any]

ROOT = Path(__file__).parent
EPOCH = "I9kYN9ZwS0"


def vectors(name: str) -> Any:
    return json.loads((ROOT / "vectors" / f"{name}.json").read_text(encoding="utf-8"))


def each(name: str, part: str, key: str = "name") -> pytest.MarkDecorator:
    """Parametrises a test with the entries of one list of a file."""
    cases = vectors(name)[part]
    ids = [f"{index}-{str(case.get(key, ''))[:60]}" for index, case in enumerate(cases)]
    return pytest.mark.parametrize("case", cases, ids=ids)


def test_every_file_says_what_it_is_about() -> None:
    files = sorted((ROOT / "vectors").glob("*.json"))
    assert [path.stem for path in files if not vectors(path.stem)["about"]] == []
    assert len(files) == 8


# Cursors and joins


@each("cursors", "valid", "text")
def test_a_cursor_is_read(case: Json) -> None:
    assert Cursor.parse(case["text"]) == (case["epoch"], case["seq"])
    assert str(Cursor(case["epoch"], case["seq"])) == case["text"]


@each("cursors", "invalid", "why")
def test_what_is_no_cursor_is_not_read_as_one(case: Json) -> None:
    assert Cursor.parse(case["text"]) is None


def history(epoch: str, oldest: int, head: int) -> History:
    """Returns a log that retains the events oldest … head."""
    swept = oldest > head >= 1
    keep = head if swept else head - oldest + 1
    made = History("job-7", epoch, Settings(max_history_events=max(1, keep)))
    body = b'{"type":"session.resumed"}'
    made.append(Encoded("2026-11-22T19:30:00.000Z", body) for _ in range(head))
    if swept:
        made.sweep()
    assert (made.oldest, made.head) == (oldest, head)
    return made


@each("joins", "cases")
def test_a_join_is_answered(case: Json) -> None:
    answer = history(**case["log"]).join(case["cursor"])
    missed = answer.missed and [answer.missed.first, answer.missed.last]
    assert (answer.resume, answer.position) == (case["resume"], case["position"])
    assert (missed, answer.snapshot) == (case["missed"], case["snapshot"])


@each("joins", "cases")
def test_what_a_client_holds_after_a_join_is_a_cursor_of_the_log(case: Json) -> None:
    kept = case["resume"] in ("exact", "gap")
    assert case["held"] == (case["cursor"] if kept else f"{case['log']['epoch']}-0")


# Frames


WRITERS: dict[str, Callable[[Json], bytes]] = {
    "welcome": lambda f: frames.welcome(
        f["session_id"],
        Joined(
            Join(Resume(f["resume"]), 0), f["epoch"], f["head"], SessionStatus(f["status"]), None
        ),
        f["heartbeat_interval"],
        frames.Tempo(f["server_time"], f["retry_window"]),
    ),
    "snapshot": lambda f: frames.snapshot(f["seq"], json.dumps(f["state"]).encode()),
    "gap": lambda f: frames.gap(Missed(f["missed_from"], f["missed_to"], f["reason"])),
    "reconnect": lambda f: frames.reconnect(f["retry_after"]),
    "heartbeat": lambda f: frames.heartbeat(
        f["head"],
        frames.ProducerState(f["producer"], f.get("cause")),
        frames.Tempo(f["server_time"], f["retry_window"]),
    ),
    "error": lambda f: frames.error(f["code"], f["message"], f.get("retry_after"), f.get("gone")),
    "end": lambda f: frames.end(f["status"], f["head"]),
}
NEEDED = {
    "welcome": {"protocol", "session_id", "epoch", "status", "resume", "head"},
    "snapshot": {"seq", "state"},
    "gap": {"missed_from", "missed_to", "reason"},
    "heartbeat": {"head", "producer", "retry_window", "server_time"},
    "reconnect": {"retry_after"},
    "error": {"code", "message", "retryable"},
    "end": {"status", "head"},
}


@each("frames", "control", "wire")
def test_a_control_frame_is_read(case: Json) -> None:
    assert NEEDED[case["wire"]["type"]] <= case["fields"].keys()
    (frame,) = read_frames(json.dumps([case["wire"]]))
    assert case["fields"].items() <= frame.items()
    assert read_frame(json.dumps(case["wire"])) == frame
    assert read_page(json.dumps({"frames": [case["wire"]]}).encode()) == [frame]


@each("frames", "control", "wire")
def test_a_control_frame_is_written_as_it_is_read(case: Json) -> None:
    wire, write = case["wire"], WRITERS[case["wire"]["type"]]
    if case.get("extended") or case["fields"].get("reason") == "another":
        return  # of a later version
    frame = write(case["fields"])
    assert json.loads(frame) == wire
    (message,) = sse_reader().feed(encode_control(wire["type"], frame))
    assert (message.event, json.loads(message.data)) == (wire["type"], wire)


def moments(value: Any) -> Any:
    """Returns a value with every time in it as a datetime: its digits may differ."""
    if isinstance(value, dict):
        return {key: moments(item) for key, item in value.items()}
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", value):
        return datetime.fromisoformat(value)
    return value


@each("frames", "events", "wire")
def test_an_event_is_read(case: Json) -> None:
    wire = case["wire"]
    event = parse_event(wire)
    assert not isinstance(event, UnknownEvent)
    base = {name: wire[name] for name in ("type", "seq", "time")}
    expected = {**base, **case["fields"]}
    found = event.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert moments(found) == moments(expected)


@each("frames", "events", "wire")
def test_an_event_is_an_unnamed_message_under_its_cursor(case: Json) -> None:
    cursor = f"{EPOCH}-{case['wire']['seq']}"
    message = encode_event(json.dumps(case["wire"]).encode(), cursor)
    (read,) = sse_reader().feed(message)
    assert (read.event, json.loads(read.data)) == ("message", case["wire"])
    assert read.id == cursor


def test_the_vectors_have_every_frame_and_every_event() -> None:
    found = vectors("frames")
    assert {case["wire"]["type"] for case in found["control"]} == set(NEEDED)
    assert {case["wire"]["type"] for case in found["events"]} == {
        cell for row in protocol_rows("Events") for cell in re.findall("^`([a-z.]+)`", row[0])
    }


@each("frames", "unknown", "why")
def test_an_event_that_does_not_fit_is_kept_as_unknown(case: Json) -> None:
    event = parse_event(case["wire"])
    assert isinstance(event, UnknownEvent)
    assert event.type == case["wire"]["type"]


# Folding


def numbered(events: list[Json]) -> list[Json]:
    return [
        {"seq": seq, "time": f"2026-11-22T19:30:{seq:02}.000Z", **event}
        for seq, event in enumerate(events, 1)
    ]


@each("folding", "cases")
def test_events_fold_into_their_state(case: Json) -> None:
    limits = Settings(**case.get("limits", {}))
    events = numbered(case["events"])
    for cut in range(len(events) + 1):
        fold = Fold("job-7", EPOCH, limits)
        for event in events[:cut]:
            fold.apply(event)
        fold = Fold.resume(json.loads(fold.encode()), limits)
        for event in events[cut:]:
            fold.apply(event)
        state = json.loads(fold.encode())
        assert {name: state[name] for name in case["expect"]} == case["expect"]


@each("folding", "cases")
def test_an_expected_state_is_one_that_clients_read(case: Json) -> None:
    needed = {"session_id": "job-7", "epoch": EPOCH, "seq": 0, "status": "running"}
    SessionSnapshot.model_validate({**needed, **case["expect"]})


# Codes


def test_the_code_vectors_are_the_code_table() -> None:
    found = [
        (row["name"], row["http"], row["websocket"], row["retryable"])
        for row in vectors("close_codes")["codes"]
    ]
    assert found == [(c.name, c.http, c.websocket, c.retryable) for c in CODES.values()]


# URLs


@each("urls", "websocket", "url")
def test_only_the_scheme_of_a_url_changes(case: Json) -> None:
    assert websocket_url(case["url"]) == case["expected"]


@each("urls", "routes", "session")
def test_a_route_is_appended_to_the_path_and_a_cursor_to_the_query(case: Json) -> None:
    session, name, after = SessionUrl.parse(case["session"]), case["route"], case["after"]
    url = session.websocket(after) if name == "ws" else session.route(name, after)
    assert url == case["expected"]


@each("urls", "relative", "url")
def test_a_relative_url_is_resolved_against_the_page(case: Json) -> None:
    assert websocket_url(urljoin(case["page"], case["url"])) == case["expected"]


@each("urls", "refused", "why")
def test_what_is_no_url_of_a_session_is_refused(case: Json) -> None:
    with pytest.raises(InvalidUrl):
        websocket_url(case["url"])
    with pytest.raises(InvalidUrl):
        SessionUrl.parse(case["url"])


# The delay before coming back


@each("backoff", "cases", "why")
def test_a_delay_is_drawn(case: Json) -> None:
    backoff = Backoff(Settings(), lambda: case["random"])
    if case["window"] is not None:
        backoff.advise(case["window"])
    for _ in range(case["attempt"]):
        backoff.next_delay()
    assert backoff.attempt == case["attempt"]
    delay = backoff.next_delay(case["at_least"], drawn=case["drawn"])
    assert delay == pytest.approx(case["expected"], abs=1e-9)


@each("backoff", "windows", "why")
def test_a_window_is_advised(case: Json) -> None:
    backoff = Backoff(Settings(), lambda: 0.5)
    for frame, window in case["told"]:
        backoff.welcome(window) if frame == "welcome" else backoff.advise(window)
    assert 2 * backoff.next_delay() == pytest.approx(case["expected"], abs=1e-9)


# Server-sent events


def sse_reader() -> SseReader:
    return SseReader(Settings().max_message_bytes)


def read_sse(stream: bytes, cuts: list[int]) -> tuple[list[SseMessage], str, int | None]:
    """Feeds a stream in the pieces between the cuts."""
    reader, messages = sse_reader(), []
    for start, end in pairwise([0, *cuts, len(stream)]):
        messages += reader.feed(stream[start:end])
    return messages, reader.last_id, reader.retry


@each("sse", "cases")
def test_a_stream_is_read_however_it_is_cut(case: Json) -> None:
    stream = bytes.fromhex(case["hex"]) if "hex" in case else case["stream"].encode()
    assert all(0 < cut < len(stream) for cut in case["cuts"])
    expected = [SseMessage(**message) for message in case["messages"]]
    whole, places = (expected, case["last_id"], case["retry"]), range(1, len(stream))
    assert read_sse(stream, []) == whole
    assert read_sse(stream, case["cuts"]) == whole
    assert read_sse(stream, list(places)) == whole
    for place in places:
        assert read_sse(stream, [place]) == whole
    random = Random(case["name"])
    for _ in range(50):
        assert read_sse(stream, [cut for cut in places if random.random() < 0.3]) == whole


# The page


def protocol_page() -> str:
    return (ROOT.parent / "docs" / "protocol.md").read_text(encoding="utf-8")


def protocol_rows(heading: str) -> list[list[str]]:
    """Returns the cells of the tables under a heading of the protocol."""
    section = re.split(r"\n##+ ", protocol_page().split(f"\n## {heading}\n")[1])[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def test_the_protocol_has_the_code_table() -> None:
    found = [[cell.strip("`") for cell in row] for row in protocol_rows("Codes")]
    assert found == [
        [c.name, str(c.http or "-"), str(c.websocket), c.retry, c.sentence] for c in CODES.values()
    ]


def test_every_example_in_the_protocol_is_json() -> None:
    examples = re.findall(r"```json\n(.*?)```", protocol_page(), re.DOTALL)
    assert len(examples) > 10
    for example in examples:
        json.loads(example)


def test_the_protocol_lists_the_fields_of_every_event() -> None:
    expected = {case["wire"]["type"]: case["fields"].keys() for case in vectors("frames")["events"]}
    for cells in protocol_rows("Events"):
        for type_ in re.findall(r"`([a-z]+\.[a-z]+)`", cells[0]):
            named = {name.strip("?") for name in re.findall("`([a-z_]+\\??)`", cells[1])}
            assert expected[type_] <= named | {"truncated_bytes"}
