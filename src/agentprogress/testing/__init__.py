"""For the tests of those who use the library: record events, move time by hand, cut connections.

Those of a store's author are `StoreTests`, which needs pytest, and `StoreMachine`, which needs
Hypothesis; both are imported where they are first named.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ._capture import Recording, capture
from ._clock import ManualClock
from ._fault_proxy import FaultProxy
from ._faults import Cut, Faults

if TYPE_CHECKING:
    from ._store_machine import StoreMachine
    from ._store_tests import StoreTests

__all__ = [
    "Cut",
    "FaultProxy",
    "Faults",
    "ManualClock",
    "Recording",
    "StoreMachine",
    "StoreTests",
    "capture",
]

_NEEDS = {
    "StoreMachine": ("._store_machine", "hypothesis"),
    "StoreTests": ("._store_tests", "pytest"),
}


def __getattr__(name: str) -> object:
    if name not in _NEEDS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, needed = _NEEDS[name]
    try:
        return getattr(import_module(module, __name__), name)
    except ImportError as error:
        if error.name != needed:
            raise
        raise ImportError(f"{name} needs {needed}: pip install {needed}") from error
