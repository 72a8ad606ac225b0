"""How much is measured, and how the command line changes it."""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

from .contenders import CONTENDERS, FULL_EVENTS, Contender

PARTS = ("burst", "emit", "memory", "stalled", "stores")


@dataclass(frozen=True)
class Plan:
    """One run of the benchmarks."""

    parts: tuple[str, ...] = PARTS
    json_file: Path | None = None
    rounds: int = 5
    subscribers: int = 100
    contenders: tuple[Contender, ...] = CONTENDERS
    emit_rounds: int = 200
    memory_rounds: int = 3
    idle_sessions: int = 20_000
    idle_subscribers: int = 2_000
    stalled_rounds: int = 9
    stalled_subscribers: int = 100
    steady_events: int = 2_000
    store_rounds: int = 3
    store_events: int = 40_000
    store_seconds: float = 5.0
    store_sessions: int = 1_000
    store_followers: int = 200
    store_idle_rounds: int = 2
    # Leases are renewed every 10 s and heads looked at every 15 s: both fit in as often as they do.
    store_idle_seconds: float = 30.0


def read_plan() -> Plan:
    """Returns what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure agentprogress beside the usual ways, in one run.",
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a small smoke run: its figures mean nothing"
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help=f"{FULL_EVENTS:,} events for the slow contenders too, in 10 minutes",
    )
    parser.add_argument("--rounds", type=int, help="rounds of the burst; a warm-up comes on top")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write every single value to a file"
    )
    arguments = parser.parse_args()
    unknown = sorted({*arguments.parts} - {*PARTS})
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}, only {', '.join(PARTS)}")
    plan = quick_plan() if arguments.quick else Plan()
    if arguments.full:
        plan = replace(plan, contenders=with_events(FULL_EVENTS))
    return replace(
        plan,
        parts=tuple(arguments.parts) or PARTS,
        json_file=arguments.json,
        rounds=arguments.rounds or plan.rounds,
    )


def quick_plan() -> Plan:
    """Returns a plan that only shows that everything works."""
    return Plan(
        rounds=1,
        subscribers=10,
        contenders=with_events(500),
        emit_rounds=3,
        memory_rounds=1,
        idle_sessions=2_000,
        idle_subscribers=200,
        stalled_rounds=1,
        stalled_subscribers=10,
        steady_events=300,
        store_rounds=1,
        store_events=2_000,
        store_seconds=1.0,
        store_sessions=50,
        store_followers=10,
        store_idle_rounds=1,
        store_idle_seconds=1.0,
    )


def with_events(events: int) -> tuple[Contender, ...]:
    """Returns the contenders with bursts of equal length."""
    return tuple(replace(contender, events=events) for contender in CONTENDERS)
