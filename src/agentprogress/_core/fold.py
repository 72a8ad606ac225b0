"""Folds events into the state of a session: pure, incremental, bounded, never failing.

Works on wire objects (decoded JSON), so that it is the same function in every language. Cuts by
state alone (code points and counts, never encoded size). An event about something unknown or
already ended is ignored. `Fold.state` holds all there is: folding on from it gives what folding
everything would have given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from ..settings import Settings
from .states import TERMINAL_EVENTS, SessionStatus, StepStatus

__all__ = ["Fold"]

Json = dict[str, Any]

_LOG_TYPE = b'"type":"log.message"'
_OPEN_STEP = (StepStatus.RUNNING, StepStatus.PLANNED)
# Where `"type"` ends at the latest in a frame: after seq (16 digits) and time.
_TYPE_END = 90


class _Log(NamedTuple):
    """A log message that is decoded only if somebody asks for the state."""

    frame: bytes


class Fold:
    """The state of one epoch of one session after `seq`."""

    __slots__ = ("_limits", "_logs", "_state", "_steps", "_texts")

    def __init__(self, session_id: str, epoch: str, limits: Settings) -> None:
        self._limits = limits
        self._steps: dict[str, Json] = {}
        self._texts: dict[str, Json] = {}
        self._logs: list[_Log | Json] = []
        self._state: Json = {
            "session_id": session_id,
            "epoch": epoch,
            "seq": 0,
            "status": SessionStatus.PENDING.value,
            "attempt": 1,
            "title": None,
            "metadata": None,
            "started_at": None,
            "ended_at": None,
            "progress": None,
            "result": None,
            "result_bytes": None,
            "error": None,
            "cancel_requested": False,
            "artifacts": [],
            "requests": [],
            "usage": {"input_tokens": 0, "output_tokens": 0, "costs": {}},
            "custom": {},
            "omitted": {},
        }

    @classmethod
    def resume(cls, state: Mapping[str, Any], limits: Settings) -> Fold:
        """Returns a fold that goes on from a snapshot's state, which it copies."""
        fold = cls(state["session_id"], state["epoch"], limits)
        copied = deepcopy(dict(state))
        fold._steps = {step["step_id"]: step for step in copied.pop("steps")}
        fold._texts = {text["message_id"]: text for text in copied.pop("texts")}
        fold._logs = copied.pop("logs")
        fold._state.update(copied)
        return fold

    @property
    def seq(self) -> int:
        """The last seq folded in."""
        seq: int = self._state["seq"]
        return seq

    def copy(self) -> Fold:
        """Returns an independent fold at the same seq."""
        return Fold.resume(self.state(), self._limits)

    def state(self) -> Json:
        """Returns the state as a JSON-ready object; it is valid until the next event is folded in."""
        self._logs = [_decode_log(log, self._limits) for log in self._logs]
        return {
            **self._state,
            "progress": self._progress(),
            "steps": list(self._steps.values()),
            "texts": list(self._texts.values()),
            "logs": list(self._logs),
        }

    def encode(self) -> bytes:
        """Returns the state's JSON."""
        return to_json(self.state(), inf_nan_mode="null")

    def apply_frame(self, frame: bytes) -> None:
        """Folds in an encoded event."""
        # A log line changes only the tail of logs, and most of them leave it unread: decoding
        # is put off until somebody asks, which makes eviction cheap where logs are many.
        if frame.find(_LOG_TYPE, 0, _TYPE_END) != -1:
            self._state["seq"] += 1
            self._add_log(_Log(frame))
        else:
            self.apply(from_json(frame))

    def apply(self, event: Mapping[str, Any]) -> None:
        """Folds in one event's wire object; an unknown or misshapen one only moves `seq`."""
        self._state["seq"] = event["seq"]
        type_ = event["type"]
        try:
            if type_ in TERMINAL_EVENTS:
                self._end(event, TERMINAL_EVENTS[type_])
            elif (handler := _HANDLERS.get(type_)) is not None:
                handler(self, event)
        except (KeyError, TypeError, AttributeError):
            # A client folds what a server of another version wrote: it may lack a field.
            return

    # Session

    def _session_started(self, event: Mapping[str, Any]) -> None:
        state = self._state
        state["status"] = SessionStatus.RUNNING.value
        state["attempt"] = event.get("attempt", 1)
        state["started_at"] = state["started_at"] or event.get("time")
        state["title"] = self._cut(event.get("title")) or state["title"]
        state["metadata"] = self._small(event.get("metadata"), "metadata") or state["metadata"]
        for index, planned in enumerate(event.get("plan") or ()):
            step_id = planned.get("step_id") or f"plan.{index}"
            if step_id not in self._steps:
                self._add_step(step_id, planned, StepStatus.PLANNED, None)

    def _session_waiting(self, event: Mapping[str, Any]) -> None:
        self._state["status"] = SessionStatus.WAITING.value

    def _session_resumed(self, event: Mapping[str, Any]) -> None:
        self._state["status"] = SessionStatus.RUNNING.value

    def _session_retrying(self, event: Mapping[str, Any]) -> None:
        self._state["status"] = SessionStatus.PENDING.value
        self._state["attempt"] = event.get("attempt", self._state["attempt"])
        self._state["error"] = self._error(event.get("error"))
        self._close_open(StepStatus.INTERRUPTED, event.get("time"), keep_planned=True)

    def _cancel_requested(self, event: Mapping[str, Any]) -> None:
        self._state["cancel_requested"] = True

    def _end(self, event: Mapping[str, Any], status: SessionStatus) -> None:
        state = self._state
        state["status"] = status.value
        state["ended_at"] = event.get("time")
        state["result"] = event.get("result")
        state["result_bytes"] = event.get("result_bytes")
        state["error"] = self._error(event.get("error"))
        self._close_open(StepStatus(status.value), event.get("time"))

    def _close_open(self, verdict: StepStatus, time: Any, *, keep_planned: bool = False) -> None:
        """Gives everything still open the session's own verdict, so that no viewer spins for ever."""
        for step in self._steps.values():
            if step["status"] == StepStatus.PLANNED and keep_planned:
                continue
            if step["status"] in _OPEN_STEP:
                step["status"], step["ended_at"] = verdict.value, time
        for text in self._texts.values():
            text["done"] = True
        self._state["requests"] = []

    # Steps

    def _step_started(self, event: Mapping[str, Any]) -> None:
        step_id = event["step_id"]
        known = self._steps.get(step_id)
        if known is None:
            self._add_step(step_id, event, StepStatus.RUNNING, event.get("time"))
        elif known["status"] not in (StepStatus.RUNNING,):
            # Planned, or of an interrupted attempt: it takes its place, and keeps a planned weight.
            weight = known["weight"] if event.get("weight") is None else event["weight"]
            fresh = self._step(step_id, event, StepStatus.RUNNING, event.get("time"))
            known.update(fresh, weight=weight)

    def _step_progress(self, event: Mapping[str, Any]) -> None:
        step = self._open_step(event)
        if step is None:
            return
        for name in ("current", "total"):
            if event.get(name) is not None:
                step[name] = event[name]
        if event.get("message") is not None:
            step["message"] = self._cut(event["message"])
        step["progress"] = _ratio(step["current"], step["total"])

    def _step_ended(self, event: Mapping[str, Any], status: StepStatus) -> None:
        step = self._open_step(event)
        if step is not None:
            step["status"], step["ended_at"] = status.value, event.get("time")
            step["error"] = self._error(event.get("error"))
            if status is StepStatus.COMPLETED:
                step["progress"] = 1

    def _open_step(self, event: Mapping[str, Any]) -> Json | None:
        step = self._steps.get(event["step_id"])
        return step if step is not None and step["status"] in _OPEN_STEP else None

    def _step(self, step_id: str, event: Mapping[str, Any], status: StepStatus, time: Any) -> Json:
        return {
            "step_id": step_id,
            "parent_id": event.get("parent_id"),
            "kind": event.get("kind", "step"),
            "name": self._cut(event["name"]),
            "status": status.value,
            "current": None,
            "total": event.get("total"),
            "unit": self._cut(event.get("unit")),
            "weight": event.get("weight"),
            "message": None,
            "progress": None,
            "started_at": time,
            "ended_at": None,
            "error": None,
        }

    def _add_step(
        self, step_id: str, event: Mapping[str, Any], status: StepStatus, time: Any
    ) -> None:
        self._steps[step_id] = self._step(step_id, event, status, time)
        if len(self._steps) > self._limits.max_steps:
            self._omit_step()

    def _omit_step(self) -> None:
        """Drops the oldest ended step, else the oldest; a top-level one keeps its share of progress."""
        ended = (key for key, step in self._steps.items() if step["status"] not in _OPEN_STEP)
        step = self._steps.pop(next(ended, next(iter(self._steps))))
        self._count("steps")
        if step["parent_id"] is None:
            weight, done = _share(step)
            self._count("steps_weight", weight)
            self._count("steps_done", done)

    def _progress(self) -> float | None:
        if self._state["status"] == SessionStatus.COMPLETED:
            return 1
        omitted = self._state["omitted"]
        total, done = omitted.get("steps_weight", 0), omitted.get("steps_done", 0)
        for step in self._steps.values():
            if step["parent_id"] is None:
                weight, share = _share(step)
                total, done = total + weight, done + share
        return done / total if total > 0 else None

    # Texts, logs and the rest

    def _text_delta(self, event: Mapping[str, Any]) -> None:
        text = self._texts.get(event["message_id"])
        if text is None:
            text = self._texts[event["message_id"]] = {
                "message_id": event["message_id"],
                "role": event.get("role"),
                "channel": event.get("channel"),
                "step_id": event.get("step_id"),
                "text": "",
                "cut": 0,
                "done": False,
            }
            if len(self._texts) > self._limits.max_texts:
                finished = (key for key, known in self._texts.items() if known["done"])
                del self._texts[next(finished, next(iter(self._texts)))]
                self._count("texts")
        if not text["done"]:
            whole = text["text"] + event["delta"]
            over = max(0, len(whole) - self._limits.max_text_chars)
            text["text"], text["cut"] = whole[over:], text["cut"] + over

    def _text_completed(self, event: Mapping[str, Any]) -> None:
        if (text := self._texts.get(event["message_id"])) is not None:
            text["done"] = True

    def _log_message(self, event: Mapping[str, Any]) -> None:
        self._add_log(_log_state(event, self._limits))

    def _add_log(self, log: _Log | Json) -> None:
        self._logs.append(log)
        if len(self._logs) > self._limits.max_logs:
            del self._logs[0]
            self._count("logs")

    def _artifact_created(self, event: Mapping[str, Any]) -> None:
        artifact = {
            "artifact_id": event["artifact_id"],
            "name": self._cut(event["name"]),
            "media_type": self._cut(event["media_type"]),
            "url": event.get("url") if len(event.get("url") or "") <= self._limits.max_custom_chars else None,
            "data": self._small(event.get("data"), "artifact_data"),
            "step_id": event.get("step_id"),
        }
        artifacts = [a for a in self._state["artifacts"] if a["artifact_id"] != artifact["artifact_id"]]
        self._state["artifacts"] = self._last(artifacts, artifact, self._limits.max_artifacts, "artifacts")

    def _input_requested(self, event: Mapping[str, Any]) -> None:
        request = {
            "request_id": event["request_id"],
            "prompt": self._cut(event["prompt"]),
            "schema": self._small(event.get("schema"), "schemas"),
            "expires_at": event.get("expires_at"),
        }
        self._state["requests"] = self._last(
            self._state["requests"], request, self._limits.max_requests, "requests"
        )

    def _input_resolved(self, event: Mapping[str, Any]) -> None:
        requests = self._state["requests"]
        self._state["requests"] = [r for r in requests if r["request_id"] != event["request_id"]]

    def _usage_reported(self, event: Mapping[str, Any]) -> None:
        usage = self._state["usage"]
        for name in ("input_tokens", "output_tokens"):
            usage[name] += event.get(name) or 0
        currency = event.get("currency") or ""
        costs = usage["costs"]
        if event.get("cost") is not None and (currency in costs or len(costs) < self._limits.max_custom):
            costs[currency] = costs.get(currency, 0) + event["cost"]

    def _custom_emitted(self, event: Mapping[str, Any]) -> None:
        custom = self._state["custom"]
        custom.pop(event["name"], None)
        custom[event["name"]] = self._small(event.get("data"), "custom_data")
        if len(custom) > self._limits.max_custom:
            del custom[next(iter(custom))]
            self._count("custom")

    # Bounds

    def _last(self, items: list[Json], item: Json, most: int, name: str) -> list[Json]:
        kept = [*items, item]
        if len(kept) > most:
            self._count(name)
        return kept[-most:]

    def _count(self, name: str, by: float = 1) -> None:
        omitted = self._state["omitted"]
        omitted[name] = omitted.get(name, 0) + by

    def _cut(self, text: str | None) -> str | None:
        return None if text is None else text[: self._limits.max_string_chars]

    def _small(self, value: Any, name: str) -> Any:
        """Returns a free value if it is small enough for a snapshot; history has it anyway."""
        if _chars(value, self._limits.max_custom_chars) <= self._limits.max_custom_chars:
            return value
        self._count(name)
        return None

    def _error(self, error: Mapping[str, Any] | None) -> Json | None:
        if error is None:
            return None
        return {
            "code": self._cut(error["code"]),
            "message": self._cut(error["message"]),
            "retryable": error.get("retryable", False),
            "detail": self._small(error.get("detail"), "error_details"),
        }


