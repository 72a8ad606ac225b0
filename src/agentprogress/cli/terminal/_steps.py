"""The tree of steps as lines: marks, names, bars, amounts, messages and times in columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.text import Text

from ...snapshot import ErrorState, StepState
from ._paint import ACCENT, BAD, DIM, GOOD, WARN, bar, fit, ink, spread
from ._panels import Panel
from ._text import duration, number, safe_line, seconds
from ._tree import Row, StepTree, was_skipped

__all__ = ["steps"]

_STATUS_MARKS = {
    "planned": ("○", DIM),
    "running": ("●", ACCENT),
    "completed": ("✓", GOOD),
    "failed": ("✗", BAD),
    "cancelled": ("⊘", WARN),
    "interrupted": ("⊖", WARN),
    "lost": ("✗", BAD),
}
_SKIPPED_MARK = ("-", DIM)
# The kind of a step, in a shape and a colour; a phase is bold, and has no mark.
_KIND_MARKS = {"agent": ("◆", "magenta"), "tool": ("▸", "cyan"), "model": ("✦", WARN)}
_VERDICTS = ("cancelled", "interrupted", "lost")

_INDENT = 2
_LEAST = 4
_STRIDE = 4
# A name may take this share of the width where something stands beside it.
_NAME_SHARE = 0.4
_BAR_WIDTHS = ((110, 24), (72, 12), (0, 8))


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where things stand, in cells."""

    name: int
    bar: int
    amount: int
    time: int
    width: int


def steps(state: Sequence[StepState], width: int, now: datetime) -> Panel | None:
    """The steps in their tree."""
    if not state:
        return None
    tree = StepTree(state)

    def paint(room: int) -> list[Text]:
        return _paint_rows(tree.rows(room), room, width, now)

    errors = sum(1 for step in state if step.error is not None)
    return Panel(min(tree.folded, _LEAST), tree.folded, tree.most + errors, paint)


def _paint_rows(rows: Sequence[Row], room: int, width: int, now: datetime) -> list[Text]:
    columns = _columns(rows, width, now)
    spare = room - len(rows)
    lines: list[Text] = []
    for row in rows:
        line = _line(row, columns, now)
        lines.append(line)
        error = None if row.step is None else row.step.error
        if error is not None and spare > 0 and "…" in line.plain:
            indent = " " * (_INDENT * row.depth + 4)
            lines.append(fit(ink(f"{indent}{_reason(error)}", BAD), width))
            spare -= 1
    return lines


def _columns(rows: Sequence[Row], width: int, now: datetime) -> _Columns:
    beside = [row for row in rows if row.step is not None]
    longest = max((_name(row).cell_len for row in beside), default=0)
    widest = max((len(_amount(row.step)) for row in beside if row.step is not None), default=0)
    # In strides, so that columns stay where they are when one call follows another.
    longest = -(-longest // _STRIDE) * _STRIDE
    return _Columns(
        name=min(longest, int(width * _NAME_SHARE)),
        bar=next(cells for least, cells in _BAR_WIDTHS if width >= least),
        amount=min(widest, width // 4),
        time=max((len(_time(row.step, now)) for row in beside if row.step), default=0),
        width=width,
    )


def _line(row: Row, columns: _Columns, now: datetime) -> Text:
    name = _name(row)
    step = row.step
    if step is None:
        return fit(name, columns.width)
    detail = _detail(row, step, columns)
    if detail.cell_len:
        fit(name, max(columns.name, columns.width // 4))
        name.append(" " * (columns.name - name.cell_len + 2))
    time = _time(step, now)
    elapsed = ink(f"{time:>{columns.time}}" if time else "", DIM)
    return spread(name.append_text(detail), elapsed, columns.width)


def _name(row: Row) -> Text:
    """Returns what a row begins with: its indentation, marks and name."""
    text = ink(" " * (_INDENT * row.depth))
    step = row.step
    if step is None:
        text.append(*_STATUS_MARKS.get(row.status, ("⋮", DIM))).append(f" {row.label}", DIM)
        return _with_failures(text, row)
    skipped = was_skipped(step)
    text.append(*(_SKIPPED_MARK if skipped else _STATUS_MARKS.get(step.status, ("●", ACCENT))))
    text.append(" ")
    if step.kind in _KIND_MARKS:
        mark, colour = _KIND_MARKS[step.kind]
        text.append(f"{mark} ", colour)
    dim = skipped or step.status == "planned"
    bold = step.kind == "phase" and not dim
    return text.append(safe_line(step.name).strip() or "-", DIM if dim else "bold" if bold else "")


def _with_failures(text: Text, row: Row) -> Text:
    if row.failed:
        text.append(", ", DIM).append(f"{row.failed:,} failed", BAD)
    return text


def _detail(row: Row, step: StepState, columns: _Columns) -> Text:
    """Returns what stands beside a name: how far it is, and what it says."""
    if step.error is not None:
        return ink(_reason(step.error), BAD)
    text = Text()
    amount = _amount(step)
    if step.status == "running" and _share(step) is not None:
        text.append_text(bar(_share(step) or 0, columns.bar, ACCENT)).append(" ")
        text.append(f"{amount:>{columns.amount}}")
    elif amount and step.status != "planned":
        text.append(amount, DIM)
    for part in _said(row, step):
        text.append("  " if text else "").append_text(part)
    return text


def _said(row: Row, step: StepState) -> Iterator[Text]:
    running = step.status == "running"
    if row.summary:
        yield _with_failures(ink(f"after {row.summary}" if running else row.summary, DIM), row)
    if was_skipped(step):
        yield ink("skipped", DIM)
    elif step.status in _VERDICTS:
        yield ink(step.status, DIM)
    elif step.message and not (row.summary and step.status == "completed"):
        yield ink(safe_line(step.message).strip(), "" if running else DIM)


def _reason(error: ErrorState) -> str:
    return safe_line(error.message).strip() or safe_line(error.code) or "failed"


def _share(step: StepState) -> float | None:
    return step.progress if step.progress is not None else 0.0 if step.total else None


def _amount(step: StepState | None) -> str:
    if step is None or (step.current is None and not step.total):
        return ""
    current, total = step.current or 0, step.total
    unit = f" {safe_line(step.unit)[:12]}" if step.unit else ""
    if total and (step.status != "completed" or current != total):
        return f"{number(current)}/{number(total)}{unit}"
    return f"{number(current)}{unit}"


def _time(step: StepState | None, now: datetime) -> str:
    if step is None or step.started_at is None:
        return ""
    running = step.ended_at is None
    return duration(seconds(step.started_at, step.ended_at or now), running=running)
