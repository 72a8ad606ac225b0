"""What the workers of both queues do: a job that is at work until it is told to end."""

from __future__ import annotations

import os

import redis

from agentprogress import SessionRegistry

__all__ = ["tell_to_end", "work_until_told"]

# Longer than any test.
_PATIENCE = 60


def work_until_told(registry: SessionRegistry, url: str, session_id: str) -> None:
    """Says in whose process it is at work, and ends with that process's id for a result."""
    with registry.open(session_id=session_id, existing="resume") as session:
        session.log("at work", pid=os.getpid())
        session.flush_sync()
        with redis.Redis.from_url(url, socket_timeout=None) as client:
            client.blpop([_word(session_id)], timeout=_PATIENCE)
        session.complete(os.getpid())


def tell_to_end(url: str, session_id: str) -> None:
    """Lets the job end, once it is at work: a word would be lost with a process that is killed."""
    with redis.Redis.from_url(url) as client:
        client.rpush(_word(session_id), "end")


def _word(session_id: str) -> str:
    return f"test:end:{session_id}"
