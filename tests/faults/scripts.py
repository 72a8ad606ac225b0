"""Small programs without an event loop, as people write them; each is run in its own process."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable

from agentprogress import SessionRegistry

__all__: list[str] = []


def plain(url: str) -> None:
    """The registry and its session in blocks; it ends right after its last event."""
    with SessionRegistry(store=url) as registry, registry.open(session_id="plain") as session:
        for number in range(1, 1_001):
            session.log(f"{number}")
        session.complete({"done": 1_000})


def forgetful(url: str) -> None:
    """Nobody enters the registry, nor leaves it."""
    registry = SessionRegistry(store=url)
    with registry.open(session_id="forgetful") as session:
        for number in range(1, 1_001):
            session.log(f"{number}")


def careless(url: str) -> None:
    """The session's block is not left either: the process ends in the middle of it."""
    registry = SessionRegistry(store=url)
    block = registry.open(session_id="careless")
    session = block.__enter__()
    for number in range(1, 1_001):
        session.log(f"{number}")


def crashing(url: str) -> None:
    """It ends by an exception that nobody catches."""
    registry = SessionRegistry(store=url)
    with registry.open(session_id="crashing") as session:
        session.log("1")
        raise KeyError("nobody catches this")


def flushing(url: str) -> None:
    """What is flushed is stored: it ends without any chance to do more."""
    with SessionRegistry(store=url) as registry, registry.open(session_id="flushing") as session:
        for number in range(1, 1_001):
            session.log(f"{number}")
        session.flush_sync(20)
        os._exit(0)


def forked(url: str) -> None:
    """Forks in the middle of its work; parent and child both go on, with a session each."""
    with SessionRegistry(store=url) as registry, registry.open(session_id="parent") as session:
        session.log("1")
        session.flush_sync(20)
        child = os.fork()
        if not child:
            with registry.open(session_id="child") as mine:
                mine.log("1")
                mine.flush_sync(20)
                mine.log("2")
            os._exit(0)
        session.log("2")
        session.flush_sync(20)
        _, status = os.waitpid(child, 0)
        session.log("3")
    sys.exit(os.waitstatus_to_exitcode(status))


def pooled(url: str) -> None:
    """A registry made once at import, used by workers that are forked off, as Celery's are."""
    registry = _shared["registry"] = SessionRegistry(store=url)
    with registry.open(session_id="boss") as session:
        session.log("1")
        session.flush_sync(20)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            pool.map(_work, ["worker-0", "worker-1", "worker-2", "worker-3"])
            pool.close()
            pool.join()
        session.log("2")


_shared: dict[str, SessionRegistry] = {}


def _work(session_id: str) -> None:
    with _shared["registry"].open(session_id=session_id) as session:
        for number in range(1, 101):
            session.log(f"{number}")


_SCRIPTS: dict[str, Callable[[str], None]] = {
    script.__name__: script
    for script in (plain, forgetful, careless, crashing, flushing, forked, pooled)
}

if __name__ == "__main__":
    _SCRIPTS[sys.argv[1]](sys.argv[2])
