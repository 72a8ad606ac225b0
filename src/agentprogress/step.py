"""The producer's sugar: what sessions and steps have in common, steps, and streamed texts.

Everything here is synchronous, thread-safe, never blocks and never harms the job: values are
repaired, cut or dropped (and counted) rather than raised, unless ``Settings.strict`` is set.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from typing_extensions import TypedDict

from ._ambient import enter_scope, leave_scope
from ._core.jsonable import clean_text
from ._core.outbox import Counter, Delta, Progress
from ._given import as_number, as_text, text_or_none
from ._ids import short_id
from ._producer import Producer
from .events import LogLevel, StepKind

if TYPE_CHECKING:
    from .session import ProgressSession

__all__ = ["Scope", "Step", "TextStream"]


class StepOptions(TypedDict, total=False):
    """What can be said of a step besides its name and kind; see `Scope.step`."""

    step_id: str | None
    parent: Step | None
    total: float | None
    unit: str | None
    weight: float | None
    input: Any


class Scope:
    """What can be done in a session and in each of its steps."""

    __slots__ = ()

    _producer: Producer

    @property
    def session(self) -> ProgressSession:
        """The session this belongs to."""
        raise NotImplementedError

    @property
    def _step_id(self) -> str | None:
        raise NotImplementedError

    def __bool__(self) -> bool:
        """False only where there is no session: code under instrumentation runs anywhere."""
        return self._producer.recorded

    def step(  # noqa: PLR0913 - every one of them belongs to a step
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
        """Starts a step, now; ``with`` only ends it: hooks may start and end in different places.

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
        producer = self._producer
        if not producer.recorded:
            return Step(self.session, "", producer)
        parent_id = self._step_id if parent is None else self._id_of(parent)
        name, kind_name = as_text(name), as_text(kind)
        planned = producer.planned_step(kind_name, name, parent_id)
        step = Step(self.session, text_or_none(step_id) or planned or short_id(), producer)
        producer.send(
            {
                "type": "step.started",
                "step_id": step.step_id,
                "kind": kind_name,
                "name": name,
                "parent_id": parent_id or None,
                "total": as_number(total),
                "unit": unit,
                "weight": as_number(weight),
                "input": input,
            }
        )
        return step

    @staticmethod
    def _id_of(parent: object) -> str | None:
        return parent._step_id if isinstance(parent, Scope) else text_or_none(parent)

    def phase(self, name: str, **options: Unpack[StepOptions]) -> Step:
        """Starts a phase; options as for `step`."""
        return self.step(name, kind="phase", **options)

    def agent(self, name: str, **options: Unpack[StepOptions]) -> Step:
        """Starts an agent's work; options as for `step`."""
        return self.step(name, kind="agent", **options)

    def tool(self, name: str, **options: Unpack[StepOptions]) -> Step:
        """Starts a tool call; options as for `step`."""
        return self.step(name, kind="tool", **options)

    def model(self, name: str, **options: Unpack[StepOptions]) -> Step:
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
        producer = self._producer
        if producer.recorded:
            producer.send(
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
        about = {
            "role": role,
            "channel": channel,
            "step_id": self._step_id,
        }
        return TextStream(self._producer, text_or_none(message_id) or short_id(), about)

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
        artifact_id = text_or_none(artifact_id) or short_id()
        if self._producer.recorded:
            self._producer.send(
                {
                    "type": "artifact.created",
                    "artifact_id": artifact_id,
                    "name": as_text(name),
                    "media_type": as_text(media_type),
                    "url": url,
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
        if self._producer.recorded:
            self._producer.send(
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

    __slots__ = ("_counter", "_ended", "_of", "_outer", "_producer")

    def __init__(self, session: ProgressSession, step_id: str, producer: Producer) -> None:
        self._of = session
        self._producer = producer
        self._counter = Counter(step_id)
        self._ended = False
        self._outer: Scope | None = None

    @property
    def step_id(self) -> str:
        """Its id in the session."""
        return self._counter.step_id

    @property
    def session(self) -> ProgressSession:
        """The session it belongs to."""
        return self._of

    @property
    def _step_id(self) -> str:
        return self._counter.step_id

    def advance(self, by: float = 1, message: str | None = None) -> None:
        """Moves on by so much. Cheap enough for a loop of millions: pending moves become one."""
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
        if not self._ended and self._producer.recorded:
            self._end({"type": "step.failed", "error": self._producer.describe_error(error)})

    def cancel(self, reason: str | None = None) -> None:
        """Gives the step up."""
        self._end({"type": "step.cancelled", "reason": reason})

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
        producer = self._producer
        if producer.recorded and not self._ended:
            if message is not None:
                message = producer.field(message)
            time = producer.hub.stamp()
            producer.put(Progress(time, self._counter, advance, current, total, message))

    def _end(self, wire: dict[str, Any]) -> None:
        if not self._ended and self._producer.recorded:
            self._ended = True
            self._producer.send({"type": wire["type"], "step_id": self._step_id, **wire})


class TextStream:
    """A text that grows while somebody reads it."""

    __slots__ = ("_about", "_done", "_producer", "message_id")

    def __init__(self, producer: Producer, message_id: str, about: dict[str, str | None]) -> None:
        self.message_id = message_id
        self._producer = producer
        self._done = False
        self._about = about

    def write(self, delta: str) -> None:
        """Adds to the text. Deltas that are still pending become one."""
        producer = self._producer
        if producer.recorded and not self._done:
            text = delta if type(delta) is str and delta.isascii() else clean_text(as_text(delta))
            if text:
                producer.put(Delta(producer.hub.stamp(), self.message_id, text, self._about))

    def complete(self) -> None:
        """The text is whole; a second time is ignored."""
        if not self._done and self._producer.recorded:
            self._done = True
            self._producer.send({"type": "text.completed", "message_id": self.message_id})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.complete()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.complete()
