from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentprogress._core.wheel import Wheel

ITEMS = st.integers(0, 5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), ITEMS, st.floats(0, 30)),
        st.tuples(st.just("discard"), ITEMS, st.just(0.0)),
        st.tuples(st.just("due"), st.integers(0, 4), st.floats(0, 10)),
    ),
    max_size=60,
)


class NaiveDeadlines:
    """One deadline for each item, found by looking at all of them."""

    def __init__(self) -> None:
        self.slots: dict[int, int] = {}

    def put(self, item: int, deadline: float) -> None:
        self.slots[item] = int(-(-deadline // 1))

    def due(self, now: float) -> set[int]:
        return {item for item, slot in self.slots.items() if slot <= now}


@given(STEPS)
def test_it_does_what_looking_at_every_deadline_would_do(
    steps: list[tuple[str, int, float]],
) -> None:
    wheel: Wheel[int] = Wheel()
    naive = NaiveDeadlines()
    now = 0.0
    for action, item, amount in steps:
        if action == "set":
            wheel.set(item, now + amount)
            naive.put(item, now + amount)
        elif action == "discard":
            wheel.discard(item)
            naive.slots.pop(item, None)
        else:
            now += amount
            expected = naive.due(now)
            found = wheel.due(now, item)
            assert len(found) == min(item, len(expected))
            assert set(found) <= expected
            for each in found:
                # the earliest first, and each once
                assert naive.slots[each] <= min(naive.slots[other] for other in expected)
                del naive.slots[each]
                expected.discard(each)
        assert len(wheel) == len(naive.slots)
        assert wheel.next_deadline() == (min(naive.slots.values()) if naive.slots else None)


@given(st.lists(st.tuples(ITEMS, st.floats(0, 1000))))
def test_nothing_is_due_before_its_deadline_or_a_slot_after_it(
    deadlines: list[tuple[int, float]],
) -> None:
    wheel: Wheel[int] = Wheel()
    last = dict(deadlines)
    for item, deadline in deadlines:
        wheel.set(item, deadline)
    while (now := wheel.next_deadline()) is not None:
        for item in wheel.due(now, 100):
            assert last[item] <= now <= last[item] + 1


def test_when_everything_is_gone_nothing_is_kept() -> None:
    wheel: Wheel[str] = Wheel()
    for deadline in range(100):
        wheel.set("moved", float(deadline))
    wheel.set("other", 5.0)
    wheel.discard("other")
    assert wheel.due(100.0, 10) == ["moved"]
    assert (len(wheel), wheel.next_deadline()) == (0, None)
    assert wheel._slots == {}
    assert wheel._occupied == []


def test_discarding_what_was_never_set_is_no_error() -> None:
    Wheel[str]().discard("nobody")
