"""The command. It exits with 1 when a figure could not be taken, never for a missed target."""

import json
import resource
import sys
import time

from . import burst, emit, memory, stalled, stores
from .errors import MeasurementFailed
from .figures import Figure
from .plan import Plan, read_plan
from .report import as_json, burst_table, environment_line, figure_table


def main() -> int:
    """Measures, prints, and returns the exit status."""
    plan = read_plan()
    allow_many_connections()
    started = time.monotonic()
    try:
        figures, rounds = measure(plan)
    except MeasurementFailed as failure:
        print(f"benchmarks: {failure}", file=sys.stderr)
        return 1
    print(environment_line())
    if rounds:
        print(f"\n{burst_table(rounds)}")
    print(f"\n{figure_table(figures)}")
    print(f"\nMedians of interleaved rounds of one run, {time.monotonic() - started:.0f} s.")
    if plan.json_file is not None:
        plan.json_file.write_text(json.dumps(as_json(figures, rounds), indent=2) + "\n")
    return 0


def measure(plan: Plan) -> tuple[list[Figure], list[list[burst.Burst]]]:
    """Takes the figures of the plan's parts, and the bursts behind them."""
    figures: list[Figure] = []
    rounds: list[list[burst.Burst]] = []
    if "burst" in plan.parts:
        rounds = burst.run_rounds(plan.contenders, plan.rounds, plan.subscribers, say)
        figures += burst.figures(rounds)
    if "emit" in plan.parts:
        figures += emit.figures(plan.emit_rounds)
        say("emit: done")
    if "memory" in plan.parts:
        figures += memory.figures(
            plan.memory_rounds, plan.idle_sessions, plan.idle_subscribers, say
        )
    if "stalled" in plan.parts:
        figures += stalled.figures(
            plan.stalled_rounds, plan.stalled_subscribers, plan.steady_events, say
        )
    if "stores" in plan.parts:
        figures += stores.figures(plan, say)
    return figures, rounds


def allow_many_connections() -> None:
    """Raises the limit of open files as far as it may be, for this process and its servers."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def say(progress: str) -> None:
    """Tells how far the run is, apart from its result."""
    print(progress, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
