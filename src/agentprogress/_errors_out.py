"""What viewers may know of an exception. Its traceback goes to the log under a reference."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

from ._core.jsonable import clean_text, cut_text
from ._given import as_text
from ._ids import short_id
from .errors import PublicError, SessionCancelled
from .settings import Settings

__all__ = ["error_info", "log_failure"]

_logger = logging.getLogger("agentprogress")

# Where an exception carries its reference once it has been logged.
_REFERENCE = "__agentprogress_ref__"


def error_info(error: BaseException | str, settings: Settings, session_id: str) -> dict[str, Any]:
    """Returns the wire form of an error.

    Args:
        error: a `PublicError` or a text is shown as it is; of any other exception only a
            reference, unless ``Settings.expose_errors`` is set.
        settings: also bounds the message.
        session_id: for the log line that holds the traceback.
    """
    code, message, retryable = _public(error) or _hidden(error, settings.expose_errors, session_id)
    message, _ = cut_text(clean_text(as_text(message)), settings.max_field_bytes)
    return {"code": clean_text(as_text(code)), "message": message, "retryable": bool(retryable)}


def log_failure(error: BaseException, message: str, *args: object) -> None:
    """Logs an error with its traceback, or without where even writing that fails."""
    try:
        _logger.error(message, *args, exc_info=(type(error), error, error.__traceback__))
    except Exception:  # noqa: BLE001 - the error's own attributes raise; logging lets that through
        _logger.error(f"{message}; its traceback cannot be written", *args)


def _public(error: object) -> tuple[object, object, object] | None:
    if isinstance(error, PublicError):
        # A subclass may have an `__init__` of its own that sets none of them.
        code = getattr(error, "public_code", "error")
        return code, getattr(error, "message", error), getattr(error, "retryable", False)
    if isinstance(error, SessionCancelled):
        return "cancelled", str(error), True
    return None if isinstance(error, BaseException) else ("error", error, False)


def _hidden(error: object, expose: bool, session_id: str) -> tuple[str, str, bool]:
    assert isinstance(error, BaseException)
    # Not by getattr: an exception may have a `__getattr__` of its own.
    reference = vars(error).get(_REFERENCE)
    if not isinstance(reference, str):
        reference = short_id()[:4].lower()
        # The same words for the step and the session that it ends, and one traceback in the log.
        with contextlib.suppress(Exception):
            setattr(error, _REFERENCE, reference)
        log_failure(error, "session %s: failed (ref %s)", session_id, reference)
    name = type(error).__name__
    shown = f"{name}: {as_text(error)}" if expose else f"The job failed (ref {reference})."
    return "exception", shown, False
