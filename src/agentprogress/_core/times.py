"""Wall time on the wire: RFC 3339, UTC, milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["rfc3339"]


def rfc3339(wall: float) -> str:
    """Writes seconds since the epoch as ``2026-11-22T19:30:00.123Z``."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
