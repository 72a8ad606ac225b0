"""Watch agents and long jobs while they run: typed events, one bounded log, gap-free resume."""

from __future__ import annotations

from ._version import __version__
from .errors import ProgressError, PublicError, SessionCancelled
from .events import CustomEvent
from .info import RegistryStats, SessionInfo
from .instrument import bind, current_session, current_step, traced, track
from .registry import SessionOptions, SessionRegistry
from .session import ProgressSession, SessionHandle
from .settings import Settings
from .snapshot import Gap, SessionSnapshot, Snapshot
from .step import Step, TextStream
from .subscription import Subscription

__all__ = [
    "CustomEvent",
    "Gap",
    "ProgressError",
    "ProgressSession",
    "PublicError",
    "RegistryStats",
    "SessionCancelled",
    "SessionHandle",
    "SessionInfo",
    "SessionOptions",
    "SessionRegistry",
    "SessionSnapshot",
    "Settings",
    "Snapshot",
    "Step",
    "Subscription",
    "TextStream",
    "__version__",
    "bind",
    "current_session",
    "current_step",
    "traced",
    "track",
]
