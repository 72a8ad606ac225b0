"""A figure: the values of one run, their median, and whether it meets its target."""

from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, TypeAlias

Verdict: TypeAlias = Literal["met", "missed", ""]


@dataclass(frozen=True)
class Target:
    """A bound on a median."""

    limit: float
    at_least: bool = False

    def is_met(self, value: float) -> bool:
        """Tells whether a median is within the bound."""
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True)
class Figure:
    """One line of the result: a value for each round."""

    name: str
    values: list[float]
    unit: str
    target: Target | None = None

    @property
    def median(self) -> float:
        """What the figure is judged by."""
        return median(self.values)

    @property
    def verdict(self) -> Verdict:
        """Whether the median meets the target; empty where there is none."""
        if self.target is None:
            return ""
        return "met" if self.target.is_met(self.median) else "missed"

    def as_json(self) -> dict[str, Any]:
        """Returns the figure with its median and verdict, for other programs."""
        return {
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "values": self.values,
            "target": None if self.target is None else self.target.limit,
            "target_is_minimum": self.target is not None and self.target.at_least,
            "verdict": self.verdict or None,
        }


def ratios(over: list[float], under: list[float]) -> list[float]:
    """Returns the ratio of each round."""
    return [a / b for a, b in zip(over, under, strict=True)]
