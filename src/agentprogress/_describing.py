"""What is said of a session when it is created, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Any, Literal, cast

from typing_extensions import TypedDict

from ._core.jsonable import plain_value
from ._given import as_number, as_text, text_or_none
from ._ids import hash_token, new_token, short_id
from ._life import Hub, Life
from .errors import InvalidSettings
from .events import PlannedStep

__all__ = ["SessionOptions", "check_options", "describe", "ids_by_step", "new_life", "started"]


class SessionOptions(TypedDict, total=False):
    """What can be said of a session when it is created.

    Keys:
        session_id: chosen by the application; generated and unguessable when absent.
        title: what people read.
        metadata: any JSON object, shown to viewers.
        owner: whose it is; for `authorize` and `SessionRegistry.list`, never sent.
        private: whatever the application wants back in `SessionInfo`, never sent.
        plan: steps known ahead, as names, `PlannedStep` or mappings of its fields.
        existing: what to do with an id that was used. ``"resume"`` goes on with a session that
            waits for an answer, or, in a store, whose producer has not renewed its lease: same
            epoch, same log. ``"restart"`` runs one again that has ended or expired: new epoch, next
            attempt, old log and result gone.
        retry_on: exceptions that put the session back to ``pending``, to be opened again, instead
            of failing it.
        history_ttl: seconds the history is kept after the end, in place of the setting.
        result_ttl: seconds snapshot and result are kept after the end, in place of the setting.
    """

    session_id: str | None
    title: str | None
    metadata: Mapping[str, Any] | None
    owner: str | None
    private: Any
    plan: Iterable[str | PlannedStep | Mapping[str, Any]] | None
    existing: Literal["resume", "restart"] | None
    retry_on: tuple[type[Exception], ...]
    history_ttl: float
    result_ttl: float


def check_options(options: SessionOptions) -> None:
    """Refuses what would be ignored otherwise: a misspelt option, or an argument meant for the job.

    Raises:
        TypeError: there is no such option.
        InvalidSettings: a time to live is not above 0.
    """
    unknown = sorted(options.keys() - SessionOptions.__annotations__.keys())
    if unknown:
        raise TypeError(
            f"{unknown[0]!r} is no option of a session. The options are "
            f"{', '.join(SessionOptions.__annotations__)}; "
            "a job's own keyword arguments go in with functools.partial."
        )
    for name in ("history_ttl", "result_ttl"):
        if name in options and not 0 < options.get(name, 0) < inf:
            value = options.get(name)
            raise InvalidSettings(f"{name} must be finite and greater than 0, not {value!r}.")


def new_life(hub: Hub, options: SessionOptions) -> tuple[Life, str]:
    """Returns what is known of a new session, and the token that allows to control it."""
    token = new_token()
    life = Life(
        created_at=hub.stamp(),
        control_hash=hash_token(token),
        history_ttl=hub.settings.history_ttl,
        result_ttl=hub.settings.result_ttl,
    )
    describe(hub, life, options)
    return life, token


def describe(hub: Hub, life: Life, options: SessionOptions) -> None:
    """Takes over what the options say, and leaves what they do not."""
    life.title = text_or_none(options.get("title")) or life.title
    life.owner = text_or_none(options.get("owner", life.owner))
    life.private = options.get("private", life.private)
    life.metadata = options.get("metadata") or life.metadata
    life.plan = _planned(hub, options.get("plan"), life.plan) or life.plan
    life.history_ttl = options.get("history_ttl", life.history_ttl)
    life.result_ttl = options.get("result_ttl", life.result_ttl)


def started(life: Life, attempt: int) -> dict[str, Any]:
    """Returns the event with which a session begins; its planned steps are known from now on."""
    if life.plan:
        life.unstarted = ids_by_step(life.plan)
    return {
        "type": "session.started",
        "attempt": attempt,
        "title": life.title,
        "metadata": life.metadata,
        "plan": life.plan,
    }


def _planned(hub: Hub, plan: Any, earlier: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Returns planned steps' wire objects, with ids by which their starts will be known.

    A step that was planned for an earlier attempt keeps its id: it is the same step.
    """
    known = ids_by_step(earlier or [])
    steps: list[dict[str, Any]] = []
    for given in _items(plan)[: hub.settings.max_steps]:
        step = _planned_step(given, hub.encoder.describe)
        key = step["kind"], step["name"]
        again = known.get(key)
        step["step_id"] = step.get("step_id") or (again.pop(0) if again else short_id())
        steps.append(step)
    return steps


def ids_by_step(plan: list[dict[str, Any]]) -> dict[tuple[str, str], list[str]]:
    """Returns the planned ids by kind and name, in order: a plan may name a step twice."""
    ids: dict[tuple[str, str], list[str]] = {}
    for step in plan:
        ids.setdefault((step["kind"], step["name"]), []).append(step["step_id"])
    return ids


def _items(plan: Any) -> list[Any]:
    if plan is None:
        return []
    try:
        return [plan] if isinstance(plan, str | Mapping) else list(plan)
    except Exception:  # noqa: BLE001 - no list, or it fails: no reason for a job not to run
        return []


def _planned_step(given: Any, describe: Callable[[Any], str]) -> dict[str, Any]:
    """Returns one planned step, repaired, without what is None."""
    if isinstance(given, PlannedStep):
        given = dict(given)
    fields = plain_value(given, len(PlannedStep.model_fields) * 2, describe)
    if not isinstance(fields, dict):
        fields = {"name": fields}
    wire = cast("dict[str, Any]", fields)
    step = {
        "name": as_text(wire.get("name", "")),
        "kind": text_or_none(wire.get("kind")) or "phase",
        "weight": as_number(wire.get("weight")),
        "step_id": text_or_none(wire.get("step_id")),
    }
    return {key: value for key, value in step.items() if value is not None}
