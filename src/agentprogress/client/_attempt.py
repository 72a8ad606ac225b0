"""One connection (or page) as its client sees it: how far it came, and when it is dead. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from .._core.sse_reader import SseReader
from ..settings import Settings
from ._ladder import Transport
from ._steps import Dial
from ._wire import Frame, read_frame, read_frames, read_page

__all__ = ["Attempt"]


class Attempt:
    """What has been seen of a connection.

    Args:
        dial: what was asked for.
        now: when.
        settings: the times.
        heartbeat_interval: as the server last said it.

    Attributes:
        dial: what was asked for.
        dialled_at: when.
        is_reached: somebody is there and has been asked.
        opened_at: when the handshake had passed, or the head of the answer was here.
        is_welcomed: its first frame has come.
    """

    def __init__(
        self, dial: Dial, now: float, settings: Settings, heartbeat_interval: float
    ) -> None:
        self.dial = dial
        self.dialled_at = now
        self.is_reached = False
        self.opened_at: float | None = None
        self.is_welcomed = False
        self._settings = settings
        self._heartbeat_interval = heartbeat_interval
        self._heard_at = self._awaited_since = now
        self._sse = SseReader(settings.max_message_bytes)
        self._unclaimed_bytes = 0

    def reached(self, now: float) -> None:
        """Somebody is there and has been asked."""
        self.is_reached = True
        self._heard_at = now

    def opened(self, now: float) -> None:
        """The handshake has passed, or the head of an answer is here."""
        self.opened_at = self._heard_at = self._awaited_since = now

    def heard(self, now: float) -> None:
        """Bytes have come."""
        self._heard_at = now

    def resumed(self, now: float) -> None:
        """Time goes on that had stopped: for a slow user, or for a token."""
        self._heard_at = self._awaited_since = now

    def welcomed(self, heartbeat_interval: float) -> None:
        """The first frame is here, and tells how often the server speaks."""
        self.is_welcomed = True
        self._heartbeat_interval = heartbeat_interval

    def frames(self, data: str | bytes) -> Iterable[Frame]:
        """Reads what came.

        Raises:
            Malformed, MessageTooLarge: it is nothing of this protocol.
        """
        self._unclaimed_bytes += len(data)
        if self.dial.transport is Transport.WEBSOCKET:
            return read_frames(data)
        raw = data.encode() if isinstance(data, str) else data
        if self.dial.transport is Transport.LONG_POLL:
            return read_page(raw)
        return (read_frame(message.data) for message in self._sse.feed(raw))

    def claim_bytes(self) -> int:
        """Returns how many bytes have come since this was last asked."""
        size, self._unclaimed_bytes = self._unclaimed_bytes, 0
        return size

    def silence(self, now: float) -> float:
        """Returns for how many seconds nothing has been heard."""
        return now - self._heard_at

    def is_short(self, now: float) -> bool:
        """Returns whether it ends too soon to have been of use."""
        most = self._settings.short_stream_timeout
        return self.opened_at is None or not self.is_welcomed or now - self.opened_at < most

    @property
    def deadline(self) -> float:
        """When it is dead, if nothing is heard until then."""
        settings = self._settings
        if self.opened_at is None:
            waits = settings.max_wait if self.dial.waits else 0.0
            return self._heard_at + settings.connect_timeout + waits
        # Bytes that are no welcome (a proxy's comments) keep nobody waiting; a page is read whole.
        counts = self.is_welcomed or self.dial.transport is Transport.LONG_POLL
        since = self._heard_at if counts else self._awaited_since
        return since + self._heartbeat_interval + settings.silence_timeout
