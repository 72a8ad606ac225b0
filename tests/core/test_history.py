from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprogress._core.encode import Encoder
from agentprogress._core.fold import Fold
from agentprogress._core.history import History, Join, Missed, Resume
from agentprogress._core.outbox import Encoded
from agentprogress.settings import Settings
from tests.strategies import RUNS, TINY

EPOCH = "0123456789"
TIME = "2026-11-22T19:30:00.000Z"


def log(message: str = "m", limits: Settings | None = None) -> Encoded:
    wire = {"type": "log.message", "level": "info", "message": message}
    return Encoded(TIME, Encoder(limits or Settings()).lenient(wire))


def history(events: int, *, keep: int = 1000, swept: bool = False) -> History:
    made = History("s", EPOCH, Settings(max_history_events=keep))
    made.append(log(str(n)) for n in range(events))
    if swept:
        made.sweep()
    return made


def seqs(made: History) -> list[int]:
    return [json.loads(frame)["seq"] for frame in made.page(made.oldest - 1, 10_000).frames]


def test_each_event_gets_the_next_seq_in_front_of_its_own_bytes() -> None:
    made = history(2)
    assert made.page(0, 1).frames == [
        b'{"seq":1,"time":"2026-11-22T19:30:00.000Z","type":"log.message","level":"info","message":"0"}'
    ]
    assert (made.head, made.oldest, len(made), seqs(made)) == (2, 1, 2, [1, 2])


EMPTY = (0, 1000, False)  # nothing yet
WHOLE = (9, 1000, False)  # all of 9 events
TRIMMED = (9, 4, False)  # 6 to 9, the base at 5
SWEPT = (9, 1000, True)  # the state at 9 only

FRESH = Join(Resume.FRESH, 0)


@pytest.mark.parametrize(
    ("log_", "cursor", "answer"),
    [
        (EMPTY, None, FRESH),
        (EMPTY, f"{EPOCH}-0", Join(Resume.EXACT, 0)),
        (EMPTY, f"{EPOCH}-1", Join(Resume.RESET, 0)),
        (WHOLE, None, FRESH),
        (WHOLE, f"{EPOCH}-0", Join(Resume.EXACT, 0)),
        (WHOLE, f"{EPOCH}-5", Join(Resume.EXACT, 5)),
        (WHOLE, f"{EPOCH}-9", Join(Resume.EXACT, 9)),
        (WHOLE, f"{EPOCH}-10", Join(Resume.RESET, 0)),
        (WHOLE, "abcdefghij-5", Join(Resume.RESET, 0)),
        (WHOLE, "nonsense", Join(Resume.RESET, 0)),
        (WHOLE, "", Join(Resume.RESET, 0)),
        (TRIMMED, None, Join(Resume.SNAPSHOT, 5, snapshot=True)),
        (TRIMMED, f"{EPOCH}-5", Join(Resume.EXACT, 5)),
        (TRIMMED, f"{EPOCH}-9", Join(Resume.EXACT, 9)),
        (TRIMMED, f"{EPOCH}-4", Join(Resume.GAP, 5, Missed(5, 5, "evicted"), snapshot=True)),
        (TRIMMED, f"{EPOCH}-0", Join(Resume.GAP, 5, Missed(1, 5, "evicted"), snapshot=True)),
        (TRIMMED, f"{EPOCH}-10", Join(Resume.RESET, 5, snapshot=True)),
        (TRIMMED, "abcdefghij-7", Join(Resume.RESET, 5, snapshot=True)),
        (SWEPT, None, Join(Resume.SNAPSHOT, 9, snapshot=True)),
        (SWEPT, f"{EPOCH}-9", Join(Resume.EXACT, 9)),
        (SWEPT, f"{EPOCH}-3", Join(Resume.GAP, 9, Missed(4, 9, "evicted"), snapshot=True)),
        (SWEPT, "abcdefghij-9", Join(Resume.RESET, 9, snapshot=True)),
    ],
)
def test_every_join_has_its_definite_answer(
    log_: tuple[int, int, bool], cursor: str | None, answer: Join
) -> None:
    events, keep, swept = log_
    assert history(events, keep=keep, swept=swept).join(cursor) == answer


