"""Which steps get a line of their own when there is room for so many. Pure; knows no terminal.

What has been finished gives way first: calls of tools and models become a count as soon as they are
many, then finished branches fold, oldest first, then what is planned, then finished siblings. Only
what is left is cut, and says so.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..._core.states import StepStatus
from ...snapshot import StepState
from ._text import counted

__all__ = ["Row", "StepTree", "was_skipped"]

_MAX_DEPTH = 8
# Finished calls of one step: more than these are told as a number.
_MAX_CALLS = 2
_OPEN = (StepStatus.PLANNED, StepStatus.RUNNING)
_BAD = (StepStatus.FAILED, StepStatus.LOST)
_CALLS = ("tool", "model")
_NOUNS = {"agent": "agent", "tool": "tool call", "model": "model call", "phase": "phase"}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the tree.

    Attributes:
        depth: how far it is indented.
        status: of the step, or of all those that the row stands for.
        step: None when it stands for several siblings.
        label: what a row of siblings is called.
        summary: what is folded away below the step, or was before it.
        failed: how many of those that the row stands for beside its step failed.
    """

    depth: int
    status: str
    step: StepState | None = None
    label: str = ""
    summary: str = ""
    failed: int = 0


@dataclass(slots=True)
class _Node:
    """A step and what is below it; the root has no step."""

    step: StepState | None
    depth: int
    children: list[_Node] = field(default_factory=list["_Node"])
    over: bool = False
    folded: bool = False
    merges_planned: bool = False
    merges_finished: bool = False

    @property
    def is_leaf(self) -> bool:
        return self.folded or not self.children

    @property
    def is_planned(self) -> bool:
        return (
            self.step is not None
            and not self.children
            and (self.step.status == StepStatus.PLANNED or was_skipped(self.step))
        )


def was_skipped(step: StepState) -> bool:
    """True for a planned step that the session's end closed before it had begun."""
    return step.status not in _OPEN and step.started_at is None


class StepTree:
    """The steps in their tree.

    Attributes:
        most: how many rows they take.
        folded: how many they take with all branches folded that are over.
    """

    def __init__(self, steps: Sequence[StepState]) -> None:
        self._root = _tree(steps)
        self._branches = [node for node in _walk(self._root) if node.over and node.children]
        self._branches.sort(key=_ended_at)  # one below ends before the one above, or with it
        self.most = _size(self._root)
        self._fold(0)
        self.folded = _size(self._root)

    def rows(self, room: int) -> list[Row]:
        """Returns at most `room` rows; to be asked for once."""
        for node in self._branches:
            node.folded = False
        self._fold(room)
        over = _size(self._root) - room
        if over > 0:
            _merge(list(_walk(self._root)), over)
        return _cut(list(_rows(self._root)), room)

    def _fold(self, room: int) -> None:
        over = self.most - room
        for node in self._branches:
            if over <= 0:
                return
            over -= _size(node)
            node.folded = True


# The tree


def _tree(steps: Sequence[StepState]) -> _Node:
    """Returns the steps under a root. Who has no parent here, or is its own, stands at the top."""
    known = {step.step_id for step in steps}
    below: defaultdict[str | None, list[StepState]] = defaultdict(list)
    for step in steps:
        below[step.parent_id if step.parent_id in known else None].append(step)
    root = _Node(None, -1)
    seen: set[str] = set()
    for first in (*below[None], *steps):  # the latter for those in a circle
        waiting = [(first, root)]
        while waiting:
            step, parent = waiting.pop()
            if step.step_id in seen:
                continue
            seen.add(step.step_id)
            node = _Node(step, parent.depth + 1)
            parent.children.append(node)
            above = node if node.depth < _MAX_DEPTH else parent
            waiting += [(child, above) for child in reversed(below[step.step_id])]
    _judge(root)
    return root


def _judge(node: _Node) -> bool:
    """Finds out what is over, with all that is below it."""
    below = [_judge(child) for child in node.children]
    node.over = all(below) and node.step is not None and node.step.status not in _OPEN
    return node.over


def _walk(node: _Node) -> Iterator[_Node]:
    """Gives the nodes that are in sight, the node itself last."""
    if not node.folded:
        for child in node.children:
            yield from _walk(child)
    yield node


# What stands for several


def _group_of(parent: _Node, node: _Node) -> str | None:
    """Returns the group of siblings that a node is told with, if it is."""
    if node.is_planned:
        return "planned" if parent.merges_planned else None
    if not node.over or not node.is_leaf or node.step is None:
        return None
    if parent.merges_finished:
        return "finished"
    return "calls" if node.step.kind in _CALLS and not node.folded else None


