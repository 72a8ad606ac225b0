"""What a server that is broken, or means harm, may send: frames that almost fit, and anything."""

from __future__ import annotations

from math import inf, nan
from typing import Any

from hypothesis import strategies as st

from ..strategies import JSON, MISSHAPEN_EVENTS, RUNNING_EVENTS, TERMINAL_EVENTS
from .line import EPOCH, OTHER, end, error, event, gap, heartbeat, snapshot, welcome

__all__ = ["JSON_AND_MORE", "frames", "states"]

Json = dict[str, Any]

JSON_AND_MORE = st.one_of(
    JSON, st.sampled_from([10**400, -(10**400), inf, nan, EPOCH, OTHER, "exact", "reset", "1"])
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
                found[name] = draw(JSON_AND_MORE)
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
            {name: st.just(value) for name, value in snapshot(seq, epoch)["state"].items()},
            optional={
                "steps": _some(_STEP),
                "texts": _some(_TEXT),
                "logs": _some(_LOG),
                "artifacts": _some(_ARTIFACT),
                "requests": _some(_REQUEST),
                "usage": _spoiled(st.just(_USAGE)),
                "custom": st.dictionaries(st.text(max_size=2), JSON_AND_MORE, max_size=2),
                "omitted": st.dictionaries(
                    st.sampled_from(["logs", "steps_weight"]), JSON_AND_MORE
                ),
            },
        )
    )


_EVENTS = st.one_of(RUNNING_EVENTS, TERMINAL_EVENTS, MISSHAPEN_EVENTS)


@st.composite
def frames(draw: Any, seqs: Any = None) -> Any:
    """Draws a frame, which often fits."""
    seq = draw(st.integers(0, 6) if seqs is None else seqs)
    epoch = draw(st.sampled_from([EPOCH, EPOCH, EPOCH, OTHER]))
    kind = draw(st.integers(0, 11))
    if kind <= 4:
        plain = {**event(max(1, seq)), **draw(_EVENTS), "seq": max(1, seq)}
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
