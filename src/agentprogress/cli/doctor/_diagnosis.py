"""How the findings of `agentprogress doctor` are told: in a terminal, as lines, or as JSON."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status
from rich.text import Text

from .._output import say
from ..terminal._paint import BAD, DIM, GOOD, WARN, ink, wrap
from ..terminal._screen import is_terminal
from ._findings import Finding, Verdict

__all__ = ["Report", "lines_of", "painted", "report_for", "summary"]

_MARKS = {
    Verdict.OK: ("✓", GOOD),
    Verdict.WARNING: ("▲", WARN),
    Verdict.FAILED: ("✗", BAD),
    Verdict.SKIPPED: ("-", DIM),
}
_NAME_CELLS = 13
_WHO_CELLS = 11
_VERDICT_CELLS = 9
_MARK_CELLS = 2
_MAX_WIDTH = 100


class Report(ABC):
    """Is told what happens, and tells it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    def begin(self, name: str) -> None:  # noqa: B027 - only a terminal shows what is under way
        """A check begins."""

    @abstractmethod
    def found(self, finding: Finding) -> None:
        """A check is over."""

    @abstractmethod
    def end(self, findings: Sequence[Finding], status: int) -> None:
        """All are over."""


def report_for(address: str, *, as_json: bool) -> Report:
    """Returns the report that fits standard output."""
    if as_json:
        return _Json(address)
    return _Terminal(address) if is_terminal() else _Plain(address)


def summary(findings: Sequence[Finding]) -> str:
    """Returns how many checks went how."""
    counts = Counter(finding.verdict for finding in findings)
    words = {
        Verdict.FAILED: "failed",
        Verdict.WARNING: "warning" if counts[Verdict.WARNING] == 1 else "warnings",
        Verdict.OK: "ok",
        Verdict.SKIPPED: "skipped",
    }
    return ", ".join(
        f"{counts[verdict]} {word}" for verdict, word in words.items() if counts[verdict]
    )


def together(skipped: Sequence[Finding]) -> Finding:
    """Returns one finding for those that were skipped for the same reason."""
    first = skipped[0]
    if len(skipped) == 1:
        return first
    names = ", ".join(finding.name for finding in skipped)
    return Finding("Not seen", first.verdict, f"{names}. {first.sentence}")


# Lines


def lines_of(finding: Finding) -> Iterator[str]:
    """Gives a finding as lines of plain text."""
    yield f"{finding.verdict.value:{_VERDICT_CELLS}}{finding.name}: {finding.sentence}"
    for fix in finding.fixes:
        for line in fix.lines:
            yield f"{'':{_VERDICT_CELLS}}{fix.who}: {line}"


class _ForPeople(Report):
    """What is skipped for one reason is told once."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._skipped: list[Finding] = []

    def found(self, finding: Finding) -> None:
        if self._skipped and self._skipped[0].sentence != finding.sentence:
            self._tell_skipped()
        if finding.verdict is Verdict.SKIPPED:
            self._skipped.append(finding)
        else:
            self._tell(finding)

    def end(self, findings: Sequence[Finding], status: int) -> None:
        self._tell_skipped()

    def _tell_skipped(self) -> None:
        if self._skipped:
            self._tell(together(self._skipped))
        self._skipped = []

    @abstractmethod
    def _tell(self, finding: Finding) -> None:
        """Shows a finding."""


class _Plain(_ForPeople):
    def __enter__(self) -> Self:
        say(f"Checking {self._address}")
        return self

    def _tell(self, finding: Finding) -> None:
        for line in lines_of(finding):
            say(line)

    def end(self, findings: Sequence[Finding], status: int) -> None:
        super().end(findings, status)
        say(f"{summary(findings)}.")


class _Json(Report):
    def __init__(self, address: str) -> None:
        self._address = address

    def found(self, finding: Finding) -> None:
        """Is told at the end."""

    def end(self, findings: Sequence[Finding], status: int) -> None:
        checks = [finding.as_json() for finding in findings]
        told = {"url": self._address, "exit_status": status, "checks": checks}
        say(json.dumps(told, indent=2))


# In a terminal


def painted(finding: Finding, width: int) -> Iterator[Text]:
    """Gives a finding as lines of `width` cells; those to be copied are left whole."""
    mark, style = _MARKS[finding.verdict]
    dim = DIM if finding.verdict is Verdict.SKIPPED else ""
    head = ink(mark, style).append(f" {finding.name:{_NAME_CELLS}}", dim or "bold")
    for piece in wrap(finding.sentence, width - head.cell_len):
        yield head.append(piece, dim)
        head = ink(" " * (_MARK_CELLS + _NAME_CELLS))
    for fix in finding.fixes:
        who = fix.who
        for line in fix.lines:
            start = ink(" " * (_MARK_CELLS + _NAME_CELLS)).append(f"{who:{_WHO_CELLS}}", DIM)
            yield start.append(line)
            who = ""


class _Terminal(_ForPeople):
    """Each finding as soon as it is there; what is under way shows below it."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._status = Status("", console=self._console, spinner_style=DIM)

    def __enter__(self) -> Self:
        self._print(ink(""), ink(self._address, "bold"), ink(""))
        self._status.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._status.stop()

    def begin(self, name: str) -> None:
        self._status.update(ink(name, DIM))

    def _tell(self, finding: Finding) -> None:
        self._print(*painted(finding, min(_MAX_WIDTH, self._console.width)))

    def end(self, findings: Sequence[Finding], status: int) -> None:
        self._status.stop()
        super().end(findings, status)
        verdicts = {finding.verdict for finding in findings}
        style = GOOD
        if Verdict.FAILED in verdicts:
            style = BAD
        elif Verdict.WARNING in verdicts:
            style = WARN
        self._print(ink(""), ink(f"{summary(findings)}.", style), ink(""))

    def _print(self, *lines: Text) -> None:
        for line in lines:
            self._console.print(line, soft_wrap=True)
