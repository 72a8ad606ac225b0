"""What a server that is broken, or means harm, may send: frames that almost fit, and anything."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from .line import EPOCH, OTHER, end, error, event, gap, heartbeat, snapshot, welcome

__all__ = ["frames", "json_values", "states"]

Json = dict[str, Any]

_NUMBERS = st.one_of(
    st.integers(-2, 8),
    st.sampled_from([2**53, 2**53 + 1, -(10**400), 10**400, 1e308, 5e-324]),
    st.floats(),
)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    _NUMBERS,
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from([EPOCH, OTHER, "exact", "reset", "running", "\u2028", "\x00", "1", ""]),
)


def json_values() -> Any:
    """Returns a strategy for anything that can stand in JSON, and some that cannot."""
    return st.recursive(
        _SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
        max_leaves=6,
    )


def _spoiled(whole: Any) -> Any:
    """Returns a strategy for objects of which a member may be missing or something else."""

    @st.composite
    def spoil(draw: Any) -> Json:
        found: Json = dict(draw(whole))
        for name in draw(st.lists(st.sampled_from([*found]), max_size=2)) if found else ():
            if draw(st.booleans()):
                found.pop(name, None)
            else:
                found[name] = draw(json_values())
        return found

    return spoil()


_STEP = {
    "step_id": "a",
    "parent_id": None,
    "kind": "step",
    "name": "n",
    "status": "running",
    "current": 1,
    "total": 2,
    "unit": None,
    "weight": 1,
    "message": "m",
    "progress": 0.5,
    "started_at": None,
    "ended_at": None,
    "error": {"code": "c", "message": "m", "retryable": False, "detail": None},
}
_TEXT = {"message_id": "m", "role": None, "channel": None, "text": "t", "cut": 0, "done": False}
_LOG = {"seq": 1, "time": None, "level": "info", "message": "m", "step_id": None, "logger": None}
_ARTIFACT = {"artifact_id": "x", "name": "n", "media_type": "t", "url": None, "data": None}
_REQUEST = {"request_id": "r", "prompt": "p", "schema": None, "expires_at": None}
_USAGE: Json = {"input_tokens": 1, "output_tokens": 1, "costs": {"": 1.0}}


def _some(item: Json) -> Any:
    return st.lists(_spoiled(st.just(item)), max_size=2)


def states(seq: int, epoch: str) -> Any:
    """Returns a strategy for states, most of which fit."""
    return _spoiled(
        st.fixed_dictionaries(
            snapshot(seq, epoch)["state"],
            optional={
                "steps": _some(_STEP),
                "texts": _some(_TEXT),
                "logs": _some(_LOG),
                "artifacts": _some(_ARTIFACT),
                "requests": _some(_REQUEST),
                "usage": _spoiled(st.just(_USAGE)),
                "custom": st.dictionaries(st.text(max_size=2), json_values(), max_size=2),
                "omitted": st.dictionaries(st.sampled_from(["logs", "steps_weight"]), _NUMBERS),
            },
        )
    )


_EVENTS: list[Json] = [
    {"type": "session.resumed"},
    {"type": "session.started", "attempt": 1, "plan": [{"name": "n", "step_id": "a"}]},
    {"type": "step.started", "step_id": "a", "kind": "step", "name": "n", "weight": 1},
    {"type": "step.progress", "step_id": "a", "current": 1, "total": 2, "message": "m"},
    {"type": "step.failed", "step_id": "a", "error": {"code": "c", "message": "m"}},
    {"type": "text.delta", "message_id": "m", "delta": "d"},
    {"type": "text.completed", "message_id": "m"},
    {"type": "log.message", "level": "info", "message": "m"},
    {"type": "artifact.created", "artifact_id": "x", "name": "n", "media_type": "t"},
    {"type": "usage.reported", "input_tokens": 1, "cost": 1.5, "currency": ""},
    {"type": "input.requested", "request_id": "r", "prompt": "p"},
    {"type": "custom.emitted", "name": "n", "data": 1},
    {"type": "session.completed", "result": 1},
    {"type": "quantum.leaped", "model_fields": 1, "seq": 1},
]


@st.composite
def frames(draw: Any, seqs: Any = None) -> Any:
    """Draws a frame, which often fits."""
    seq = draw(st.integers(0, 6) if seqs is None else seqs)
    epoch = draw(st.sampled_from([EPOCH, EPOCH, EPOCH, OTHER]))
    kind = draw(st.integers(0, 11))
    if kind <= 4:
        plain = {**event(max(1, seq)), **draw(st.sampled_from(_EVENTS)), "seq": max(1, seq)}
    elif kind <= 6:
        resume = draw(st.sampled_from(["fresh", "exact", "gap", "snapshot", "reset"]))
        plain = welcome(seq, resume, epoch)
    elif kind == 7:
        plain = {**snapshot(seq, epoch), "state": draw(states(seq, epoch))}
    else:
        code = draw(st.sampled_from(["internal", "session_unknown", "token_expired", "forbidden"]))
        plain = draw(
            st.sampled_from(
                [
                    gap(1, max(1, seq)),
                    heartbeat(seq),
                    {"type": "weather"},
                    {"type": "reconnect", "retry_after": 0.5},
                    error(code),
                    end(seq),
                ]
            )
        )
    return plain if draw(st.integers(0, 3)) else draw(_spoiled(st.just(plain)))
