"""Every number of the library, each with a name, a unit and a bound. No other file holds one."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, Self

from .errors import InvalidSettings

__all__ = ["Settings"]

KIB = 1024
MIB = 1024 * KIB
HOUR = 3600.0


def _setting(
    default: Any, doc: str, *, above: float | None = None, least: float | None = None
) -> Any:
    return dataclasses.field(default=default, metadata={"doc": doc, "above": above, "least": least})


def _seconds(default: float | None, doc: str, *, least: float | None = None) -> Any:
    return _setting(default, f"{doc} (seconds)", above=0 if least is None else None, least=least)


def _size(default: int, doc: str, *, least: int = 1) -> Any:
    return _setting(default, f"{doc} (bytes)", least=least)


def _count(default: int, doc: str, *, least: int = 1) -> Any:
    return _setting(default, doc, least=least)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What can be tuned. Durations are seconds, sizes are bytes, counts start with ``max_``.

    Every field is documented, with its unit and default, in ``docs/settings.md``.

    Raises:
        InvalidSettings: a value has the wrong type, is out of its range, or contradicts another.
    """

    # Delivery
    delivery_interval: float = _seconds(0.04, "Shortest time between two publications of a session")
    max_batch_events: int = _count(256, "Events in one write")
    max_batch_bytes: int = _size(64 * KIB, "Size of one write; a larger frame goes alone")
    flush_timeout: float = _seconds(
        1.0, "Longest wait of flush() for subscribers that are not blocked"
    )
    close_flush_timeout: float = _seconds(5.0, "Longest wait for storage when a block is left")

    # History of one session
    max_history_events: int = _count(1_000, "Events retained in a session's history")
    max_history_bytes: int = _size(MIB, "Encoded events retained in a session's history", least=KIB)

    # Snapshot of one session. Its bounds add up to less than 256 KiB where a code point takes one
    # byte, and to less than 512 KiB whatever the text is: what is counted in bytes holds for any
    # text, and a code point takes at most 6 bytes in JSON (a control character).
    #
    #                                                  any text    1 byte each    6 bytes each
    #   steps, artifacts, requests and custom data      159,744
    #   logs                                             32,768
    #   inline result                                    16,384
    #   metadata, detail of the error                     8,192
    #   4 texts with their ids, role and channel            440         34,816         208,896
    #   title, code and message of the error                             1,128           6,768
    #   sums in 20 currencies                               580          2,560          15,360
    #   names of fields, counts, times                    2,000
    #   together                                        220,108         38,504         231,024
    max_logs: int = _count(50, "Log messages in a snapshot")
    max_steps: int = _count(500, "Steps in a snapshot; ended ones go first, oldest first")
    max_texts: int = _count(4, "Texts in a snapshot")
    max_text_chars: int = _count(8_192, "Code points kept of each text in a snapshot, the last")
    max_artifacts: int = _count(100, "Artifacts in a snapshot")
    max_requests: int = _count(20, "Open input requests in a snapshot")
    max_custom: int = _count(20, "Names of custom events, and currencies, in a snapshot")
    max_string_chars: int = _count(500, "Code points of any other string in a snapshot")
    max_value_bytes: int = _size(4 * KIB, "Any one free-form value in a snapshot")
    max_log_bytes: int = _size(32 * KIB, "All log messages in a snapshot")
    max_record_bytes: int = _size(
        156 * KIB, "All steps, artifacts, requests and custom data in a snapshot"
    )

    # Events
    max_event_bytes: int = _size(64 * KIB, "One encoded event", least=KIB)
    max_field_bytes: int = _size(
        8 * KIB, "A step's input, output, message or a log's fields", least=64
    )
    max_id_chars: int = _count(128, "Code points of an id, role, channel or currency", least=32)
    max_delta_chars: int = _count(4_096, "Code points of one text.delta; longer ones are split")
    max_repr_chars: int = _count(
        200, "Characters of the repr that stands for an unencodable value", least=8
    )
    max_result_bytes: int = _size(8 * MIB, "An encoded result", least=KIB)
    max_inline_result_bytes: int = _size(16 * KIB, "Up to here a result travels in the event")

    # Lifetime
    pending_ttl: float = _seconds(24 * HOUR, "Time a reserved session may wait for its producer")
    history_ttl: float = _seconds(900.0, "Time the history is kept, from the session's end")
    result_ttl: float = _seconds(
        24 * HOUR, "Time snapshot and result are kept, from the session's end"
    )
    tombstone_ttl: float = _seconds(24 * HOUR, "Time a tombstone is kept after the result")
    max_sweep: int = _count(1_000, "Removals in one turn of the loop; costly ones count more")

    # Bounds of a process
    max_sessions: int = _count(10_000, "Sessions in a process")
    max_store_bytes: int = _size(
        256 * MIB, "Encoded bytes of all sessions of a process", least=64 * KIB
    )
    event_overhead_bytes: int = _size(
        256, "What an event is counted for beyond its encoding", least=0
    )
    min_history_bytes: int = _size(
        64 * KIB, "Size to which running histories shrink when memory is short", least=KIB
    )
    max_tombstones: int = _count(100_000, "Tombstones in a process")
    max_session_subscribers: int = _count(64, "Subscribers of one session and principal")
    max_subscribers: int = _count(20_000, "Subscribers in a process")

    # Durable stores
    store_wait: float = _seconds(
        30.0, "Longest wait for a store that does not answer, when a session is begun or flushed"
    )
    lease_ttl: float = _seconds(
        30.0, "Time after which a producer that does not renew its lease is stalled", least=0.1
    )
    lost_after: float | None = _seconds(
        90.0, "Time after which a producer that does not renew its lease is lost; None: never"
    )
    live_ttl: float = _seconds(
        7 * 24 * HOUR, "Time after which a store forgets a session that nobody has touched"
    )
    commit_interval: float = _seconds(
        0.002, "Shortest time between two commits of a process", least=0
    )
    news_interval: float = _seconds(
        15.0, "Time without a wake-up after which a store is asked for news"
    )
    replica_ttl: float = _seconds(
        10.0,
        "Time for which a stored session is held here that nobody follows or produces",
        least=0,
    )
    min_store_delay: float = _seconds(0.1, "Shortest delay before a store is tried again")
    max_store_delay: float = _seconds(2.0, "Longest delay before a store is tried again")
    max_append_events: int = _count(1_000, "Events of one session in one commit")
    max_append_bytes: int = _size(MIB, "Events of one session in one commit", least=KIB)
    max_outbox_events: int = _count(
        10_000,
        "Events of a process that wait for a store; above it deltas are merged and logs dropped; "
        "above four times as many only lifecycle events, cancel requests and questions are kept",
    )
    max_outbox_bytes: int = _size(
        16 * MIB,
        "Size of the events of a process that wait for a store; above it, and above four times as "
        "much, the same is given up",
    )
    unbatched_deliveries_per_second: int = _count(
        1_000,
        "A stored session with N followers is published at most every N / this seconds, and never "
        "later than `delivery_interval`",
    )

    # Connections
    heartbeat_interval: float = _seconds(15.0, "Cadence of heartbeats on every connection", least=1)
    pong_timeout: float = _seconds(
        10.0, "Longest wait for the pong of a client that offered to answer", least=1
    )
    write_timeout: float = _seconds(10.0, "Longest time a write may be blocked", least=1)
    snapshot_write_timeout: float = _seconds(
        40.0, "Longest time the write of a snapshot may be blocked", least=1
    )
    close_timeout: float = _seconds(
        2.0, "Longest wait for the peer to close after the end", least=1
    )
    user_timeout: float = _seconds(
        30.0, "Time after which the kernel gives up a peer that takes nothing", least=1
    )
    max_connection_age: float | None = _seconds(
        None, "Age at which a connection is told to reconnect", least=1
    )
    stall_threshold: float = _seconds(1.0, "Lateness of the loop from which deadlines are moved")
    max_client_frame_bytes: int = _size(16 * KIB, "Size of a frame from a client")
    max_wait: float = _seconds(20.0, "Longest ?wait= of a long poll")
    max_page_events: int = _count(1_000, "Events in one page")
    max_listed_sessions: int = _count(100, "Sessions in one list")
    preflight_max_age: float = _seconds(
        600.0, "Time for which a browser may remember that a page may call", least=0
    )
    min_retry_window: float = _seconds(
        0.2, "Smallest window over which clients spread their return"
    )
    max_retry_window: float = _seconds(
        20.0, "Largest window over which clients spread their return"
    )
    max_reconnects_per_second: int = _count(
        1_000, "Rate of returning clients that the retry window aims at"
    )
    max_drain_window: float = _seconds(10.0, "Largest window of the reconnects sent by a drain")

    # Clients
    connect_timeout: float = _seconds(
        10.0, "Longest wait of a client for a connection and for the answer to a handshake"
    )
    silence_timeout: float = _seconds(
        10.0,
        "Silence beyond a heartbeat interval after which a client gives a connection up",
    )
    initial_retry_window: float = _seconds(
        1.0, "Window over which clients spread their return before a server has advised one"
    )
    min_retry_delay: float = _seconds(
        0.1, "Shortest delay before a client's second attempt and all after it", least=0
    )
    max_retry_delay: float = _seconds(20.0, "Longest delay before a client's attempt")
    max_retry_after: float = _seconds(
        900.0, "Longest delay that a server may ask a client for", least=0
    )
    max_heartbeat_interval: float = _seconds(
        300.0, "Longest cadence of heartbeats that a client believes in"
    )
    stable_timeout: float = _seconds(
        5.0, "Time after its welcome at which a connection counts as stable"
    )
    short_stream_timeout: float = _seconds(
        1.0, "Time below which a connection that is cut counts as short"
    )
    max_short_streams: int = _count(
        3, "Short connections in a row after which a client takes the next transport"
    )
    transport_retry_interval: float = _seconds(
        900.0, "Time after which a client tries a transport again that only seemed not to work"
    )
    unknown_timeout: float = _seconds(
        30.0, "Time for which a client comes back to a session that is unknown by now", least=0
    )
    control_timeout: float = _seconds(
        30.0, "Time for which a client repeats a request to cancel or to answer"
    )
    sleep_check_interval: float = _seconds(
        5.0, "Cadence at which a client looks whether its machine has slept"
    )
    max_message_bytes: int = _size(
        512 * KIB, "One message from a server, as a client takes it", least=64 * KIB
    )
    max_buffered_events: int = _count(1_000, "Events that a client holds for its user")
    max_buffered_bytes: int = _size(4 * MIB, "Size of the events that a client holds for its user")

    # Behaviour
    strict: bool = _setting(
        False, "Sugar raises what it would otherwise repair, drop or log (for tests)"
    )
    expose_errors: bool = _setting(
        False, "Viewers see the text of every exception (for development)"
    )
    base_url: str = _setting(
        "/progress", "Where clients find the mounted app; session handles begin with it"
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check(field, getattr(self, field.name))
        for smaller, larger in _ORDERED:
            least, most = getattr(self, smaller), getattr(self, larger)
            if most is not None and least > most:
                raise InvalidSettings(f"{smaller} ({least}) may not exceed {larger} ({most}).")
        # A delta is never cut: escaped to six bytes a code point, it must fit beside its ids.
        if self.max_delta_chars * _DELTA_EVENT_RATIO > self.max_event_bytes:
            raise InvalidSettings(
                f"max_event_bytes ({self.max_event_bytes}) must be at least {_DELTA_EVENT_RATIO} "
                f"times max_delta_chars ({self.max_delta_chars})."
            )

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str] | None = None, *, prefix: str = "AGENTPROGRESS_"
    ) -> Self:
        """Reads settings from environment variables named ``AGENTPROGRESS_<FIELD>``.

        Args:
            environ: the variables; the process's own by default.
            prefix: what a variable must begin with to be read.

        Raises:
            InvalidSettings: a variable with the prefix names no setting, or does not parse.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        values: dict[str, Any] = {}
        for variable, text in (os.environ if environ is None else environ).items():
            if not variable.startswith(prefix):
                continue
            name = variable.removeprefix(prefix).lower()
            if name in _OTHERS:
                continue
            if name not in fields:
                raise InvalidSettings(f"{variable} names no setting.")
            values[name] = _parse(fields[name], variable, text)
        return cls(**values)


_DELTA_EVENT_RATIO = 10

# What the command line's clients and `SessionRegistry.from_env` read; no settings, and no mistakes.
_OTHERS = frozenset({"key", "store", "token"})

# A bound that only makes sense below another one.
_ORDERED = (
    ("history_ttl", "result_ttl"),
    ("max_inline_result_bytes", "max_result_bytes"),
    ("max_field_bytes", "max_event_bytes"),
    ("max_inline_result_bytes", "max_event_bytes"),
    ("max_event_bytes", "max_history_bytes"),
    ("min_history_bytes", "max_history_bytes"),
    ("max_history_bytes", "max_store_bytes"),
    ("max_session_subscribers", "max_subscribers"),
    ("min_retry_window", "max_retry_window"),
    ("lease_ttl", "lost_after"),
    ("lease_ttl", "live_ttl"),
    ("min_store_delay", "max_store_delay"),
    ("max_append_events", "max_outbox_events"),
    ("max_event_bytes", "max_append_bytes"),
    ("max_append_bytes", "max_outbox_bytes"),
    ("write_timeout", "snapshot_write_timeout"),
    ("min_retry_delay", "max_retry_delay"),
)


def _check(field: dataclasses.Field[Any], value: object) -> None:
    """Refuses a value of the wrong type or outside its range, in words."""
    kind = str(field.type)
    if value is None and "None" in kind:
        return
    expected: type | tuple[type, ...] = {"bool": bool, "str": str, "int": int}.get(
        kind, (int, float)
    )
    if not isinstance(value, expected) or (isinstance(value, bool) and kind != "bool"):
        raise InvalidSettings(f"{field.name} must be {kind}, not {value!r}.")
    if not isinstance(value, int | float):
        return
    above, least = field.metadata["above"], field.metadata["least"]
    if above is not None and not value > above:
        raise InvalidSettings(f"{field.name} must be greater than {above}, not {value!r}.")
    if least is not None and not value >= least:
        raise InvalidSettings(f"{field.name} must be at least {least}, not {value!r}.")
    if value == float("inf"):
        raise InvalidSettings(f"{field.name} must be finite.")


def _parse(field: dataclasses.Field[Any], variable: str, text: str) -> object:
    kind = str(field.type)
    if kind == "str":
        return text
    if "None" in kind and text.lower() in ("", "none"):
        return None
    try:
        if kind == "bool":
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[
                text.lower()
            ]
        return int(text) if kind == "int" else float(text)
    except (KeyError, ValueError):
        raise InvalidSettings(f"{variable} must be {kind}, not {text!r}.") from None
