"""A real cluster for tests: three engines that share the slots."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Self

import redis

from .engines import HOST, Engine, Kind, Options, ask, until

__all__ = ["Cluster"]

SLOTS = 16384


class Cluster:
    """Three nodes that share the slots, without replicas. Runs in a `with` block."""

    def __init__(self, kind: Kind, options: Options | None = None) -> None:
        options = replace(options or Options(), cluster=True)
        self.nodes = [Engine(kind, options) for _ in range(3)]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for node in self.nodes:
                stack.enter_context(node)
            self._found()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """The address of one node, by which a client finds the others."""
        return self.nodes[0].url

    def client(self, **options: Any) -> redis.RedisCluster:
        """Returns a client of all nodes; to be closed by whoever asked for it."""
        return redis.RedisCluster.from_url(self.url, **{"socket_timeout": 10} | options)

    def refresh(self) -> None:
        """Makes all nodes run and agree, with no data and no scripts, whatever was done to them."""
        for node in self.nodes:
            node.refresh()
        self._await_agreement()

    def _found(self) -> None:
        bounds = [SLOTS * part // len(self.nodes) for part in range(len(self.nodes) + 1)]
        for number, node in enumerate(self.nodes):
            with node.client() as client:
                ask(client, "CLUSTER SET-CONFIG-EPOCH", number + 1)
                slots = bounds[number], bounds[number + 1] - 1
                ask(client, "CLUSTER ADDSLOTSRANGE", *slots)
                for other in self.nodes[:number]:
                    ask(client, "CLUSTER MEET", HOST, other.port, other.bus_port)
        self._await_agreement()

    def _await_agreement(self) -> None:
        for node in self.nodes:
            with node.client() as client:
                until(partial(self._agrees, client))

    def _agrees(self, client: redis.Redis) -> bool:
        """True when all is well to a node, and it knows all: right after a start it knows less."""
        info = ask(client, "CLUSTER INFO")
        return (
            info["cluster_state"] == "ok"
            and int(info["cluster_slots_ok"]) == SLOTS
            and int(info["cluster_known_nodes"]) == int(info["cluster_size"]) == len(self.nodes)
        )
