"""Reads server-sent events by WHATWG's rules, from bytes in whatever pieces they come.

Bounded: what a message takes is counted with its comments and unknown fields, and nothing beyond
the bound is kept. Linear: every byte is looked at once, however small the pieces are.
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["MessageTooLarge", "SseMessage", "SseReader"]

_BOM: Final = b"\xef\xbb\xbf"

# More milliseconds than a double counts exactly are a reader's overflow in other languages, and
# Python refuses to convert more than 4,300 digits.
_MAX_RETRY: Final = 2**53 - 1
_MAX_RETRY_DIGITS: Final = len(str(_MAX_RETRY))


class MessageTooLarge(ValueError):
    """A message that passes the reader's bound.

    Attributes:
        limit_bytes: the bound.
    """

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"A message of the stream is larger than {limit_bytes} bytes.")
        self.limit_bytes = limit_bytes


class SseMessage(NamedTuple):
    """What a stream dispatches.

    Attributes:
        event: its name; ``message`` where it has none.
        data: its data lines, joined by line feeds.
        id: the last id of the stream, its own or that of a message before it.
    """

    event: str
    data: str
    id: str


class SseReader:
    """Takes a stream in pieces and gives back the messages that they complete.

    Args:
        max_message_bytes: the most that the lines of one message may have together, each with one
            byte for its end.

    Attributes:
        last_id: the id of the last finished message that had one; empty if none had.
        retry: the milliseconds that the stream last asked for; None if it never did.
    """

    def __init__(self, max_message_bytes: int) -> None:
        self.last_id = ""
        self.retry: int | None = None
        self._limit_bytes = max_message_bytes
        self._size_bytes = 0  # of the finished lines of the message
        self._start: bytes | None = b""  # what may yet become a byte order mark
        self._after_cr = False
        self._line = bytearray()
        self._data = bytearray()  # the standard's data buffer: every line ends in LF
        self._event = b""
        self._id = b""

    def feed(self, chunk: bytes) -> list[SseMessage]:
        """Takes the next bytes.

        Returns:
            The messages that end in them, in order.

        Raises:
            MessageTooLarge: a message passes the bound, whether it has ended or not. The messages
                that ended in the same bytes are lost, and `last_id` does not know them; nothing
                more may be fed.
        """
        *lines, rest = self._split(chunk)
        messages: list[SseMessage] = []
        last_id = self.last_id
        try:
            if lines:
                lines[0] = bytes(self._line) + lines[0]
                self._line.clear()
            for line in lines:
                if line:
                    self._count(len(line) + 1)
                    self._field(line)
                else:
                    self._dispatch(messages)
            if self._size_bytes + len(self._line) + len(rest) > self._limit_bytes:
                raise MessageTooLarge(self._limit_bytes)
        except MessageTooLarge:
            self.last_id = last_id
            raise
        self._line += rest
        return messages

    def _split(self, chunk: bytes) -> list[bytes]:
        """Returns the lines of a piece, the last of which goes on in the next piece."""
        if self._start is not None:
            chunk = self._start + chunk
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._start = chunk
                return [b""]
            self._start = None
            chunk = chunk.removeprefix(_BOM)
        if not chunk:
            return [b""]
        # A CR ends its line at once. That an LF belongs to it is only seen later.
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        # bytes.splitlines() knows these three ends only, but not whether the last line has one;
        # str.splitlines() would also break at U+2028, U+0085, VT and FF, which are text here.
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return chunk.split(b"\n")

    def _count(self, size_bytes: int) -> None:
        self._size_bytes += size_bytes
        if self._size_bytes > self._limit_bytes:
            raise MessageTooLarge(self._limit_bytes)

    def _field(self, line: bytes) -> None:
        """Takes one line that is not empty. A comment is a field without a name."""
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data += value
            self._data += b"\n"
        elif name == b"id":
            if b"\0" not in value:
                self._id = value
        elif name == b"event":
            self._event = value
        elif name == b"retry" and value.isdigit():  # of bytes: ASCII digits only
            digits = value.lstrip(b"0") or b"0"
            fits = len(digits) <= _MAX_RETRY_DIGITS
            self.retry = min(int(digits), _MAX_RETRY) if fits else _MAX_RETRY

    def _dispatch(self, messages: list[SseMessage]) -> None:
        """Ends the message at an empty line; without data it only sets the id."""
        self.last_id = _text(self._id)
        if self._data:
            event = _text(self._event) or "message"
            messages.append(SseMessage(event, _text(self._data[:-1]), self.last_id))
            self._data.clear()
        self._event = b""
        self._size_bytes = 0


def _text(field: bytes | bytearray) -> str:
    """Decodes a whole field: line ends are ASCII, so none is cut within a character."""
    return field.decode("utf-8", "replace")
