"""What sessions in a store cost: commits, latency, deliveries, memory, and what idles.

A store is a real one: a valkey-server that this process starts, and a database file of its own.
Who produces or follows is a process of its own.
"""

from collections.abc import Callable

from ..figures import Figure
from ..plan import Plan
from . import commits, gateways, idle, latency, served
from .places import folder, server

__all__ = ["figures"]


def figures(plan: Plan, progress: Callable[[str], None]) -> list[Figure]:
    """Measures all of it, on one server and in one folder."""
    rounds, seconds = plan.store_rounds, plan.store_seconds
    with server() as redis, folder() as sqlite:
        return [
            *commits.figures(redis, sqlite, rounds, plan.store_events, progress),
            *latency.figures(redis, sqlite, rounds, seconds, progress),
            *gateways.figures(redis, rounds, plan.store_followers, seconds, progress),
            *served.figures(redis, rounds, plan.store_followers, seconds, progress),
            *idle.figures(
                redis,
                sqlite,
                plan.store_idle_rounds,
                plan.store_sessions,
                plan.store_idle_seconds,
                progress,
            ),
        ]