def _groups(parent: _Node) -> Iterator[list[_Node]]:
    """Gives the children as rows have them: alone or with their group, which stands first."""
    groups: dict[str, list[_Node]] = {}
    order: list[list[_Node]] = []
    for child in parent.children:
        name = _group_of(parent, child)
        if name is None:
            order.append([child])
        elif name in groups:
            groups[name].append(child)
        else:
            groups[name] = [child]
            order.append(groups[name])
    calls = groups.get("calls", [])
    if len(calls) <= _MAX_CALLS:
        order = [[node] for members in order for node in members] if calls else order
    elif _running_call(parent) is not None:  # which has a row already, that can tell of them
        order.remove(calls)
    yield from order


def _running_call(parent: _Node) -> _Node | None:
    """Returns the call that a step waits for, if there is one."""
    calls = (child for child in parent.children if child.is_leaf and not child.over)
    return next((call for call in calls if call.step and call.step.kind in _CALLS), None)


def _told_by(parent: _Node, call: _Node) -> list[StepState]:
    """Returns the finished calls that the row of a running one stands for."""
    if _running_call(parent) is not call or parent.merges_finished:
        return []
    calls = [node for node in parent.children if _group_of(parent, node) == "calls"]
    return [node.step for node in calls if node.step] if len(calls) > _MAX_CALLS else []


def _size(node: _Node) -> int:
    """Returns how many rows are below a node."""
    if node.folded:
        return 0
    return sum(1 + (_size(group[0]) if len(group) == 1 else 0) for group in _groups(node))


# Making room


def _merge(nodes: Sequence[_Node], over: int) -> None:
    """Tells siblings as a number until so many rows less are taken: planned ones, then finished."""
    for name in ("merges_planned", "merges_finished"):
        for node in nodes:
            if over <= 0:
                return
            before = _size(node)
            setattr(node, name, True)
            over -= before - _size(node)


def _ended_at(node: _Node) -> tuple[float, int]:
    moment = None if node.step is None else node.step.ended_at
    try:
        return (0.0 if moment is None else moment.timestamp(), -node.depth)
    except (OverflowError, ValueError, OSError):
        return (0.0, -node.depth)


# Rows


def _rows(node: _Node) -> Iterator[Row]:
    for group in _groups(node):
        first = group[0]
        if len(group) > 1:
            yield _row_of_many(group)
        elif first.step is not None:
            hidden = list(_below(first)) if first.folded else _told_by(node, first)
            yield Row(
                first.depth,
                first.step.status,
                first.step,
                summary=_summary(hidden),
                failed=sum(map(_is_bad, hidden)),
            )
            if not first.folded:
                yield from _rows(first)


def _row_of_many(group: Sequence[_Node]) -> Row:
    steps = [node.step for node in group if node.step is not None]
    if group[0].is_planned:
        planned = steps[0].status == StepStatus.PLANNED
        label = f"{len(steps):,} {'planned' if planned else 'skipped'}"
        return Row(group[0].depth, steps[0].status, label=label)
    hidden = [step for node in group for step in _below(node)]
    return Row(
        group[0].depth,
        _verdict(steps),
        label=_summary([*steps, *hidden]),
        failed=sum(map(_is_bad, [*steps, *hidden])),
    )


def _verdict(steps: Sequence[StepState]) -> str:
    """Returns what is told of several: that it went well when it mostly did."""
    return Counter(step.status for step in steps).most_common(1)[0][0]


def _below(node: _Node) -> Iterator[StepState]:
    for child in node.children:
        if child.step is not None:
            yield child.step
        yield from _below(child)


def _is_bad(step: StepState) -> bool:
    return step.status in _BAD and not was_skipped(step)


def _summary(steps: Sequence[StepState]) -> str:
    kinds = Counter(_NOUNS.get(step.kind, "step") for step in steps)
    return ", ".join(counted(count, noun) for noun, count in kinds.items())


def _cut(rows: list[Row], room: int) -> list[Row]:
    """Keeps the rows that say most of what is going on, in their order, and counts the others."""
    if len(rows) <= room:
        return rows
    if room <= 0:
        return []
    order = sorted(range(len(rows)), key=lambda at: (_rank(rows[at]), at))
    kept = sorted(order[: room - 1])
    more = Row(0, "", label=f"{len(rows) - len(kept):,} more lines")
    return [*(rows[at] for at in kept), more]


def _rank(row: Row) -> int:
    if row.status == StepStatus.RUNNING:
        return row.depth
    if row.status in _BAD:
        return _MAX_DEPTH + 1
    return _MAX_DEPTH + (2 if row.depth == 0 else 3)
