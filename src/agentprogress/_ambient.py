"""The session and step that running code belongs to, carried by one context variable."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .step import Scope

__all__ = ["current_scope", "enter_scope", "leave_scope"]

_scope: ContextVar[Scope | None] = ContextVar("agentprogress_scope", default=None)


def current_scope() -> Scope | None:
    """Returns the innermost open session or step of this context."""
    return _scope.get()


def enter_scope(scope: Scope | None) -> Scope | None:
    """Makes a scope the current one and returns the one to be restored."""
    outer = _scope.get()
    _scope.set(scope)
    return outer


def leave_scope(outer: Scope | None) -> None:
    """Restores the outer scope.

    Set, not reset by token: generators and async fixtures may be left in another context than they
    were entered in, where a token is refused.
    """
    _scope.set(outer)
