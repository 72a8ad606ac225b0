"""Two processes that want the same session at the same time."""

from __future__ import annotations

import pytest

from .conftest import StartPeer
from .kit import entries_in

pytestmark = pytest.mark.server

ROUNDS = 40


def test_of_two_processes_that_open_an_id_at_once_exactly_one_has_it(
    url: str, start_peer: StartPeer
) -> None:
    peers = [start_peer(url) for _ in range(2)]
    for peer in peers:
        peer.ask("stats")  # it is there
    ids = [f"race-{number}" for number in range(ROUNDS)]
    for session_id in ids:
        for peer in peers:
            peer.tell("try", session_id=session_id)
        assert sorted(peer.answer() for peer in peers) == [False, True]
        peers.reverse()
    for peer in peers:
        peer.ask("end")
    for session_id in ids:
        types = [entry["type"] for entry in entries_in(url, session_id)]
        assert types == ["session.started", "log.message", "session.completed"]
