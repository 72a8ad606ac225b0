"""For the tests of those who use the library: record events, move time by hand, cut connections."""

from __future__ import annotations

from ._capture import Recording, capture
from ._clock import ManualClock
from ._fault_proxy import FaultProxy
from ._faults import Cut, Faults

__all__ = ["Cut", "FaultProxy", "Faults", "ManualClock", "Recording", "capture"]
