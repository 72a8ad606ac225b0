from __future__ import annotations

import pickle
import re

import pytest

from agentprogress import errors
from agentprogress.codes import CODES
from agentprogress.errors import ProgressError

# The table of docs/protocol.md, written out once more.
TABLE = {
    "bad_request": (400, 4400, "no"),
    "unauthorized": (401, 4401, "new_token"),
    "forbidden": (403, 4403, "no"),
    "not_found": (404, 4406, "no"),
    "session_unknown": (404, 4404, "no"),
    "method_not_allowed": (405, 4405, "no"),
    "conflict": (409, 4409, "no"),
    "session_gone": (410, 4410, "no"),
    "too_large": (413, 4413, "no"),
    "wrong_process": (421, 4421, "no"),
    "rate_limited": (429, 4105, "retry_after"),
    "draining": (503, 4100, "yes"),
    "slow_subscriber": (None, 4101, "yes"),
    "no_pong": (None, 4102, "yes"),
    "token_expired": (401, 4104, "new_token"),
    "store_unavailable": (503, 4106, "yes"),
    "internal": (500, 4107, "yes"),
    "going_away": (503, 1012, "yes"),
}

EXAMPLES = [
    errors.InvalidSettings("a"),
    errors.InvalidEvent("a"),
    errors.EventTooLarge(2, 1),
    errors.InvalidSessionId("a"),
    errors.SessionUnknown("s"),
    errors.SessionGone("s", "completed", "2026-11-22T19:30:00.000Z"),
    errors.SessionConflict("s", "running", "Wait."),
    errors.SessionEnded("s", "failed"),
    errors.SessionCancelled("s", "enough"),
    errors.WrongProcess("s"),
    errors.InputExpired("s", "r"),
    errors.InputSettled("s", "r"),
    errors.InvalidAnswer("s", "r", ["It is no number."]),
    errors.IllegalTransition("pending", "session.completed"),
    errors.TooManySessions("10 sessions"),
    errors.TooManySubscribers(),
    errors.Unauthorized(),
    errors.TokenExpired(),
    errors.Forbidden(),
    errors.InvalidRequest("a"),
    errors.NotFound(),
    errors.MethodNotAllowed("PUT", ("GET", "HEAD")),
    errors.RequestTooLarge(1),
    errors.Draining(),
    errors.StoreUnavailable(),
    errors.SessionUnavailable(["a", "b"]),
    errors.WrongLoop(),
    errors.FollowError("gone", "It is over.", retryable=False, close_code=4410),
    errors.InvalidUrl("It has no host."),
    errors.NoResult("s", "lost"),
    errors.PublicError("No such page.", "no_page", retryable=True),
]


def subclasses(cls: type[ProgressError]) -> list[type[ProgressError]]:
    return [cls, *(each for child in cls.__subclasses__() for each in subclasses(child))]


OURS = [cls for cls in subclasses(ProgressError) if cls.__module__ == errors.__name__]


def test_the_code_table_is_the_documented_one() -> None:
    assert {name: (c.http, c.websocket, c.retry) for name, c in CODES.items()} == TABLE


@pytest.mark.parametrize("name", CODES)
def test_a_close_code_says_whether_to_come_back(name: str) -> None:
    code = CODES[name]
    comes_back = (
        4100 <= code.websocket < 4200 or code.websocket == 1012 or code.retry == "new_token"
    )
    assert comes_back == code.retryable
    assert code.sentence.endswith(".")


def test_no_two_codes_close_alike() -> None:
    assert len({code.websocket for code in CODES.values()}) == len(CODES)


@pytest.mark.parametrize("cls", OURS)
def test_every_error_has_a_code_of_the_table_and_is_public(cls: type[ProgressError]) -> None:
    assert cls.code in CODES
    assert cls.__name__ in errors.__all__


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn = errors.__doc__ or ""
    parents: list[str] = ["ProgressError"]
    tree: dict[str, str] = {}
    for indent, name in re.findall(r"^    ([│ ]*)[├└]── (\w+)", drawn, re.MULTILINE):
        depth = len(indent) // 4 + 1
        del parents[depth:]
        tree[name] = parents[-1]
        parents.append(name)
    assert tree == {
        cls.__name__: cls.__bases__[0].__name__ for cls in OURS if cls is not ProgressError
    }
    for name in re.findall(r"(\w+) \(ValueError\)", drawn):
        assert issubclass(getattr(errors, name), ValueError)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_is_a_sentence_and_survives_pickling(error: ProgressError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert str(error)


def test_there_is_an_example_of_every_error() -> None:
    bases = {ProgressError, errors.SessionError}
    assert {type(error) for error in EXAMPLES} == set(OURS) - bases


def test_an_error_without_words_says_its_codes_sentence() -> None:
    assert str(errors.Draining()) == "The server is shutting down; come back."
