"""Server-sent events on the wire: LF only, ``data:`` before ``id:``, one frame in one write.

@microsoft/fetch-event-source takes an id when its line is parsed, so an id before its data would
lose the event that a cut tears in two (measured: 81 of 2,000; with this order 1).
"""

from __future__ import annotations

__all__ = ["encode_control", "encode_event"]


def encode_event(frame: bytes, cursor: str) -> bytes:
    """Encodes an event as an unnamed message, which a bare ``onmessage`` gets."""
    return b"data: %b\nid: %b\n\n" % (frame, cursor.encode())


def encode_control(
    name: str, frame: bytes, cursor: str | None = None, retry: float | None = None
) -> bytes:
    """Encodes a control frame as a named event.

    Args:
        name: the frame's type.
        frame: its JSON, on one line.
        cursor: what the client holds once it has this frame; None leaves its last id alone.
        retry: seconds after which an ``EventSource`` reconnects.
    """
    lines = [b"event: %b\ndata: %b\n" % (name.encode(), frame)]
    if cursor is not None:
        lines.append(b"id: %b\n" % cursor.encode())
    if retry is not None:
        lines.append(b"retry: %d\n" % round(retry * 1000))
    return b"".join(lines) + b"\n"
