"""The one table of what goes wrong on the wire: code, HTTP status, close code, retry, sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["CODES", "Code"]

Retry = Literal["no", "yes", "new_token", "retry_after"]


@dataclass(frozen=True, slots=True)
class Code:
    """One row of the code table.

    Attributes:
        name: the stable code on the wire.
        http: the HTTP status, or None where the code never answers a request.
        websocket: the close code. 41xx: come back. 44xx: do not.
        retry: whether coming back can help, and what it takes.
        sentence: what a person is told when the error brings no better words.
    """

    name: str
    http: int | None
    websocket: int
    retry: Retry
    sentence: str

    @property
    def retryable(self) -> bool:
        """True when the same request can succeed later, perhaps with a new token."""
        return self.retry != "no"

    @property
    def transient(self) -> bool:
        """True when it can succeed later as it is."""
        return self.retry in ("yes", "retry_after")


CODES: dict[str, Code] = {
    code.name: code
    for code in (
        Code("bad_request", 400, 4400, "no", "The request cannot be understood."),
        Code("unauthorized", 401, 4401, "new_token", "Credentials are missing or not valid."),
        Code("forbidden", 403, 4403, "no", "This session may not be followed with what was sent."),
        Code("not_found", 404, 4406, "no", "There is nothing at this address."),
        Code("session_unknown", 404, 4404, "no", "There is no such session."),
        Code("method_not_allowed", 405, 4405, "no", "The address does not answer this method."),
        Code("conflict", 409, 4409, "no", "The session's state does not allow this."),
        Code("session_gone", 410, 4410, "no", "The session ended and its record has expired."),
        Code("too_large", 413, 4413, "no", "The message is too large."),
        Code("wrong_process", 421, 4421, "no", "Another process owns this session."),
        Code("rate_limited", 429, 4105, "retry_after", "Too many subscribers; come back later."),
        Code("draining", 503, 4100, "yes", "The server is shutting down; come back."),
        Code("slow_subscriber", None, 4101, "yes", "A write was blocked for too long."),
        Code("no_pong", None, 4102, "yes", "A heartbeat was not answered."),
        Code("token_expired", 401, 4104, "new_token", "The token has expired."),
        Code("store_unavailable", 503, 4106, "yes", "The store does not answer."),
        Code("internal", 500, 4107, "yes", "The server failed; its log has the details."),
        Code("going_away", 503, 1012, "yes", "The server is restarting; come back."),
    )
}
