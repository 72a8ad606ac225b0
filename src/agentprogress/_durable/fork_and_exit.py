"""What happens to a process: it forks, and it ends. Both concern those who have threads and data.

The interpreter has one list for each, and keeps what is on them for ever; so it is this module that
is on them, once, and those concerned are held weakly.
"""

from __future__ import annotations

import atexit
import os
import weakref
from typing import Protocol

__all__ = ["Concerned", "concern"]


class Concerned(Protocol):
    """Has something to do when the process forks, or ends."""

    def forked(self) -> None:
        """Called in the child, where no other thread lives on."""
        ...

    def exiting(self) -> None:
        """Called before the interpreter ends, while threads still run."""
        ...


_concerned: weakref.WeakSet[Concerned] = weakref.WeakSet()
_known = False


def concern(one: Concerned) -> None:
    """Has somebody told of forks and of the end, as long as it lives."""
    global _known  # noqa: PLW0603 - see the module
    _concerned.add(one)
    if not _known:
        _known = True
        atexit.register(_exiting)
        os.register_at_fork(after_in_child=_forked)


def _exiting() -> None:
    for one in list(_concerned):
        one.exiting()


def _forked() -> None:
    for one in list(_concerned):
        one.forked()
