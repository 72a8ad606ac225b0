"""The producer's sugar: what sessions and steps have in common, steps, and streamed texts.

Everything here is synchronous, thread-safe, never blocks and never harms the job: values are
repaired, cut or dropped (and counted) rather than raised, unless ``Settings.strict`` is set.
"""

from __future__ import annotations

import math
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ._ambient import enter_scope, leave_scope
from ._core.jsonable import clean_text
from ._core.outbox import Counter, Delta, Progress
from ._ids import short_id
from .events import LogLevel, StepKind

if TYPE_CHECKING:
    from .session import ProgressSession

__all__ = ["Scope", "Step", "TextStream"]

_EXACT = 2**53


class Scope:
    """What can be done in a session and in each of its steps."""

    __slots__ = ()

    @property
    def _session(self) -> ProgressSession:
        raise NotImplementedError

    @property
    def _step_id(self) -> str | None:
        raise NotImplementedError

    @property
    def session(self) -> ProgressSession:
        """The session this belongs to."""
        return self._session

    def __bool__(self) -> bool:
        """False only where there is no session: code under instrumentation runs anywhere."""
        return self._session.recorded

    def step(
        self,
        name: str,
        *,
        kind: StepKind = "step",
        step_id: str | None = None,
        parent: Step | None = None,
        total: float | None = None,
        unit: str | None = None,
        weight: float | None = None,
        input: Any = None,
    ) -> Step:
        """Starts a step, now. ``with`` only ends it, so hooks may start and end in different places.

        Args:
            name: what people read.
            kind: how viewers show it.
            step_id: unique in the session; made up when absent.
            parent: the step it belongs to; this one by default.
            total: how far it will go, in `unit`.
            unit: what `total` counts.
            weight: its share of overall progress if it is top-level; 1 by default.
            input: any JSON value; kept in history, not in snapshots.
        """
        session = self._session
        parent_id = parent._step_id if parent is not None else self._step_id
        name = as_text(name)
        step = Step(session, step_id or session.planned_step(kind, name, parent_id) or short_id())
        if session.recorded:
            session.send(
                {
                    "type": "step.started",
                    "step_id": step.step_id,
                    "kind": as_text(kind),
                    "name": name,
                    "parent_id": parent_id,
                    "total": as_number(total),
                    "unit": unit,
                    "weight": as_number(weight),
                    "input": input,
                }
            )
        return step

    def phase(self, name: str, **options: Any) -> Step:
        """Starts a phase; options as for `step`."""
        return self.step(name, kind="phase", **options)

    def agent(self, name: str, **options: Any) -> Step:
        """Starts an agent's work; options as for `step`."""
        return self.step(name, kind="agent", **options)

    def tool(self, name: str, **options: Any) -> Step:
        """Starts a tool call; options as for `step`."""
        return self.step(name, kind="tool", **options)

    def model(self, name: str, **options: Any) -> Step:
        """Starts a model call; options as for `step`."""
        return self.step(name, kind="model", **options)

    def log(
        self, message: object, level: LogLevel = "info", *, logger: str | None = None, **fields: Any
    ) -> None:
        """Writes a line for people.

        Args:
            message: its text; over 8 KiB it is cut and says so.
            level: ``debug``, ``info``, ``warning``, ``error`` or ``critical``.
            logger: where it comes from.
            fields: any JSON values.
        """
        session = self._session
        if session.recorded:
            session.send(
                {
                    "type": "log.message",
                    "level": level,
                    "message": message if type(message) is str else as_text(message),
                    "step_id": self._step_id,
                    "logger": logger,
                    "fields": fields or None,
                }
            )

    def text(
        self, *, message_id: str | None = None, role: str | None = None, channel: str | None = None
    ) -> TextStream:
        """Returns a text to be streamed.

        Args:
            message_id: unique in the session; made up when absent.
            role: who speaks, e.g. ``assistant``.
            channel: ``answer`` or ``reasoning``.
        """
        return TextStream(self._session, message_id or short_id(), role, channel, self._step_id)

    def artifact(
        self,
        name: str,
        *,
        media_type: str = "application/octet-stream",
        url: str | None = None,
        data: Any = None,
        artifact_id: str | None = None,
    ) -> str:
        """Announces something to keep.

        Args:
            name: e.g. a file name.
            media_type: of what is behind `url` or in `data`.
            url: where it is.
            data: the thing itself, if it is small: any JSON value up to 8 KiB.
            artifact_id: unique in the session; a later artifact of the same id replaces it.

        Returns:
            The artifact's id.
        """
        artifact_id = artifact_id or short_id()
        if self._session.recorded:
            self._session.send(
                {
                    "type": "artifact.created",
                    "artifact_id": artifact_id,
                    "name": as_text(name),
                    "media_type": media_type,
                    "url": None if url is None else str(url),
                    "data": data,
                    "step_id": self._step_id,
                }
            )
        return artifact_id

    def usage(
        self,
        *,
        model: str | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cost: float | None = None,
        currency: str | None = None,
    ) -> None:
        """Reports what one model call used; snapshots hold the sums.

        Args:
            model: its name.
            input_tokens: a count.
            output_tokens: a count.
            cost: in `currency`.
            currency: ISO 4217, e.g. ``USD``.
        """
        if self._session.recorded:
            self._session.send(
                {
                    "type": "usage.reported",
                    "model": model,
                    "input_tokens": as_number(input_tokens),
                    "output_tokens": as_number(output_tokens),
                    "cost": as_number(cost),
                    "currency": currency,
                    "step_id": self._step_id,
                }
            )


