"""What a session looks like at one seq: the state folded from all its events, as typed models.

Liberal like every decoded thing: unknown fields are ignored, enums are open strings.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .events import ErrorInfo

__all__ = [
    "ArtifactState",
    "ErrorState",
    "Gap",
    "LogState",
    "RequestState",
    "SessionSnapshot",
    "Snapshot",
    "StepState",
    "TextState",
    "Usage",
]


class _State(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ErrorState(ErrorInfo):
    """What ended a step or the session; read liberally."""

    model_config = ConfigDict(strict=False, extra="ignore")


class StepState(_State):
    """One step of the tree; ``progress`` is 0-1, or None while nobody knows."""

    step_id: str
    parent_id: str | None = None
    kind: str = "step"
    name: str
    status: str
    current: float | None = None
    total: float | None = None
    unit: str | None = None
    weight: float | None = None
    message: str | None = None
    progress: float | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: ErrorState | None = None


class TextState(_State):
    """A streamed text: its last part; ``cut`` counts the code points before it."""

    message_id: str
    role: str | None = None
    channel: str | None = None
    step_id: str | None = None
    text: str = ""
    cut: int = 0
    done: bool = False


class LogState(_State):
    """One of the last log messages."""

    seq: int
    time: datetime | None = None
    level: str = "info"
    message: str
    step_id: str | None = None
    logger: str | None = None


class ArtifactState(_State):
    """An artifact; ``data`` only when it is small, else its event has it."""

    artifact_id: str
    name: str
    media_type: str
    url: str | None = None
    data: Any = None
    step_id: str | None = None


class RequestState(_State):
    """A question that is still open."""

    request_id: str
    prompt: str
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    expires_at: datetime | None = None


class Usage(_State):
    """Sums over all ``usage.reported``; costs by currency."""

    input_tokens: int = 0
    output_tokens: int = 0
    costs: dict[str, float] = {}


class SessionSnapshot(_State):
    """The state of a session after the event numbered ``seq``.

    Attributes:
        progress: weighted mean over planned and known top-level steps, 0-1, or None.
        result: inline result; None with ``result_bytes`` set means: ask for the result.
        omitted: how many of each kind the bounds left out.
    """

    session_id: str
    epoch: str
    seq: int
    status: str
    attempt: int = 1
    title: str | None = None
    metadata: dict[str, Any] | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    progress: float | None = None
    result: Any = None
    result_bytes: int | None = None
    error: ErrorState | None = None
    cancel_requested: bool = False
    steps: list[StepState] = []
    texts: list[TextState] = []
    logs: list[LogState] = []
    artifacts: list[ArtifactState] = []
    requests: list[RequestState] = []
    usage: Usage = Usage()
    custom: dict[str, Any] = {}
    omitted: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A subscription's item: start again from this state.

    Attributes:
        state: everything up to and including ``state.seq``.
        reset: True when it belongs to another epoch than what came before.
    """

    state: SessionSnapshot
    reset: bool = False

    @property
    def type(self) -> Literal["snapshot"]:
        """The frame's type on the wire."""
        return "snapshot"

    @property
    def seq(self) -> int:
        """The last seq that the state includes."""
        return self.state.seq


@dataclass(frozen=True, slots=True)
class Gap:
    """A subscription's item: these events are no longer there; a `Snapshot` follows.

    Attributes:
        missed_from: the first missed seq.
        missed_to: the last missed seq, inclusive.
        reason: ``evicted`` (before the subscriber joined) or ``slow`` (while it was reading).
    """

    missed_from: int
    missed_to: int
    reason: str

    @property
    def type(self) -> Literal["gap"]:
        """The frame's type on the wire."""
        return "gap"
