"""Sessions as a viewer has them: folded from events, at times that the test names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Self

from hypothesis import strategies as st
from pydantic_core import from_json

from agentprogress._core.fold import Fold
from agentprogress._core.times import rfc3339
from agentprogress.cli.terminal._connection import Connection
from agentprogress.cli.terminal._view import View, render
from agentprogress.events import Event, parse_event
from agentprogress.settings import Settings
from agentprogress.snapshot import SessionSnapshot

LIVE = Connection(state="live", transport="websocket")
NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


# What drives a terminal, turns text round, hides in it or is counted wrongly.
PIECES = [
    *(
        "\x1b[2J",
        "\x1b]0;title\x07",
        "\x1bPq\x1b\\",
        "\x9b31m",
        "\x1bc",
        "\x07\x08\r\n\t\x7f",
        "\x85",
    ),
    *("\u202e", "\u2066", "\u200b", "\u200d", "\ufe0f", "\u2028", "\ud800", "[bold red]", "[/]"),
    *(
        "漢字",
        "👩\u200d🚀",
        "e" + "\u0301" * 20,
        "\u0301",
        "אבג",
        "x" * 90,
        " ",
        "word ",
        "🇪🇺",
        "｡",
    ),
]
HOSTILE = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=8).map("".join)


class Scene:
    """A session that a test tells event by event."""

    def __init__(self) -> None:
        self._fold = Fold("s_scene", "I9kYN9ZwS0", Settings())
        self.now = NOON
        self.wires: list[dict[str, Any]] = []

    def wait(self, seconds: float) -> Self:
        """Lets time pass."""
        self.now += timedelta(seconds=seconds)
        return self

    def tell(self, type_: str, **fields: Any) -> Self:
        """Adds an event."""
        time = rfc3339(self.now.timestamp())
        wire = {"seq": self._fold.seq + 1, "time": time, "type": type_, **fields}
        self._fold.apply(wire)
        self.wires.append(wire)
        return self

    def start(self, *plan: str, title: str = "Market report") -> Self:
        """Begins the session."""
        return self.tell(
            "session.started", attempt=1, title=title, plan=[{"name": name} for name in plan]
        )

    def step(
        self, step_id: str, parent_id: str | None = None, kind: str = "phase", **fields: Any
    ) -> Self:
        """Begins a step that is called as its id."""
        if parent_id is not None:
            fields["parent_id"] = parent_id
        return self.tell(
            "step.started", **{"step_id": step_id, "name": step_id, **fields, "kind": kind}
        )

    def done(self, *step_ids: str) -> Self:
        """Ends steps well."""
        for step_id in step_ids:
            self.tell("step.completed", step_id=step_id)
        return self

    @property
    def snapshot(self) -> SessionSnapshot:
        """The state now."""
        return SessionSnapshot.model_validate(from_json(self._fold.encode()))

    @property
    def events(self) -> list[Event]:
        """All events, as a follower gets them."""
        return [parse_event(wire) for wire in self.wires]


def crew(agents: int = 4, calls: int = 0) -> Scene:
    """Returns a session in the middle of its work: agents at work side by side, each in a call."""
    scene = Scene().start("survey", "read", "write").wait(1)
    scene.step("plan.0", name="survey").step("scout", "plan.0", "agent").step(
        "find", "scout", "tool"
    )
    scene.wait(2).done("find", "scout", "plan.0")
    scene.step("plan.1", name="read", total=agents * 10, unit="file")
    for number in range(agents):
        agent = f"reader {number + 1}"
        scene.step(agent, "plan.1", "agent", total=10, unit="file")
        for call in range(calls):
            scene.step(f"{agent}.{call}", agent, "tool", name="read_file").done(f"{agent}.{call}")
        scene.step(f"{agent} now", agent, "tool", name="read_file")
        scene.tell("step.progress", step_id=agent, current=calls, message=f"page {number}")
    return scene.wait(5)


def lines(scene: Scene | None, connection: Connection = LIVE, **size: Any) -> list[str]:
    """Returns the lines of the view, on a terminal of 80 columns and 24 lines by default."""
    view = View(
        snapshot=None if scene is None else scene.snapshot,
        connection=connection,
        now=NOON if scene is None else scene.now,
        **{"width": 80, "height": 24, "name": "s_scene", **size},
    )
    return render(view).plain.split("\n")


def line_of(found: list[str], word: str) -> str:
    """Returns the line that has a word."""
    return next(line for line in found if word in line)
