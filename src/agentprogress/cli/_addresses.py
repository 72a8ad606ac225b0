"""The addresses of sessions: as users give them, and as much of one as a report may show. Pure.

Who knows a session's id may follow it, and a query may hold a token: neither is shown whole.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

__all__ = ["discreet", "session_url", "shown_address", "shown_id"]

# What `run` and `demo` print besides the session's own address.
_ROUTE = re.compile(r"(/sessions/[^/?#]+)/(?:view|events|ws|page|result)/?(?=$|[?#])")

_MAX_SHOWN_ID_CHARS: Final = 12
_NAMED_ID = re.compile(r"(/sessions/)([^/?#\s\"'<>]+)")
# Those that the library has made, wherever they stand (in a sentence, or escaped in a path).
_GENERATED_ID = re.compile(r"s_[0-9A-Za-z]{20,}", re.ASCII)
_ADDRESS = re.compile(r"\b(?:https?|wss?)://[^\s\"'<>]+", re.ASCII | re.IGNORECASE)
# An address without a host that has a query.
_QUERY = re.compile(r"(/[^\s\"'<>?]*)\?[^\s\"'<>]+")
# A sentence goes on after an address.
_AFTER = ".,:;!)"


def session_url(address: str) -> str:
    """Returns the session's URL, also of the address of its page or one of its routes."""
    return _ROUTE.sub(r"\1", address)


def shown_id(session_id: str) -> str:
    """Returns as much of an id as tells it from others, and lets nobody in."""
    if len(session_id) <= _MAX_SHOWN_ID_CHARS:
        return session_id
    return f"{session_id[: _MAX_SHOWN_ID_CHARS // 2]}…"


def shown_address(address: str) -> str:
    """Returns an address, whole or only a path, without user, query, fragment and long ids."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "an address that cannot be read"
    host = parts.netloc.rpartition("@")[2]
    origin = f"{parts.scheme}://{host}" if host else ""
    path = _NAMED_ID.sub(lambda found: found[1] + shown_id(found[2]), parts.path)
    return origin + _without_generated(path)


def discreet(text: str) -> str:
    """Returns somebody's text with each address and id in it shown by the same rule."""
    text = _ADDRESS.sub(_shown_in_text, text)
    text = _QUERY.sub(r"\1?…", text)
    text = _NAMED_ID.sub(lambda found: found[1] + shown_id(found[2]), text)
    return _without_generated(text)


def _shown_in_text(found: re.Match[str]) -> str:
    address = found[0].rstrip(_AFTER)
    return shown_address(address) + found[0][len(address) :]


def _without_generated(text: str) -> str:
    return _GENERATED_ID.sub(lambda found: shown_id(found[0]), text)
