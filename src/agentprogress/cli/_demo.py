"""`agentprogress demo`: a crew of agents that reads a folder's files and reports on them.

The work is real and needs no model; only the pauses, by which a person can follow, are added.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from .._wakeup import LoopRef
from ..session import ProgressSession
from ..step import Step
from ._measure import (
    Copied,
    Function,
    PythonFacts,
    Survey,
    Unreadable,
    find_copies,
    find_files,
    most_imported,
    parse_python,
    read_file,
)
from ._report import Figures, write_report

__all__ = ["PLAN", "Crew", "default_root"]

T = TypeVar("T")

PLAN: Sequence[dict[str, Any]] = (
    {"name": "survey", "weight": 1},
    {"name": "read", "weight": 6},
    {"name": "compare", "weight": 1},
    {"name": "write", "weight": 2},
)
READERS = 4
_LONG_FUNCTION_LINES = 60
# A word takes this share of a tool call's pause.
_WORD_PACE = 0.1


def default_root() -> Path:
    """Returns the project that this package is checked out in, else the installed package."""
    package = Path(__file__).resolve().parent.parent
    checkout = package.parent.parent
    return checkout if (checkout / "pyproject.toml").is_file() else package


@dataclass(slots=True)
class _Findings:
    """What the readers have put together."""

    texts: dict[str, str] = field(default_factory=dict[str, str])
    unread: Counter[str] = field(default_factory=Counter[str])
    lines: Counter[str] = field(default_factory=Counter[str])
    blank: int = 0
    markers: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    functions: list[tuple[Function, str]] = field(default_factory=list[tuple[Function, str]])
    classes: int = 0
    imports: list[frozenset[str]] = field(default_factory=list[frozenset[str]])


class Crew:
    """The crew as a job.

    Args:
        root: what it reads.
        pace: seconds added to each tool call.
    """

    worth_staying = True

    def __init__(self, root: Path, pace: float) -> None:
        self._root = root
        self._pace = pace
        self._findings = _Findings()

    async def __call__(self, session: ProgressSession) -> dict[str, Any] | None:
        """Works until it is done, or the session is asked to stop."""
        loop = LoopRef()
        with anyio.CancelScope() as scope:
            session.on_cancel(lambda: loop.call_soon(scope.cancel))
            return await self._work(session)
        return None

    async def _work(self, session: ProgressSession) -> dict[str, Any]:
        session.log(f"Reading {self._root}", pace_seconds=self._pace)
        with session.phase("survey") as phase:
            survey = await self._survey(phase)
        with session.phase("read", total=len(survey.files), unit="file") as phase:
            await self._read(phase, survey.files)
        await session.flush()
        with session.phase("compare") as phase:
            imported, copies = await self._compare(phase)
        with session.phase("write") as phase:
            figures = self._figures(survey, imported, copies)
            await self._write(phase, figures)
        return figures.summary()

    # Survey

    async def _survey(self, phase: Step) -> Survey:
        with phase.agent("scout") as scout:
            with scout.tool("find_files", input={"path": str(self._root)}) as tool:
                survey = await self._call(find_files, self._root)
                common = dict(survey.by_suffix.most_common(8))
                tool.complete({"found": survey.found, "by_suffix": common})
            if survey.unreadable:
                scout.log(f"{survey.unreadable} folders cannot be entered", level="warning")
            if survey.cut:
                scout.log("There are more files than are looked at", level="warning")
            scout.log(f"{len(survey.files)} of {survey.found} files will be read")
        return survey

    # Read

    async def _read(self, phase: Step, files: Sequence[Path]) -> None:
        # What the compiler thinks of a file is for its authors, not for this terminal.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            async with anyio.create_task_group() as tasks:
                for number in range(min(READERS, len(files))):
                    share = files[number::READERS]
                    tasks.start_soon(self._read_share, phase, f"reader {number + 1}", share)

    async def _read_share(self, phase: Step, name: str, share: Sequence[Path]) -> None:
        with phase.agent(name, total=len(share), unit="file") as agent:
            for path in share:
                shown = self._shown(path)
                await self._read_one(agent, path, shown)
                agent.advance(message=shown)
                phase.advance()

    async def _read_one(self, agent: Step, path: Path, shown: str) -> None:
        findings = self._findings
        with agent.tool("read_file", input={"path": shown}) as tool:
            try:
                facts = await self._call(read_file, path)
            except Unreadable as error:
                findings.unread[str(error)] += 1
                tool.fail(str(error))
                return
            tool.complete({"lines": facts.lines, "blank": facts.blank, "longest": facts.longest})
        findings.texts[shown] = facts.text
        findings.lines[path.suffix or "none"] += facts.lines
        findings.blank += facts.blank
        findings.markers += [(shown, line) for line in facts.markers]
        if facts.markers:
            agent.log(f"{shown}: {len(facts.markers)} marked as to do")
        if path.suffix == ".py":
            await self._parse_one(agent, facts.text, shown)

    async def _parse_one(self, agent: Step, text: str, shown: str) -> None:
        with agent.tool("parse_python", input={"path": shown}) as tool:
            try:
                facts: PythonFacts = await self._call(parse_python, text)
            except Unreadable as error:
                tool.fail(str(error))
                agent.log(f"{shown}: {error}", level="warning")
                return
            tool.complete({"functions": len(facts.functions), "classes": facts.classes})
        for function in facts.functions:
            if function.lines >= _LONG_FUNCTION_LINES:
                agent.log(f"{shown}: {function.name} has {function.lines} lines", level="warning")
        findings = self._findings
        findings.functions += [(function, shown) for function in facts.functions]
        findings.classes += facts.classes
        findings.imports.append(facts.imports)

    # Compare

    async def _compare(self, phase: Step) -> tuple[Counter[str], list[Copied]]:
        imported: Counter[str] = Counter()
        copies: list[Copied] = []

        async def librarian() -> None:
            with phase.agent("librarian") as agent, agent.tool("count_imports") as tool:
                imported.update(await self._call(most_imported, self._findings.imports))
                tool.complete({"modules": len(imported)})

        async def proofreader() -> None:
            with phase.agent("proofreader") as agent, agent.tool("find_copies") as tool:
                copies.extend(await self._call(find_copies, self._findings.texts))
                tool.complete({"copies": len(copies)})

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(librarian)
            tasks.start_soon(proofreader)
        return imported, copies

    # Write

    def _figures(self, survey: Survey, imported: Counter[str], copies: list[Copied]) -> Figures:
        findings = self._findings
        return Figures(
            name=self._root.name or str(self._root),
            found=survey.found,
            read=len(findings.texts),
            unread=findings.unread,
            lines=findings.lines,
            blank=findings.blank,
            functions=sorted(findings.functions, reverse=True),
            classes=findings.classes,
            imported=imported,
            markers=sorted(findings.markers),
            copies=copies,
        )

    async def _write(self, phase: Step, figures: Figures) -> None:
        with phase.agent("writer") as writer:
            report = write_report(figures)
            with writer.text(role="assistant", channel="answer") as text:
                for word in re.findall(r"\S+\s*|\s+", report):
                    text.write(word)
                    await anyio.sleep(self._pace * _WORD_PACE)
            writer.artifact("report.md", media_type="text/markdown", data=report)

    # Tools

    async def _call(self, function: Callable[[Any], T], argument: Any) -> T:
        """Calls a tool in a thread: reading and parsing would hold up everybody who follows."""
        result = await anyio.to_thread.run_sync(function, argument, abandon_on_cancel=True)
        await anyio.sleep(self._pace)
        return result

    def _shown(self, path: Path) -> str:
        return path.name if path == self._root else path.relative_to(self._root).as_posix()
