"""Calls to the nodes of a Redis Cluster, each to the one that has its keys.

The client library knows which node that is. Its own pipelines send again what may have been done
already, and a claim that is repeated is refused; so calls are sent from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Call", "Redirection", "Router"]

Call = tuple[Any, ...]

# A slot on its way to another node is asked for there, and asked for there again once it has
# arrived; more often than that it does not move while we look.
_MAX_TURNS = 4


@dataclass(frozen=True, slots=True)
class Redirection:
    """A node's answer to a call that it has not run.

    Attributes:
        asking: only this call belongs there; the slot is still on its way.
    """

    host: str
    port: int
    asking: bool


@dataclass(frozen=True, slots=True)
class _Route:
    number: int
    node: Any
    asking: bool = False


class Router:
    """See the module."""

    def __init__(
        self,
        topology: Any,
        send: Callable[[Any, Sequence[Call]], list[Any]],
        redirection: Callable[[Any], Redirection | None],
    ) -> None:
        """Takes what is of the client library.

        Args:
            topology: its cluster client.
            send: sends calls to one node at once, given that node's client.
            redirection: reads an answer.
        """
        self._topology = topology
        self._send = send
        self._redirection = redirection

    def ask(self, calls: Sequence[Call]) -> list[Any]:
        """Returns the answer to each call; one that was turned away to the end has that one."""
        answers: list[Any] = [None] * len(calls)
        routes = [_Route(number, self._owner(call)) for number, call in enumerate(calls)]
        for _ in range(_MAX_TURNS):
            for there in _by_node(routes):
                self._ask_node(there, calls, answers)
            routes = list(self._redirected(calls, answers))
            if not routes:
                break
        return answers

    def _owner(self, call: Call) -> Any:
        # EVALSHA sha numkeys key …
        return self._topology.get_node_from_key(call[3])

    def _ask_node(
        self, routes: Sequence[_Route], calls: Sequence[Call], answers: list[Any]
    ) -> None:
        sent: list[Call] = []
        places: list[int] = []
        for route in routes:
            if route.asking:
                sent.append(("ASKING",))
            places.append(len(sent))
            sent.append(calls[route.number])
        received = self._send(self._topology.get_redis_connection(routes[0].node), sent)
        for route, place in zip(routes, places, strict=True):
            answers[route.number] = received[place]

    def _redirected(self, calls: Sequence[Call], answers: Sequence[Any]) -> Iterator[_Route]:
        """Yields where to send again what was not run."""
        away = [(n, there) for n, a in enumerate(answers) if (there := self._redirection(a))]
        if away:
            self._topology.nodes_manager.initialize()
        for number, there in away:
            if there.asking:
                yield _Route(number, self._topology.get_node(there.host, there.port), asking=True)
            else:
                yield _Route(number, self._owner(calls[number]))


def _by_node(routes: Sequence[_Route]) -> Iterator[list[_Route]]:
    groups: dict[str, list[_Route]] = {}
    for route in routes:
        groups.setdefault(route.node.name, []).append(route)
    yield from groups.values()
