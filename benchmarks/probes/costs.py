"""What the emit probe hands to its parent."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EmitCosts:
    """Microseconds for one event, one value for each round."""

    model: list[float]
    emit: list[float]
    log: list[float]
    later: list[float]
    """Processor time spent on a logged line after `log` has returned, until all is stored."""


@dataclass(frozen=True)
class Commits:
    """What a producer that logs as fast as it can tells its parent, in seconds of the one clock."""

    events: int
    began: float
    emitted: float
    stored: float
    cpu_seconds: float
    dropped: int


@dataclass(frozen=True)
class Timed:
    """What a follower tells of events that said when they were emitted."""

    milliseconds: list[float]
    """From the call of `log` to the event in the hands of the reader, sorted."""
    cpu_seconds: float
