"""Calls to the nodes of a Redis Cluster, each to the one that has its keys.

The client library knows which node that is. Its own pipelines send again what may have been done
already, and a claim that is repeated is refused; so calls are sent from here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

__all__ = ["Call", "Router", "Silences"]

T = TypeVar("T")

Call = tuple[Any, ...]

# How often a slot may have moved while we look.
_MAX_TURNS = 3
# For how many times as long as a node has kept us waiting in vain it is not asked.
_REST = 4


class Router:
    """See the module.

    A slot that is on its way from one node to another is on neither until it has arrived: both turn
    calls away that name a key which is not there, as nearly all of ours do, so nothing would come
    of following ASK.
    """

    def __init__(
        self,
        topology: Any,
        send: Callable[[Any, Sequence[Call]], list[Any]],
        moved: Callable[[Any], bool],
    ) -> None:
        """Takes what is of the client library.

        Args:
            topology: its cluster client.
            send: sends calls to one node at once, given that node's client.
            moved: whether an answer says that the slot has moved, and the call was not run.
        """
        self._topology = topology
        self._send = send
        self._moved = moved

    def ask(self, calls: Sequence[Call]) -> list[Any]:
        """Returns the answer to each call; one that was turned away to the end has that one."""
        answers: list[Any] = [None] * len(calls)
        left = list(range(len(calls)))
        for _ in range(_MAX_TURNS):
            for node, there in self._by_node(calls, left):
                client = self._topology.get_redis_connection(node)
                answered = self._send(client, [calls[number] for number in there])
                for number, answer in zip(there, answered, strict=True):
                    answers[number] = answer
            left = [number for number in left if self._moved(answers[number])]
            if not left:
                break
            self._topology.nodes_manager.initialize()
        return answers

    def _by_node(
        self, calls: Sequence[Call], numbers: Sequence[int]
    ) -> Iterator[tuple[Any, list[int]]]:
        groups: dict[str, tuple[Any, list[int]]] = {}
        for number in numbers:
            # EVALSHA sha numkeys key …
            node = self._topology.get_node_from_key(calls[number][3])
            groups.setdefault(node.name, (node, []))[1].append(number)
        yield from groups.values()


class Silences:
    """Nodes that have kept us waiting in vain, and are not asked for a while.

    Whoever waits for a node that hangs does nothing for the sessions on all others. One that is
    gone, and turns us away at once, costs nothing and is asked each time.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        # By node: until when it is not asked, and why.
        self._silent: dict[str, tuple[float, Exception]] = {}

    def on(self, node: str) -> bool:
        """Whether a node, by its ``host:port``, has to rest."""
        return node in self._silent and self._monotonic() < self._silent[node][0]

    def ask(self, node: str, question: Callable[[], T]) -> T:
        """Asks a node; where it has to rest, raises what it last raised."""
        if self.on(node):
            raise self._silent[node][1].with_traceback(None)
        begun = self._monotonic()
        try:
            answer = question()
        except Exception as error:
            now = self._monotonic()
            self._silent[node] = now + _REST * (now - begun), error
            raise
        self._silent.pop(node, None)
        return answer
