"""The oracle: decodes what one subscriber received, by the specifications alone.

It runs in the warm-up round only, after the clock has stopped.
"""

import json
from collections.abc import Iterator
from typing import Any

from .client import Transport
from .errors import MeasurementFailed
from .payload import line

TEXT, BINARY = 1, 2


def check(received: bytes, transport: Transport, events: int) -> None:
    """Raises unless the subscriber got every log line, once, in order and with contiguous seqs."""
    texts = (
        websocket_messages(received) if transport == "websocket" else sse_data(dechunked(received))
    )
    frames = [frame for text in texts for frame in frames_of(json.loads(text))]
    logs = [frame for frame in frames if frame["type"] == "log.message"]
    if [log["message"] for log in logs] != [line(number) for number in range(events)]:
        raise MeasurementFailed(
            "the log lines of a subscriber are not those that were sent, in their order"
        )
    first = logs[0]["seq"]
    if [log["seq"] for log in logs] != list(range(first, first + events)):
        raise MeasurementFailed("the seqs of a subscriber are not contiguous")
    if any(not {"time", "level"} <= log.keys() for log in logs):
        raise MeasurementFailed("an event is without its time or level")


def frames_of(message: Any) -> list[dict[str, Any]]:
    """Returns the frames of a message, which is one frame or an array of them."""
    return message if isinstance(message, list) else [message]


def websocket_messages(received: bytes) -> Iterator[bytes]:
    """Yields the payloads of the complete, unmasked data frames (RFC 6455, section 5.2)."""
    at = 0
    while at + 2 <= len(received):
        opcode, length = received[at] & 0x0F, received[at + 1] & 0x7F
        extra = {126: 2, 127: 8}.get(length, 0)
        if extra:
            length = int.from_bytes(received[at + 2 : at + 2 + extra])
        at += 2 + extra
        if at + length > len(received):
            return
        if opcode in (TEXT, BINARY):
            yield received[at : at + length]
        at += length


def dechunked(received: bytes) -> bytes:
    """Returns the body of a chunked response as far as it is complete (RFC 9112, section 7.1)."""
    body, at = bytearray(), 0
    while (end := received.find(b"\r\n", at)) >= 0:
        size = int(received[at:end], 16)
        body += received[end + 2 : end + 2 + size]
        at = end + 2 + size + 2
    return bytes(body)


def sse_data(body: bytes) -> Iterator[bytes]:
    """Yields the data of each complete event that has any (WHATWG HTML, section 9.2.6)."""
    for block in body.replace(b"\r\n", b"\n").split(b"\n\n")[:-1]:
        data = [
            part[5:].removeprefix(b" ") for part in block.split(b"\n") if part.startswith(b"data:")
        ]
        if data:
            yield b"\n".join(data)
