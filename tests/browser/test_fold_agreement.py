"""`fold.js` and the server's fold give the same state for the same events, whatever these are."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from importlib.resources import files
from typing import Any

import pytest

from agentprogress._core.fold import Fold
from agentprogress.settings import Settings

from .sequences import SMALL_LIMITS, Sequence, draw_sequence

Json = dict[str, Any]

SESSION_ID, EPOCH = "job-7", "I9kYN9ZwS0"

# Says its limits, then reads a sequence a line, with the server's state at the cut, and says the
# states after all of its events: folded whole; with a look at the state after each; cut in two with
# a state of its own sent in between; with the server's; and its own state at the cut.
SCRIPT = """
import { createInterface } from "node:readline";
const { emptyState, Fold, LIMITS } = await import(process.argv[1]);

function folded(state, events, limits, isAsked) {
  const fold = new Fold(state, limits);
  for (const event of events) {
    fold.apply(event);
    if (isAsked) fold.state;
  }
  return fold.state;
}

console.log(JSON.stringify(LIMITS));
for await (const line of createInterface({ input: process.stdin })) {
  const { limits, events, cut, snapshot } = JSON.parse(line);
  const empty = emptyState("job-7", "I9kYN9ZwS0");
  const whole = folded(empty, events, limits);
  const asked = folded(empty, events, limits, true);
  const half = JSON.parse(JSON.stringify(folded(empty, events.slice(0, cut), limits)));
  const split = folded(half, events.slice(cut), limits);
  const resumed = folded(snapshot, events.slice(cut), limits);
  console.log(JSON.stringify({ whole, asked, split, resumed, half }));
}
"""

SEQUENCES = [draw_sequence(seed) for seed in range(1_000)]


def fold_all(fold: Fold, events: list[Json]) -> Json:
    for event in events:
        fold.apply(event)
    state: Json = json.loads(fold.encode())
    return state


def new_fold(sequence: Sequence) -> Fold:
    return Fold(SESSION_ID, EPOCH, Settings(**sequence.limits))


def by_value(value: Any) -> Any:
    """Returns a value in which numbers are equal when theirs are, and true is no number."""
    if isinstance(value, dict):
        return {key: by_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [by_value(item) for item in value]
    if isinstance(value, bool):
        return str(value), bool
    return float(value) if isinstance(value, int) else value


@functools.cache
def expected_states() -> list[Any]:
    """Returns what the server says."""
    return [by_value(fold_all(new_fold(sequence), sequence.events)) for sequence in SEQUENCES]


@functools.cache
def answers() -> list[Json]:
    """Returns what one Node says to all sequences, after its limits."""
    node = shutil.which("node")
    assert node, "These tests need node on the PATH."
    lines: list[str] = []
    for sequence in SEQUENCES:
        at_cut = fold_all(new_fold(sequence), sequence.events[: sequence.cut])
        lines.append(json.dumps({**sequence._asdict(), "snapshot": at_cut}))
    module = files("agentprogress.browser").joinpath("package", "fold.js")
    done = subprocess.run(
        [node, "--input-type=module", "-e", SCRIPT, str(module)],
        input="\n".join(lines),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Not `splitlines`, for which U+2028 ends a line.
    return [json.loads(line) for line in done.stdout.split("\n")[:-1]]


def test_the_limits_are_the_servers() -> None:
    limits = dict(answers()[0])
    assert limits.pop("detail") is False
    assert limits == {name: getattr(Settings(), name) for name in SMALL_LIMITS}


@pytest.mark.parametrize("way", ["whole", "asked", "split", "resumed", "back"])
def test_a_thousand_sequences_give_the_same_state(way: str) -> None:
    rows = zip(SEQUENCES, answers()[1:], expected_states(), strict=True)
    for sequence, states, expected in rows:
        if way == "back":  # the server goes on from the page's state
            fold = Fold.resume(states["half"], Settings(**sequence.limits))
            state = fold_all(fold, sequence.events[sequence.cut :])
        else:
            state = states[way]
        assert by_value(state) == expected, f"seed {sequence.seed}"


def test_the_sequences_meet_every_bound_and_every_end() -> None:
    """So that the agreement says something."""
    states = [states["whole"] for states in answers()[1:]]
    kinds = {"steps", "texts", "logs", "artifacts", "requests", "custom", "costs"}
    values = {"metadata", "error_details", "artifact_urls", "artifact_data", "schemas"}
    expected = {*kinds, *values, "custom_data", "steps_weight", "steps_done"}
    assert {name for state in states for name in state["omitted"]} == expected
    by_default = [
        state for sequence, state in zip(SEQUENCES, states, strict=True) if not sequence.limits
    ]
    assert {name for state in by_default for name in state["omitted"]} == expected
    statuses = {"pending", "running", "waiting", "completed", "failed", "cancelled", "lost"}
    assert {state["status"] for state in states} == statuses
