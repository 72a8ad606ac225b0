"""The terminal view of a session: what is known, the connection and the size in, lines out. Pure.

The lines always fit the size. What matters now keeps its place: the head, who is asked, who is at
work, how it ended; what is over gives way first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.text import Text

from ...snapshot import SessionSnapshot
from ._connection import Connection
from ._paint import ACCENT, BAD, DIM, GOOD, WARN, bar, fit, ink, spread, wrap
from ._panels import Panel, artifacts, log, outcome, questions, texts, usage
from ._steps import steps
from ._text import duration, percent, safe_line, seconds

__all__ = ["View", "render"]

_STATUSES = {
    "pending": ("○", DIM, "waiting to start"),
    "running": ("●", ACCENT, "running"),
    "waiting": ("?", WARN, "waiting for an answer"),
    "completed": ("✓", GOOD, "completed"),
    "failed": ("✗", BAD, "failed"),
    "cancelled": ("⊘", WARN, "cancelled"),
    "lost": ("✗", BAD, "lost"),
}
_ENDED = ("completed", "failed", "cancelled", "lost")
_CONNECTION_MARKS = {
    "idle": ("○", DIM),
    "connecting": ("○", ACCENT),
    "replaying": ("○", GOOD),
    "live": ("●", GOOD),
    "reconnecting": ("○", WARN),
    "ended": ("✓", DIM),
    "gave_up": ("✗", BAD),
}
_MAX_REASON_LINES = 3
# Below this only head and foot are left.
_ROOMY = 8
# From here on its parts stand apart.
_AIRY = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All that is shown.

    Attributes:
        snapshot: None as long as nothing has come.
        connection: the watcher's.
        now: with a zone, in which the times of log lines are written.
        width: of the terminal, in cells.
        height: of the terminal, in lines.
        name: what the session is called as long as it has told no title.
        stalled: True while heartbeats say that the producer has not been heard of.
        hint: what a key does.
    """

    snapshot: SessionSnapshot | None
    connection: Connection
    now: datetime
    width: int
    height: int
    name: str = "session"
    stalled: bool = False
    hint: str = ""


def render(view: View) -> Text:
    """Returns the view as lines, at most `height` of at most `width` cells."""
    lines = _lines(view)[: max(1, view.height)]
    whole = Text(no_wrap=True, overflow="crop", end="")
    for at, line in enumerate(lines):
        whole.append("\n" if at else "").append_text(fit(line, view.width))
    return whole


def _lines(view: View) -> list[Text]:
    head, foot = _head(view), _foot(view)
    if view.height < _ROOMY:
        rest = head[: view.height - len(foot)] if view.height > len(foot) else []
        return [*rest, *foot]
    room = view.height - len(head) - len(foot) - 2
    body = [] if view.snapshot is None else _body(view, view.snapshot, room)
    return [*head, Text(), *body, *([Text()] if body else []), *foot]


# Head


def _head(view: View) -> list[Text]:
    state = view.snapshot
    if state is None:
        title = ink("○ ", DIM).append(safe_line(view.name), "bold")
        return [fit(title, view.width), ink("─" * view.width, DIM)]
    mark, style, words = _status(view, state)
    left = ink(f"{mark} ", style).append(safe_line(state.title or view.name).strip(), "bold")
    right = ink(words, style if style != DIM else "")
    if state.attempt > 1:
        right.append(f", attempt {state.attempt:,}", DIM)
    if state.started_at is not None:
        until = state.ended_at or view.now
        elapsed = duration(seconds(state.started_at, until), running=state.ended_at is None)
        right.append(f"  {elapsed}", DIM)
    return [spread(left, right, view.width), _overall(state, view.width)]


