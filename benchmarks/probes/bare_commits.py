"""The floor: what one event costs that is committed alone, by the client libraries themselves.

Arguments: "sqlite" and a file, or "redis" and a URL; the events; how many of them go at once.
"""

import sqlite3
import sys
import time
from collections.abc import Callable, Sequence

import redis

from ..payload import event_text
from .turns import answer


def main(kind: str, place: str, events: int, at_once: int) -> None:
    texts = [event_text(number, number + 1) for number in range(events)]
    append = by_sqlite(place) if kind == "sqlite" else by_redis(place)
    began = time.monotonic()
    for first in range(0, events, at_once):
        append(texts[first : first + at_once])
    answer(events / (time.monotonic() - began))


def by_sqlite(file: str) -> Callable[[Sequence[str]], None]:
    """A table of texts, as safe as our store keeps them."""
    db = sqlite3.connect(file, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY, entry TEXT)")

    def append(texts: Sequence[str]) -> None:
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO events (entry) VALUES (?)", [(text,) for text in texts])
        db.execute("COMMIT")

    return append


def by_redis(url: str) -> Callable[[Sequence[str]], None]:
    """A stream, with nothing around it."""
    client = redis.Redis.from_url(url)

    def append(texts: Sequence[str]) -> None:
        if len(texts) == 1:
            client.xadd("events", {"e": texts[0]})
            return
        with client.pipeline(transaction=False) as pipeline:
            for text in texts:
                pipeline.xadd("events", {"e": text})
            pipeline.execute()

    return append


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
