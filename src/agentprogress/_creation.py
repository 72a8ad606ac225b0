"""How sessions come to be: reserved, begun, taken over, run again. Decides; the engine keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Any, Literal, cast

from typing_extensions import TypedDict

from ._clock import Stamp
from ._core.cursor import check_session_id
from ._core.encode import Encoder
from ._core.jsonable import plain_value
from ._core.states import SessionStatus
from ._given import as_number, as_text, text_or_none
from ._ids import ProcessTag, hash_token, new_epoch, new_session_id, new_token, short_id
from ._local import LocalSessions
from ._producer import Producer
from ._record import Hub, Life, SessionRecord, Tombstone
from .errors import InvalidSettings, SessionConflict
from .events import PlannedStep
from .settings import Settings

__all__ = ["Creation", "SessionOptions", "check_options"]


class SessionOptions(TypedDict, total=False):
    """What can be said of a session when it is created.

    Keys:
        session_id: chosen by the application; generated and unguessable when absent.
        title: what people read.
        metadata: any JSON object, shown to viewers.
        owner: whose it is; for `authorize` and `SessionRegistry.list`, never sent.
        private: whatever the application wants back in `SessionInfo`, never sent.
        plan: steps known ahead, as names, `PlannedStep` or mappings of its fields.
        existing: what to do with an id that was used: ``"restart"`` an ended or expired session
            (new epoch, next attempt, old log and result gone), ``"resume"`` a waiting one.
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


class Creation:
    """Makes the records of one registry. Its caller lets one thread in at a time.

    Args:
        hub: the registry, as its records see it.
        store: where they go.
        tag: names the process in generated ids.
    """

    def __init__(self, hub: Hub, store: LocalSessions, tag: ProcessTag) -> None:
        self._hub = hub
        self._settings: Settings = hub.settings
        self._encoder: Encoder = hub.encoder
        self._stamp: Stamp = hub.stamp
        self._store = store
        self._tag = tag

    def reserve(self, options: SessionOptions) -> Producer:
        """Returns a producer of the session of that id, made now if there is none.

        Raises:
            SessionGone: it has expired, and ``existing`` does not ask for another run.
            InvalidSessionId, TooManySessions: it cannot be made.
        """
        found = self._found(options)
        again = options.get("existing") == "restart"
        if found is None:
            return self._create(options)
        if again and found.status.ended:
            return self._again(found, options)
        if isinstance(found, Tombstone):
            raise found.error()
        return Producer(self._hub, found)

    def begin(self, options: SessionOptions) -> Producer:
        """Begins the session that the options describe.

        Raises:
            SessionConflict: ``existing`` does not allow it.
            InvalidSessionId, TooManySessions: it cannot be made.
        """
        found = self._found(options)
        if found is None:
            producer = self._create(options)
        elif isinstance(found, SessionRecord) and found.status is SessionStatus.PENDING:
            producer = self._take_over(found, options)
        else:
            producer = self._reopen(found, options)
        record = producer.record
        if record.status is SessionStatus.PENDING:
            self._start(record)
        return producer

    def _found(self, options: SessionOptions) -> SessionRecord | Tombstone | None:
        session_id = options.get("session_id")
        return None if session_id is None else self._store.find(session_id)

    def _take_over(self, record: SessionRecord, options: SessionOptions) -> Producer:
        """Begins a reserved session, or the next attempt of one that is to be retried."""
        record.fence += 1
        if record.life.started_at is not None:
            record.attempt += 1
        self._describe(record.life, options)
        return Producer(self._hub, record)

    def _reopen(self, found: SessionRecord | Tombstone, options: SessionOptions) -> Producer:
        existing, status = options.get("existing"), found.status
        if (
            isinstance(found, SessionRecord)
            and status is SessionStatus.WAITING
            and existing == "resume"
        ):
            if found.resume():
                # Steps that the plan knows keep their places when they run once more.
                found.life.unstarted = _ids_by_step(found.life.plan or [])
                return Producer(self._hub, found)
            status = found.status
        session_id = found.id if isinstance(found, SessionRecord) else found.session_id
        if status is SessionStatus.WAITING:
            raise SessionConflict(session_id, status, 'Pass existing="resume" to go on with it.')
        if not status.ended:
            raise SessionConflict(session_id, status, "It already has a producer.")
        if existing != "restart":
            raise SessionConflict(session_id, status, 'Pass existing="restart" to run it again.')
        return self._again(found, options)

    def _again(self, found: SessionRecord | Tombstone, options: SessionOptions) -> Producer:
        producer = self._create(options, attempt=found.attempt + 1, again=True)
        if isinstance(found, SessionRecord):
            found.supersede(producer.record)
        return producer

    def _create(self, options: SessionOptions, attempt: int = 1, again: bool = False) -> Producer:
        session_id = options.get("session_id")
        if session_id is None:
            session_id = new_session_id(self._tag())
        elif not again:
            check_session_id(session_id, chosen=True)
        token = new_token()
        life = Life(
            created_at=self._stamp(),
            control_hash=hash_token(token),
            history_ttl=self._settings.history_ttl,
            result_ttl=self._settings.result_ttl,
        )
        self._describe(life, options)
        record = SessionRecord(session_id, new_epoch(), attempt, self._hub, life)
        self._store.add(record)
        return Producer(self._hub, record, token)

    def _describe(self, life: Life, options: SessionOptions) -> None:
        """Takes over what the options say, and leaves what they do not."""
        life.title = text_or_none(options.get("title")) or life.title
        life.owner = options.get("owner", life.owner)
        life.private = options.get("private", life.private)
        life.metadata = options.get("metadata") or life.metadata
        life.plan = self._planned(options.get("plan"), life.plan) or life.plan
        life.history_ttl = options.get("history_ttl", life.history_ttl)
        life.result_ttl = options.get("result_ttl", life.result_ttl)

    def _start(self, record: SessionRecord) -> None:
        life = record.life
        if life.plan:
            life.unstarted = _ids_by_step(life.plan)
        started = {
            "type": "session.started",
            "attempt": record.attempt,
            "title": life.title,
            "metadata": life.metadata,
            "plan": life.plan,
        }
        try:
            record.transition(started)
        except BaseException:
            self._store.discard(record)
            raise

    def _planned(self, plan: Any, earlier: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
        """Returns planned steps' wire objects, with ids by which their starts will be known.

        A step that was planned for an earlier attempt keeps its id: it is the same step.
        """
        known = _ids_by_step(earlier or [])
        steps: list[dict[str, Any]] = []
        for given in _items(plan)[: self._settings.max_steps]:
            step = _planned_step(given, self._encoder.describe)
            key = step["kind"], step["name"]
            again = known.get(key)
            step["step_id"] = step.get("step_id") or (again.pop(0) if again else short_id())
            steps.append(step)
        return steps


def _ids_by_step(plan: list[dict[str, Any]]) -> dict[tuple[str, str], list[str]]:
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