def _status(view: View, state: SessionSnapshot) -> tuple[str, str, str]:
    mark, style, words = _STATUSES.get(state.status, ("●", ACCENT, safe_line(state.status)))
    if state.status in _ENDED:
        return mark, style, words
    if state.status == "pending" and state.attempt > 1:
        words = "waiting to start again"
    if view.stalled and state.status == "running":
        mark, style, words = "▲", WARN, "stalled: its producer is silent"
    if state.cancel_requested:
        mark, style, words = "●", WARN, "stopping"
    if view.connection.state == "gave_up":
        return mark, DIM, f"{words} when last seen"
    return mark, style, words


def _overall(state: SessionSnapshot, width: int) -> Text:
    """Returns the bar of the whole session, with its percentage where there is one."""
    if state.progress is None:
        return ink("─" * width, DIM)
    style = {"completed": GOOD, "failed": BAD, "lost": BAD, "cancelled": WARN}.get(
        state.status, ACCENT
    )
    done = f" {percent(state.progress):>3} %"
    return bar(state.progress, max(0, width - len(done)), style).append(done)


# Foot


def _foot(view: View) -> list[Text]:
    connection = view.connection
    mark, style = _CONNECTION_MARKS.get(connection.state, ("○", WARN))
    words = connection.words
    first, *more = _wrapped(f"{words}{connection.circumstance}", view.width)
    line = ink(f"{mark} ", style).append(first[: len(words)], style if style in (BAD, WARN) else "")
    line.append(first[len(words) :], DIM if connection.state == "live" else "")
    lines = [line, *(ink(f"  {piece}") for piece in more)]
    if connection.advice is not None:
        advice = _wrapped(safe_line(connection.advice), view.width)
        return [*lines, *(ink(f"  {piece}", DIM) for piece in advice)]
    used = usage(view.snapshot) if view.snapshot is not None else Text()
    lines[-1] = _with_asides(lines[-1], used, ink(view.hint, DIM), view.width)
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    """Returns the text in a few lines, beside a mark."""
    first, *more = wrap(text, max(1, width - 2))
    return [first, *more[: _MAX_REASON_LINES - 1]]


def _with_asides(line: Text, used: Text, hint: Text, width: int) -> Text:
    """Puts at the line's end what there is room for: what was used before what a key does."""
    aside = ink("   ").join([part for part in (used, hint) if part.plain])
    for right in (aside, used):
        if line.cell_len + right.cell_len + 2 <= width:
            return spread(line, right, width)
    return fit(line, width)


# Body


def _body(view: View, state: SessionSnapshot, room: int) -> list[Text]:
    width = view.width
    ended = state.status in _ENDED
    tree = steps(state.steps, width, view.now)
    last_log = log(state, width, view.now)
    order = [
        tree,
        questions(state, width, view.now),
        texts(state, width),
        last_log,
        artifacts(state, width),
        outcome(state, width),
    ]
    if not any(order):
        return [ink(_nothing_yet(state), DIM)] if room > 0 else []
    # The first in this list keep their lines when there are few.
    importance = (5, 1, 0, 4, 2, 3) if ended else (1, 0, 5, 2, 3, 4)
    gaps = sum(1 for panel in order if panel is not None) if view.height >= _AIRY else 0
    rooms = _share_out(order, importance, room - gaps)
    parts = [
        panel.paint(given)
        for panel, given in zip(order, rooms, strict=True)
        if panel is not None and given
    ]
    between = [Text()] if gaps else []
    return [line for at, part in enumerate(parts) for line in (between if at else []) + part]


def _nothing_yet(state: SessionSnapshot) -> str:
    if state.status in _ENDED:
        return "nothing was reported"
    return "nothing has been reported yet"


def _share_out(panels: Sequence[Panel | None], importance: Sequence[int], room: int) -> list[int]:
    """Returns how many lines each panel gets: what it needs, then what is good, then all."""
    rooms = [0] * len(panels)
    for wish in ("least", "good", "most"):
        for at in importance:
            panel = panels[at]
            if panel is None or (wish != "least" and not rooms[at]):
                continue
            wanted: int = getattr(panel, wish)
            given = min(room, max(0, wanted - rooms[at]))
            if wish == "least" and given < wanted:
                continue
            rooms[at] += given
            room -= given
    return rooms
