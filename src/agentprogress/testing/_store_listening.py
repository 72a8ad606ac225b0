"""Wake-ups: who is woken by what, and how a wait ends without one."""

# ruff: noqa: PLR2004 (expected values are literals)

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping

import pytest

from .._core.states import SessionStatus
from ..abc import Listener, Store
from ._store_case import (
    EPOCH,
    LONG,
    StoreCase,
    append,
    at_once,
    event,
    events,
    expected,
    session_lease,
)

__all__ = ["ListenTests"]

# Seconds that a wake-up may take, and one that does not come is not waited for.
_PATIENCE = 10.0


class ListenTests(StoreCase):
    """A listener only wakes; what it may not do is to leave somebody asleep."""

    @pytest.fixture
    def listener(self, store: Store) -> Iterator[Listener]:
        """One that follows the sessions ``a`` and ``b``, of which there is only ``a``."""
        self.begin(store, "a")
        listener = store.listen()
        listener.follow(["a", "b"])
        yield listener
        listener.close()

    def woken(self, listener: Listener, session_id: str) -> Mapping[str, str] | None:
        """Waits until one is woken; returns all who were, None where they cannot be told."""
        woken: dict[str, str] = {}
        late = threading.Event()

        def give_up() -> None:
            late.set()
            listener.interrupt()

        # The listener's own time may stand still.
        timer = threading.Timer(_PATIENCE, give_up)
        timer.start()
        try:
            while session_id not in woken:
                found = listener.wait(LONG)
                if found is None:
                    return None
                woken |= found
                assert session_id in woken or not late.is_set(), f"{session_id} was not woken."
        finally:
            timer.cancel()
        return woken

    def test_an_append_wakes(self, store: Store, listener: Listener) -> None:
        self.add(store, append(*events(3), session_id="a"))
        woken = self.woken(listener, "a")
        assert woken is None or woken in ({"a": f"{EPOCH}-3"}, {"a": ""})

    def test_an_append_without_events_wakes(self, store: Store, listener: Listener) -> None:
        self.add(store, append(*events(3), session_id="a"))
        self.woken(listener, "a")
        self.add(store, append(session_id="a", status=SessionStatus.WAITING, lease=0))
        self.altered(listener, "a")

    def test_what_is_wrong_with_a_producer_wakes_and_so_does_that_it_is_not_any_more(
        self, store: Store, listener: Listener
    ) -> None:
        for stalled in ("event_loop_blocked", ""):
            lease = session_lease(session_id="a", stalled=stalled)
            assert store.renew([lease]) == [True]
            self.altered(listener, "a")

    def test_events_do_not_hide_what_else_is_new(self, store: Store, listener: Listener) -> None:
        assert store.renew([session_lease(session_id="a", stalled="blocked")]) == [True]
        self.add(store, append(event(1), session_id="a"))
        self.altered(listener, "a")

    def altered(self, listener: Listener, session_id: str) -> None:
        """Sees to it that one is told to have changed by more than events."""
        woken = self.woken(listener, session_id)
        assert woken is None or woken[session_id] == ""

    def test_an_append_of_another_connection_wakes(self, store: Store, listener: Listener) -> None:
        with self.second(store) as again:
            self.add(again, append(event(1), session_id="a"))
            self.woken(listener, "a")

    def test_a_wake_up_is_of_what_can_be_read(self, store: Store, listener: Listener) -> None:
        def write() -> None:
            for number in range(20):
                self.add(store, append(event(number), session_id="a"))

        def follow() -> None:
            for head in range(20):
                while self.found(store, "a").head <= head:
                    self.woken(listener, "a")

        at_once([write, follow])
        assert self.found(store, "a").head == 20

    def test_a_claim_wakes(self, store: Store, listener: Listener) -> None:
        self.begin(store, "b")
        self.altered(listener, "b")
        self.begin(store, "a", expected=expected(self.found(store, "a")), fence=2)
        self.altered(listener, "a")

    def test_the_end_and_a_deletion_wake(self, store: Store, listener: Listener) -> None:
        self.end(store, "a")
        self.woken(listener, "a")
        assert store.delete("a", LONG)
        self.altered(listener, "a")

    def test_who_is_not_followed_is_not_told(self, store: Store, listener: Listener) -> None:
        self.begin(store, "c")
        self.add(store, append(event(1), session_id="c"))
        self.add(store, append(event(1), session_id="a"))
        assert "c" not in (self.woken(listener, "a") or {})

    def test_who_is_followed_no_more_is_not_told(self, store: Store, listener: Listener) -> None:
        listener.unfollow(["a", "unknown"])
        self.add(store, append(event(1), session_id="a"))
        self.begin(store, "b")
        assert "a" not in (self.woken(listener, "b") or {})
        listener.follow(["a"])
        self.add(store, append(event(2), session_id="a"))
        self.woken(listener, "a")

    def test_a_second_follow_leaves_the_first(self, store: Store, listener: Listener) -> None:
        listener.follow(["c"])
        self.add(store, append(event(1), session_id="a"))
        self.woken(listener, "a")

    def test_many_are_followed(self, store: Store) -> None:
        listener = store.listen()
        ids = [f"s{number}" for number in range(300)]
        listener.follow(ids)
        self.begin(store, ids[0])
        self.woken(listener, ids[0])
        self.begin(store, ids[-1])
        self.woken(listener, ids[-1])
        listener.close()

    def test_every_listener_is_woken(self, store: Store, listener: Listener) -> None:
        other = store.listen()
        other.follow(["a"])
        self.add(store, append(event(1), session_id="a"))
        self.woken(listener, "a")
        self.woken(other, "a")
        other.close()
        self.add(store, append(event(2), session_id="a"))
        self.woken(listener, "a")

    def test_a_wait_without_news_is_over_after_its_time(self, store: Store) -> None:
        listener = store.listen()
        assert not listener.wait(0)
        listener.follow(["a"])
        assert not listener.wait(0)
        listener.close()

    def test_a_listener_may_be_closed_twice(self, store: Store, listener: Listener) -> None:
        listener.close()
        listener.close()
        self.add(store, append(event(1), session_id="a"))

    def test_an_interrupt_ends_a_wait_that_has_not_begun(self, listener: Listener) -> None:
        listener.interrupt()
        assert not listener.wait(LONG)

    def test_an_interrupt_ends_a_wait(self, listener: Listener) -> None:
        done: list[object] = []
        self.run(lambda: done.append(listener.wait(LONG)), listener.interrupt)
        assert len(done) == 1

    def test_a_wake_up_ends_a_wait(self, store: Store, listener: Listener) -> None:
        woken: list[object] = []
        self.run(
            lambda: woken.append(self.woken(listener, "a")),
            lambda: self.add(store, append(event(1), session_id="a")),
        )
        assert len(woken) == 1

    def run(self, wait: Callable[[], object], wake: Callable[[], object]) -> None:
        """Waits in a thread, and wakes it when that has begun."""
        begun = threading.Event()

        def run() -> None:
            begun.set()
            wait()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        assert begun.wait(_PATIENCE)
        wake()
        thread.join(3 * _PATIENCE)
        assert not thread.is_alive()