def _log_state(event: Mapping[str, Any], limits: Settings) -> Json:
    return {
        "seq": event["seq"],
        "time": event.get("time"),
        "level": event.get("level", "info"),
        "message": event["message"][: limits.max_string_chars],
        "step_id": event.get("step_id"),
        "logger": event.get("logger"),
    }


def _decode_log(log: _Log | Json, limits: Settings) -> Json:
    return _log_state(from_json(log.frame), limits) if isinstance(log, _Log) else log


def _ratio(current: float | None, total: float | None) -> float | None:
    if current is None or total is None or total <= 0:
        return None
    return min(1, max(0, current / total))


def _share(step: Mapping[str, Any]) -> tuple[float, float]:
    """Returns a step's weight and how much of it is done; whatever has ended is done."""
    weight = 1 if step["weight"] is None else max(0, step["weight"])
    if step["status"] not in _OPEN_STEP:
        return weight, weight
    return weight, weight * (step["progress"] or 0)


def _chars(value: Any, most: int) -> int:
    """Returns the code points in a free value, 4 for what is no text; stops counting past `most`."""
    if isinstance(value, str):
        return len(value)
    if not isinstance(value, dict | list):
        return 4
    count = 2
    items = value.items() if isinstance(value, dict) else (("", item) for item in value)
    for key, item in items:
        count += len(key) + _chars(item, most)
        if count > most:
            break
    return count


_HANDLERS: dict[str, Callable[[Fold, Mapping[str, Any]], None]] = {
    "session.started": Fold._session_started,
    "session.waiting": Fold._session_waiting,
    "session.resumed": Fold._session_resumed,
    "session.retrying": Fold._session_retrying,
    "cancel.requested": Fold._cancel_requested,
    "step.started": Fold._step_started,
    "step.progress": Fold._step_progress,
    "step.completed": lambda fold, event: fold._step_ended(event, StepStatus.COMPLETED),
    "step.failed": lambda fold, event: fold._step_ended(event, StepStatus.FAILED),
    "step.cancelled": lambda fold, event: fold._step_ended(event, StepStatus.CANCELLED),
    "text.delta": Fold._text_delta,
    "text.completed": Fold._text_completed,
    "log.message": Fold._log_message,
    "artifact.created": Fold._artifact_created,
    "input.requested": Fold._input_requested,
    "input.resolved": Fold._input_resolved,
    "usage.reported": Fold._usage_reported,
    "custom.emitted": Fold._custom_emitted,
}
