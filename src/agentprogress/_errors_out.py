"""What viewers may know of an exception. Its traceback goes to the log under a reference."""

from __future__ import annotations

import logging
from typing import Any

from ._core.jsonable import clean_text, cut_text
from ._ids import short_id
from .errors import PublicError, SessionCancelled
from .settings import Settings

__all__ = ["error_info"]

_logger = logging.getLogger("agentprogress")


def error_info(error: BaseException | str, settings: Settings, session_id: str) -> dict[str, Any]:
    """Returns the wire form of an error.

    Args:
        error: a `PublicError` or a text is shown as it is; of any other exception only a
            reference, unless ``Settings.expose_errors`` is set.
        settings: also bounds the message.
        session_id: for the log line that holds the traceback.
    """
    code, message, retryable = _public(error) or _hidden(error, settings.expose_errors, session_id)
    message, _ = cut_text(clean_text(message), settings.max_field_bytes)
    return {"code": clean_text(code), "message": message, "retryable": retryable}


def _public(error: BaseException | str) -> tuple[str, str, bool] | None:
    if isinstance(error, PublicError):
        return error.public_code, error.message, error.retryable
    if isinstance(error, SessionCancelled):
        return "cancelled", str(error), True
    return ("error", error, False) if isinstance(error, str) else None


def _hidden(error: BaseException | str, expose: bool, session_id: str) -> tuple[str, str, bool]:
    assert isinstance(error, BaseException)
    reference = short_id()[:4].lower()
    exc_info = (type(error), error, error.__traceback__)
    _logger.error("session %s: failed (ref %s)", session_id, reference, exc_info=exc_info)
    shown = f"{type(error).__name__}: {error}" if expose else f"The job failed (ref {reference})."
    return "exception", shown, False
