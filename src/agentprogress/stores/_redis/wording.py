"""What a Redis server's errors mean, by their text, and how people are told.

The client library cuts off the first word of some; the engines have words of their own.
"""

from __future__ import annotations

__all__ = ["is_of_the_script", "sentence_of"]

_NO_RIGHT = "does not let our user do what a store needs (An ACL user, in docs/stores.md)"
# By what stands in the answer to any script, whosever it is.
_OF_THE_SERVER = {
    "used memory > 'maxmemory'": "has no memory left (maxmemory) and takes no writes",
    "read only replica": "is a replica, which takes no writes",
    "readonly replica": "is a replica, which takes no writes",
    "MISCONF": "cannot save to its disk (MISCONF) and takes no writes",
    "NOREPLICAS": "has fewer replicas than it needs (min-replicas-to-write) and takes no writes",
    "BUSY": "is kept busy by somebody's script",
    "UNKILLABLE": "is kept busy by somebody's script",
    "ACL failure": _NO_RIGHT,
    "The user executing the script": _NO_RIGHT,
}


def is_of_the_script(text: str) -> bool:
    """Whether a script has run into keys that it did not write."""
    return "script" in text and _known(text) is None


def sentence_of(shown: str, text: str) -> str:
    """Returns why a server cannot be used.

    Args:
        shown: where it is.
        text: of its error.
    """
    known = _known(text)
    if known is None or known is _NO_RIGHT:
        return f"Redis at {shown} {known or 'cannot be used'}: {text}"
    return f"Redis at {shown} {known}."


def _known(text: str) -> str | None:
    return next((meant for words, meant in _OF_THE_SERVER.items() if words in text), None)