class Step(Scope):
    """One step of the session's tree, open until it is completed, failed or cancelled once."""

    __slots__ = ("_counter", "_ended", "_of", "_outer")

    def __init__(self, session: ProgressSession, step_id: str) -> None:
        self._of = session
        self._counter = Counter(step_id)
        self._ended = False
        self._outer: Scope | None = None

    @property
    def step_id(self) -> str:
        """Its id in the session."""
        return self._counter.step_id

    @property
    def _session(self) -> ProgressSession:
        return self._of

    @property
    def _step_id(self) -> str:
        return self._counter.step_id

    def advance(self, by: float = 1, message: str | None = None) -> None:
        """Moves on by so much. Cheap enough for a loop of millions: pending moves become one event."""
        self._progress(advance=as_number(by), message=message)

    def update(
        self, current: float | None = None, total: float | None = None, message: str | None = None
    ) -> None:
        """Says how far the step is; what is None stays as it was."""
        self._progress(current=as_number(current), total=as_number(total), message=message)

    def complete(self, output: Any = None) -> None:
        """Ends the step well; `output` is any JSON value, kept in history."""
        self._end({"type": "step.completed", "output": output})

    def fail(self, error: BaseException | str) -> None:
        """Ends the step with an error; the session may go on."""
        if not self._ended and self._session.recorded:
            self._end({"type": "step.failed", "error": self._session.describe_error(error)})

    def cancel(self, reason: str | None = None) -> None:
        """Gives the step up."""
        self._end({"type": "step.cancelled", "reason": None if reason is None else as_text(reason)})

    def __enter__(self) -> Self:
        self._outer = enter_scope(self)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        leave_scope(self._outer)
        self._outer = None
        if exc is None:
            self.complete()
        elif isinstance(exc, Exception):
            self.fail(exc)
        else:  # a cancellation, an exit, a generator that is closed
            self.cancel()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(exc_type, exc, traceback)

    def _progress(
        self,
        *,
        advance: float | None = None,
        current: float | None = None,
        total: float | None = None,
        message: str | None = None,
    ) -> None:
        session = self._session
        if session.recorded and not self._ended:
            if message is not None:
                message = session.short(message)
            session.put(
                Progress(session.stamp(), self._counter, advance, current, total, message)
            )

    def _end(self, wire: dict[str, Any]) -> None:
        if not self._ended and self._session.recorded:
            self._ended = True
            self._session.send({"step_id": self._step_id, **wire})


class TextStream:
    """A text that grows while somebody reads it."""

    __slots__ = ("_about", "_done", "_session", "message_id")

    def __init__(
        self,
        session: ProgressSession,
        message_id: str,
        role: str | None,
        channel: str | None,
        step_id: str | None,
    ) -> None:
        self.message_id = message_id
        self._session = session
        self._done = False
        self._about = {"role": role, "channel": channel, "step_id": step_id}

    def write(self, delta: str) -> None:
        """Adds to the text. Deltas that are still pending become one."""
        session = self._session
        if delta and session.recorded and not self._done:
            text = delta if type(delta) is str and delta.isascii() else clean_text(as_text(delta))
            session.put(Delta(session.stamp(), self.message_id, text, self._about))

    def complete(self) -> None:
        """The text is whole; a second time is ignored."""
        if not self._done and self._session.recorded:
            self._done = True
            self._session.send({"type": "text.completed", "message_id": self.message_id})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.complete()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.complete()


def as_text(value: object) -> str:
    """Returns what somebody passed for a text as one, even if its ``str`` fails."""
    if isinstance(value, str):
        return value
    try:
        return str(value)
    except Exception:  # somebody's __str__: whatever it raises must not reach the job
        return f"<{type(value).__name__}>"


def as_number(value: object) -> float | None:
    """Returns what somebody passed for a number as one that JSON can carry, or None."""
    if isinstance(value, int):
        return int(value) if -_EXACT <= value <= _EXACT else float_or_none(value)
    return None if value is None else float_or_none(value)


def float_or_none(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