LIMITS = [TINY, Settings(max_history_events=5), Settings(max_history_events=1)]


@given(RUNS, st.sampled_from(LIMITS), st.lists(st.integers(1, 4), min_size=1))
def test_bounds_hold_bytes_add_up_and_nothing_of_the_state_is_lost(
    run: list[dict[str, Any]], limits: Settings, sizes: list[int]
) -> None:
    encoder = Encoder(limits)
    entries: list[Encoded] = []
    for wire in run:
        try:
            entries.append(Encoded(TIME, encoder.lenient(wire)))
        except ValueError:
            continue
    made, whole, start = History("s", EPOCH, limits), Fold("s", EPOCH, limits), 0
    for round_ in range(len(entries)):
        chunk = entries[start : (start := start + sizes[round_ % len(sizes)])]
        made.append(chunk)
        for time, body in chunk:
            whole.apply({"seq": whole.seq + 1, "time": time, **json.loads(body)})
        frames = made.page(made.oldest - 1, 10_000).frames
        assert made.size_bytes == sum(map(len, frames))
        assert len(frames) <= limits.max_history_events
        assert made.size_bytes <= limits.max_history_bytes
        assert seqs(made) == list(range(made.oldest, made.head + 1))
        base = json.loads(made.base_json())
        assert base["seq"] == made.oldest - 1
        tail = Fold.resume(base, limits)
        for frame in frames:
            tail.apply_frame(frame)
        assert tail.state() == whole.state() == json.loads(made.head_json())
    assert made.head == len(entries)


def test_shrinking_lowers_the_bound_for_good() -> None:
    made = history(100)
    made.shrink(1000)
    assert made.size_bytes <= 1000
    made.append([log() for _ in range(100)])
    assert made.size_bytes <= 1000
    assert seqs(made)[-1] == made.head == 200


def test_an_event_larger_than_the_bound_is_only_in_the_state() -> None:
    made = history(3)
    made.shrink(10)
    assert (len(made), made.size_bytes, made.oldest, made.head) == (0, 0, 4, 3)
    assert json.loads(made.base_json())["seq"] == 3


def test_sweeping_keeps_the_state_and_lets_every_event_go() -> None:
    made = history(9)
    before = made.head_json()
    made.sweep()
    assert (len(made), made.size_bytes, made.oldest) == (0, 0, 10)
    assert made.base_json() == before
    assert made.batch(9) is None


def test_batches_lead_from_any_position_to_the_head_without_a_hole() -> None:
    limits = Settings(max_batch_events=4, max_batch_bytes=500)
    made = History("s", EPOCH, limits)
    made.append([log("x" * (n * 37 % 400)) for n in range(50)])
    for start in range(51):
        position, found = start, list[int]()
        while (batch := made.batch(position)) is not None:
            assert len(batch.frames) <= 4
            assert len(batch.frames) == 1 or len(batch.websocket) <= 501
            found += [json.loads(frame)["seq"] for frame in batch.frames]
            position = batch.last
        assert found == list(range(start + 1, 51))


def test_those_who_stand_at_the_same_position_share_a_batch_until_it_is_quiet() -> None:
    made = history(3)
    batch = made.batch(0)
    made.append([log()])
    assert made.batch(0) is batch
    made.forget_batches()
    again = made.batch(0)
    assert again is not None
    assert again.last == 4


def test_a_larger_frame_goes_alone() -> None:
    made = History("s", EPOCH, Settings(max_batch_bytes=100))
    made.append([log("x" * 500), log("y")])
    batch = made.batch(0)
    assert batch is not None
    assert (batch.first, batch.last) == (1, 1)


def test_the_state_at_the_head_moves_on_with_it() -> None:
    made = History("s", EPOCH, Settings(max_history_events=3))
    for n in range(1, 12):
        made.append([log(str(n))])
        state = json.loads(made.head_json())
        assert (state["seq"], state["logs"][-1]["message"]) == (n, str(n))
        assert len(state["logs"]) + state["omitted"].get("logs", 0) == n
