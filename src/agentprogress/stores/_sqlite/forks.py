"""No connection is open while the process forks.

SQLite counts its locks for a whole process, and the kernel gives a forked one none of them. A child
that inherits a connection believes that its new ones have locked what nobody has; its parent could
then remove the write-ahead log under its hands. So all are closed before, and both open their own.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol
from weakref import WeakSet

__all__ = ["watch"]


class _Pausable(Protocol):
    def pause(self) -> None:
        """Lets go of connections before a fork."""
        ...

    def resume(self) -> None:
        """Goes on in the parent."""
        ...

    def begin_anew(self) -> None:
        """Goes on in the child."""
        ...


_watched: WeakSet[_Pausable] = WeakSet()
# One fork at a time: two could each wait for what the other one has paused.
_forking = threading.Lock()


def watch(file: _Pausable) -> None:
    """Pauses a file for every fork, for as long as anybody refers to it."""
    _watched.add(file)


def _before() -> None:
    _forking.acquire()
    for file in list(_watched):
        file.pause()


def _in_parent() -> None:
    for file in list(_watched):
        file.resume()
    _forking.release()


def _in_child() -> None:
    for file in list(_watched):
        file.begin_anew()
    _forking.release()


# At the import, which happens once: a hook cannot be taken back.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
