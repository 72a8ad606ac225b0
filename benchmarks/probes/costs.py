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
