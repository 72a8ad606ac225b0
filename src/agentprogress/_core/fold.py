"""Folds events into the state of a session: pure, incremental, bounded, never failing.

Works on wire objects (decoded JSON), so that it is the same function in every language. Cuts by
state alone: counts, code points, and bytes of texts (never of numbers, which languages write
differently). An event about something unknown or already ended is ignored, and so is one that does
not fit. `Fold.state` holds all there is: folding on from it gives what folding everything would
have given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pydantic_core import from_json

from ..events import EXACT
from ..settings import Settings
from .fields import Misfit, count, ident, number, text, time, weigh
from .jsonable import encode_json, is_list, is_object, text_bytes
from .logs import LogTail, log_line
from .shelf import Shelf
from .states import TERMINAL, TERMINAL_EVENTS, SessionStatus, StepStatus
from .steps import close_step, is_open, new_step, ratio, share_of, step_weight

__all__ = ["Fold"]

Json = dict[str, Any]

_LOG_TYPE = b'"type":"log.message"'


class Fold:
    """The state of one epoch of one session after `seq`."""

    __slots__ = ("_limits", "_logs", "_shelves", "_state", "_steps", "_texts")

    def __init__(self, session_id: str, epoch: str, limits: Settings) -> None:
        self._limits = limits
        self._steps = Shelf(limits.max_steps)
        # What shares `max_record_bytes`.
        self._shelves = {
            "steps": self._steps,
            "artifacts": Shelf(limits.max_artifacts),
            "requests": Shelf(limits.max_requests),
            "custom": Shelf(limits.max_custom),
        }
        self._texts: dict[str, Json] = {}
        self._logs = LogTail(limits)
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
            "usage": {"input_tokens": 0, "output_tokens": 0, "costs": {}},
            "omitted": {},
        }

    @classmethod
    def resume(cls, state: Mapping[str, Any], limits: Settings) -> Fold:
        """Returns a fold that goes on from a snapshot's state and leaves that unchanged."""
        fold = cls(state["session_id"], state["epoch"], limits)
        rest = dict(state)
        for step in rest.pop("steps"):
            fold._steps.put(step["step_id"], dict(step), step_weight(step))
        for artifact in rest.pop("artifacts"):
            fold._put("artifacts", artifact["artifact_id"], artifact)
        for request in rest.pop("requests"):
            fold._put("requests", request["request_id"], request)
        for name, data in rest.pop("custom").items():
            fold._put("custom", name, data)
        fold._texts = {text["message_id"]: dict(text) for text in rest.pop("texts")}
        for line in rest.pop("logs"):
            fold._logs.add(line)
        usage = rest.pop("usage")
        fold._state.update(rest, usage={**usage, "costs": dict(usage["costs"])})
        fold._state["omitted"] = dict(state["omitted"])
        return fold

    @property
    def seq(self) -> int:
        """The last seq folded in."""
        seq: int = self._state["seq"]
        return seq

    @property
    def ended(self) -> bool:
        """True after the terminal event: nothing after it counts."""
        return self._state["status"] in TERMINAL

    def copy(self) -> Fold:
        """Returns an independent fold at the same seq."""
        return Fold.resume(self.state(), self._limits)

    def state(self) -> Json:
        """Returns the state as a JSON-ready object, valid until the next event is folded in."""
        logs, too_many = self._logs.read()
        if too_many:
            self._count("logs", too_many)
        return {
            **self._state,
            "progress": self._state["progress"] if self.ended else self._progress(),
            "steps": list(self._steps.items.values()),
            "texts": list(self._texts.values()),
            "logs": logs,
            "artifacts": list(self._shelves["artifacts"].items.values()),
            "requests": list(self._shelves["requests"].items.values()),
            "custom": dict(self._shelves["custom"].items),
        }

    def encode(self) -> bytes:
        """Returns the state's JSON."""
        return encode_json(self.state())

    def apply_frame(self, frame: bytes) -> None:
        """Folds in an encoded event, the one after `seq`."""
        # A log line changes only the tail of logs, and most of them leave it unread: decoding
        # is put off until somebody asks, which makes eviction cheap where logs are many. The type
        # follows the time, which is the first text in a frame.
        if frame.startswith(_LOG_TYPE, frame.find(b'",') + 2):
            self._state["seq"] += 1
            if not self.ended:
                self._add_log(frame)
        else:
            self.apply(from_json(frame))

    def apply(self, event: Mapping[str, Any]) -> None:
        """Folds in one event's wire object; an unknown or misshapen one only moves `seq`."""
        self._state["seq"] = event["seq"]
        if self.ended:
            return
        type_ = event["type"]
        if type_ in TERMINAL_EVENTS:
            self._end(event, TERMINAL_EVENTS[type_])
        elif (handler := self._HANDLERS.get(type_)) is not None:
            try:
                handler(self, event)
            except Misfit:  # raised before anything is changed
                return

    # Session

    def _session_started(self, event: Mapping[str, Any]) -> None:
        state = self._state
        state["status"] = SessionStatus.RUNNING.value
        state["attempt"] = count(event, "attempt") or 1
        state["started_at"] = state["started_at"] or time(event)
        state["title"] = self._short(event, "title") or state["title"]
        if is_object(metadata := event.get("metadata")):
            state["metadata"] = self._small(metadata, "metadata") or state["metadata"]
        state["error"] = None  # of the attempt before
        plan = event.get("plan")
        for index, planned in enumerate(plan if is_list(plan) else ()):
            if is_object(planned):
                self._plan_step(planned, index)

    def _plan_step(self, planned: Json, index: int) -> None:
        step_id = planned.get("step_id") or f"plan.{index}"
        if isinstance(step_id, str) and step_id not in self._steps.items:
            step = new_step(step_id, planned, StepStatus.PLANNED, None, self._limits)
            self._put_step(step)

    def _session_waiting(self, event: Mapping[str, Any]) -> None:
        self._state["status"] = SessionStatus.WAITING.value

    def _session_resumed(self, event: Mapping[str, Any]) -> None:
        self._state["status"] = SessionStatus.RUNNING.value
        # Whoever was to end them has gone.
        self._close_open(StepStatus.INTERRUPTED, time(event), keep_planned=True)

    def _session_retrying(self, event: Mapping[str, Any]) -> None:
        state = self._state
        state["status"] = SessionStatus.PENDING.value
        state["attempt"] = count(event, "attempt") or state["attempt"]
        state["error"] = self._error(event)
        self._close_open(StepStatus.INTERRUPTED, time(event), keep_planned=True)

    def _cancel_requested(self, event: Mapping[str, Any]) -> None:
        self._state["cancel_requested"] = True

    def _end(self, event: Mapping[str, Any], status: SessionStatus) -> None:
        state = self._state
        # As far as it came: what is closed below was not done.
        state["progress"] = 1 if status is SessionStatus.COMPLETED else self._progress()
        state["status"] = status.value
        state["ended_at"] = time(event)
        state["result"] = event.get("result")
        state["result_bytes"] = count(event, "result_bytes")
        state["error"] = self._error(event)
        self._close_open(StepStatus(status.value), time(event))

    def _close_open(
        self, verdict: StepStatus, at: str | None, *, keep_planned: bool = False
    ) -> None:
        """Gives what is open the session's own verdict, so that no viewer spins for ever."""
        for step in self._steps.items.values():
            if is_open(step) and not (keep_planned and step["status"] == StepStatus.PLANNED):
                close_step(step, verdict, at)
        for known in self._texts.values():
            known["done"] = True
        self._shelves["requests"].clear()

    # Steps

    def _step_started(self, event: Mapping[str, Any]) -> None:
        step_id = ident(event, "step_id")
        ident(event, "name")
        step = new_step(step_id, event, StepStatus.RUNNING, time(event), self._limits)
        known = self._steps.items.get(step_id)
        if known is None:
            self._put_step(step)
        elif known["status"] != StepStatus.RUNNING:
            # Planned, or of an earlier attempt: it takes its place, and keeps a planned weight.
            if step["weight"] is None:
                step["weight"] = known["weight"]
            self._put_step(step)

    def _step_progress(self, event: Mapping[str, Any]) -> None:
        step = self._open_step(event)
        if step is None:
            return
        current, total = number(event, "current"), number(event, "total")
        message = self._short(event, "message")
        # A number weighs the same whatever it is, so that a loop need not weigh its step each time.
        heavier = message is not None
        if current is not None:
            heavier |= step["current"] is None
            step["current"] = current
        if total is not None:
            heavier |= step["total"] is None
            step["total"] = total
        if message is not None:
            step["message"] = message
        step["progress"] = ratio(step["current"], step["total"])
        if heavier:
            self._put_step(step)

    def _step_ended(self, event: Mapping[str, Any], status: StepStatus) -> None:
        step = self._open_step(event)
        if step is not None:
            close_step(step, status, time(event))
            step["error"] = self._error(event)
            if status is StepStatus.COMPLETED:
                step["progress"] = 1
            self._put_step(step)

    def _open_step(self, event: Mapping[str, Any]) -> Json | None:
        step = self._steps.items.get(ident(event, "step_id"))
        return step if step is not None and is_open(step) else None

    def _put_step(self, step: Json) -> None:
        self._steps.put(step["step_id"], step, step_weight(step))
        self._make_room("steps")

    def _progress(self) -> float | None:
        omitted = self._state["omitted"]
        total, done = omitted.get("steps_weight", 0.0), omitted.get("steps_done", 0.0)
        for step in self._steps.items.values():
            if step["parent_id"] is None:
                weight, share = share_of(step)
                total, done = total + weight, done + share
        return done / total if total > 0 else None

    # Texts and logs

    def _text_delta(self, event: Mapping[str, Any]) -> None:
        message_id, delta = ident(event, "message_id"), ident(event, "delta")
        known = self._texts.get(message_id)
        if known is None:
            label_chars = self._limits.max_id_chars
            known = self._texts[message_id] = {
                "message_id": message_id,
                "role": text(event, "role", label_chars),
                "channel": text(event, "channel", label_chars),
                "step_id": text(event, "step_id", label_chars),
                "text": "",
                "cut": 0,
                "done": False,
            }
            if len(self._texts) > self._limits.max_texts:
                finished = (key for key, item in self._texts.items() if item["done"])
                del self._texts[next(finished, next(iter(self._texts)))]
                self._count("texts")
        if not known["done"]:
            whole = known["text"] + delta
            over = max(0, len(whole) - self._limits.max_text_chars)
            known["text"], known["cut"] = whole[over:], known["cut"] + over

    def _text_completed(self, event: Mapping[str, Any]) -> None:
        if (known := self._texts.get(ident(event, "message_id"))) is not None:
            known["done"] = True

    def _log_message(self, event: Mapping[str, Any]) -> None:
        self._add_log(log_line(event, self._limits))

    def _add_log(self, line: bytes | Json) -> None:
        if self._logs.add(line):
            self._count("logs")

    # The rest

    def _artifact_created(self, event: Mapping[str, Any]) -> None:
        artifact_id = ident(event, "artifact_id")
        name, media_type = ident(event, "name"), ident(event, "media_type")
        self._shelves["artifacts"].pop(artifact_id)
        url: Any = event.get("url")
        artifact = {
            "artifact_id": artifact_id,
            "name": name[: self._limits.max_string_chars],
            "media_type": media_type[: self._limits.max_string_chars],
            "url": self._small(url, "artifact_urls") if isinstance(url, str) else None,
            "data": self._small(event.get("data"), "artifact_data"),
            "step_id": self._short(event, "step_id"),
        }
        self._put("artifacts", artifact_id, artifact)

    def _input_requested(self, event: Mapping[str, Any]) -> None:
        request_id, prompt = ident(event, "request_id"), ident(event, "prompt")
        schema: Any = event.get("schema")
        request = {
            "request_id": request_id,
            "prompt": prompt[: self._limits.max_string_chars],
            "schema": self._small(schema, "schemas") if isinstance(schema, dict) else None,
            "expires_at": time(event, "expires_at"),
        }
        self._put("requests", request_id, request)

    def _input_resolved(self, event: Mapping[str, Any]) -> None:
        self._shelves["requests"].pop(ident(event, "request_id"))

    def _usage_reported(self, event: Mapping[str, Any]) -> None:
        usage = self._state["usage"]
        for name in ("input_tokens", "output_tokens"):
            usage[name] = max(-EXACT, min(EXACT, usage[name] + (count(event, name) or 0)))
        cost = number(event, "cost")
        if cost is None:
            return
        currency = text(event, "currency", self._limits.max_id_chars) or ""
        costs = usage["costs"]
        if currency in costs or len(costs) < self._limits.max_custom:
            total = costs.get(currency, 0.0) + float(cost)
            costs[currency] = max(-float(EXACT), min(float(EXACT), total))
        else:
            self._count("costs")

    def _custom_emitted(self, event: Mapping[str, Any]) -> None:
        name = ident(event, "name")[: self._limits.max_string_chars]
        self._shelves["custom"].pop(name)
        self._put("custom", name, self._small(event.get("data"), "custom_data"))

    # Bounds

    def _put(self, shelf: str, key: str, item: Any) -> None:
        weight = text_bytes(key) + 2 + weigh(item, self._limits.max_record_bytes)
        self._shelves[shelf].put(key, item, weight)
        self._make_room(shelf)

    def _make_room(self, added: str) -> None:
        """Lets the oldest go of what was added, and then of the kind that weighs most."""
        shelves = self._shelves
        if len(shelves[added].items) > shelves[added].most:
            self._omit(added)
        while sum([shelf.weight for shelf in shelves.values()]) > self._limits.max_record_bytes:
            self._omit(max(shelves, key=lambda name: shelves[name].weight))

    def _omit(self, name: str) -> None:
        """Drops the oldest of a kind; a step that has ended first, and it leaves its progress."""
        shelf = self._shelves[name]
        oldest = next(iter(shelf.items))
        if shelf is not self._steps:
            shelf.pop(oldest)
        else:
            ended = (key for key, step in shelf.items.items() if not is_open(step))
            step = shelf.pop(next(ended, oldest))
            if step["parent_id"] is None:
                weight, done = share_of(step)
                self._count("steps_weight", weight)
                self._count("steps_done", done)
        self._count(name)

    def _count(self, name: str, by: float = 1) -> None:
        omitted = self._state["omitted"]
        omitted[name] = omitted.get(name, 0) + by

    def _short(self, event: Mapping[str, Any], name: str) -> str | None:
        return text(event, name, self._limits.max_string_chars)

    def _small(self, value: Any, name: str) -> Any:
        """Returns a free value if it is small enough for a snapshot; history has it anyway."""
        most = self._limits.max_value_bytes
        if weigh(value, most) <= most:
            return value
        self._count(name)
        return None

    def _error(self, event: Mapping[str, Any]) -> Json | None:
        error = event.get("error")
        if not is_object(error):
            return None
        return {
            "code": text(error, "code", self._limits.max_id_chars) or "error",
            "message": self._short(error, "message") or "",
            "retryable": error.get("retryable") is True,
            "detail": self._small(error.get("detail"), "error_details"),
        }

    _HANDLERS: ClassVar[dict[str, Callable[[Fold, Mapping[str, Any]], None]]] = {
        "session.started": _session_started,
        "session.waiting": _session_waiting,
        "session.resumed": _session_resumed,
        "session.retrying": _session_retrying,
        "cancel.requested": _cancel_requested,
        "step.started": _step_started,
        "step.progress": _step_progress,
        "step.completed": lambda fold, event: fold._step_ended(event, StepStatus.COMPLETED),
        "step.failed": lambda fold, event: fold._step_ended(event, StepStatus.FAILED),
        "step.cancelled": lambda fold, event: fold._step_ended(event, StepStatus.CANCELLED),
        "text.delta": _text_delta,
        "text.completed": _text_completed,
        "log.message": _log_message,
        "artifact.created": _artifact_created,
        "input.requested": _input_requested,
        "input.resolved": _input_resolved,
        "usage.reported": _usage_reported,
        "custom.emitted": _custom_emitted,
    }
