"""The page's own fold, `view/fold.js`, run by Node and held against the shared vectors."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from agentprogress._core.fold import Fold
from agentprogress.settings import Settings

Json = dict[str, Any]

CASES: list[Json] = [
    case
    for case in json.loads(
        (Path(__file__).parent / "vectors" / "folding.json").read_text(encoding="utf-8")
    )["cases"]
    # The page's bounds are wider than the server's and its own.
    if "limits" not in case
]

# Reads {source, runs} and answers with the state after each run: a snapshot or null, then events.
SCRIPT = """
const { source, runs } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const names = "{ emptyState, stateFromSnapshot, fold, overallProgress }";
const page = new Function(`"use strict"; ${source}; return ${names};`)();
const without = (record, name) => { const { [name]: _, ...rest } = record; return rest; };
const states = runs.map(({ snapshot, events }) => {
  const state = snapshot ? page.stateFromSnapshot(snapshot, null) : page.emptyState();
  for (const event of events) page.fold(state, event);
  return {
    ...state,
    progress: page.overallProgress(state),
    // Beside what the vectors know, a row has what the page saw of its event.
    steps: [...state.steps.values()].map((step) => without(step, "reason")),
    logs: state.log.rows.filter((row) => !row.note).map((row) => without(row, "fields")),
    texts: [...state.texts.values()],
    artifacts: [...state.artifacts.values()],
    requests: [...state.requests.values()],
    custom: Object.fromEntries(state.custom),
  };
});
process.stdout.write(JSON.stringify(states));
"""


def numbered(events: list[Json]) -> list[Json]:
    return [
        {"seq": seq, "time": f"2026-11-22T19:30:{seq:02}.000Z", **event}
        for seq, event in enumerate(events, 1)
    ]


def snapshot(events: list[Json]) -> Json | None:
    """Returns what a server would send after these events; nothing before the first."""
    if not events:
        return None
    fold = Fold("job-7", "I9kYN9ZwS0", Settings())
    for event in events:
        fold.apply(event)
    state: Json = json.loads(fold.encode())
    return state


def comparable(state: Json) -> Json:
    """Fills in what the page leaves open: before the first event it knows no state at all."""
    usage = {"input_tokens": 0, "output_tokens": 0, **state["usage"]}
    omitted = {name: count for name, count in state["omitted"].items() if count}
    return {**state, "status": state["status"] or "pending", "usage": usage, "omitted": omitted}


@pytest.fixture(scope="module")
def states() -> dict[str, list[Json]]:
    """The page's states of all cases, each folded whole and from a snapshot at every seq."""
    node = shutil.which("node")
    assert node, "These tests need node on the PATH."
    runs: list[Json] = []
    for case in CASES:
        events = numbered(case["events"])
        for cut in range(len(events) + 1):
            runs.append({"snapshot": snapshot(events[:cut]), "events": events[cut:]})
    source = files("agentprogress.view").joinpath("fold.js").read_text(encoding="utf-8")
    done = subprocess.run(
        [node, "-e", SCRIPT],
        input=json.dumps({"source": source, "runs": runs}),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = iter(json.loads(done.stdout))
    return {case["name"]: [next(found) for _ in range(len(case["events"]) + 1)] for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"][:60])
def test_the_page_folds_as_the_server_does(case: Json, states: dict[str, list[Json]]) -> None:
    # The session's id, its epoch and the seq are the connection's to know.
    expected = {
        name: value
        for name, value in case["expect"].items()
        if name not in ("session_id", "epoch", "seq")
    }
    for state in map(comparable, states[case["name"]]):
        assert {name: state[name] for name in expected} == expected
