"""For the tests of those who use the library: record what code emits, move time by hand."""

from __future__ import annotations

from ._capture import Recording, capture
from ._clock import ManualClock

__all__ = ["ManualClock", "Recording", "capture"]
