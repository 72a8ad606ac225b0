"""Checks an answer by the JSON Schema that its question told: all that is known of it elsewhere.

Uses ``jsonschema`` where it is installed; where it is not, the job itself checks what it gets.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, cast

from ..settings import Settings

__all__ = ["problems_with"]


def problems_with(value: Any, schema: Any, settings: Settings) -> list[str]:
    """Returns what does not fit, a sentence each; empty when all does, or nobody can tell."""
    if not isinstance(schema, dict):
        return []
    try:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError
        from referencing import Registry
        from referencing.exceptions import Unresolvable
    except ImportError:
        return []
    known = cast("dict[str, Any]", schema)
    # An empty registry: what a schema refers to is never fetched.
    nothing = cast("Any", Registry)()
    validator = cast("Any", Draft202012Validator(known, registry=nothing))
    try:
        Draft202012Validator.check_schema(known)
        errors: list[Any] = list(islice(validator.iter_errors(value), settings.max_requests))
    except (SchemaError, Unresolvable):
        return []
    return [_sentence(error)[: settings.max_string_chars].rstrip(".") for error in errors]


def _sentence(error: Any) -> str:
    where = ".".join(str(part) for part in error.absolute_path)
    return f"{where}: {error.message}" if where else str(error.message)
