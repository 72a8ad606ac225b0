"""What is sent: the log lines and, for the peers, the ready-made JSON text of the same events.

The peers get their text for nothing, before the clock starts; agentprogress validates and encodes
each event itself.
"""

import os
import time

EVENTS = int(os.environ.get("BENCHMARK_EVENTS", "10000"))
"""How many events the server under test sends to each subscriber; the parent sets it."""

FLOW_EVENTS = 250
"""After how many events a producer lets its subscribers catch up."""

HISTORY_EVENTS = 1_000
"""How many events are kept for late subscribers, where a library keeps any: our default."""

WELCOME = '{"type":"welcome"}'
"""What a peer sends to a subscriber once it is sure to get every event, as agentprogress does."""

WELCOME_MARK = b'"welcome"'
EVENT_MARK = b'"log.message"'
"""Stands exactly once in each event and in nothing else that is sent."""

FILL_EVENTS = 1_200
"""More than history keeps, so that who does not read has fallen off it."""

FILL_PADDING = " " + 900 * "="
"""Makes the lines that fill buffers ten times as long: 1.2 MB of them."""

FILL_FLUSH = 100

TIME_MARK = b"sent at "
"""Stands before the time in each line that tells it."""


def line(number: int) -> str:
    """Returns a log line of 100 characters, different for each number."""
    return (
        f"worker-{number % 8} fetched page {number:06d} of https://reports.example.com/2026/q3 "
        f"in {200 + number % 700} ms, 48213 bytes, HTTP 200"
    )


def event_text(number: int, seq: int) -> str:
    """Returns the JSON text of event `number`, as agentprogress sends it."""
    time = f"2026-01-31T12:{number // 60 % 60:02d}:{number % 60:02d}.125Z"
    return (
        f'{{"seq":{seq},"type":"log.message","time":"{time}",'
        f'"level":"info","message":"{line(number)}"}}'
    )


def timed_line(text: str) -> str:
    """Returns a log line that tells when it was sent, in nanoseconds of the monotonic clock."""
    return f"{text} {TIME_MARK.decode()}{time.monotonic_ns():020d}"
