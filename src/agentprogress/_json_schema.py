"""Checks an answer by the JSON Schema that its question told: all that is known of it elsewhere.

Uses ``jsonschema`` where it is installed; where it is not, the job itself checks what it gets.
"""

from __future__ import annotations

from typing import Any, cast

from .settings import Settings

__all__ = ["problems_with"]


def problems_with(value: Any, schema: Any, settings: Settings) -> list[str]:
    """Returns what does not fit, a sentence each; empty when all does, or nobody can tell."""
    if not isinstance(schema, dict):
        return []
    try:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError
    except ImportError:
        return []
    known = cast("dict[str, Any]", schema)
    try:
        Draft202012Validator.check_schema(known)
    except SchemaError:
        return []
    problems: list[str] = []
    validator: Any = Draft202012Validator(known)
    for error in validator.iter_errors(value):
        where = ".".join(str(part) for part in error.absolute_path)
        problem = f"{where}: {error.message}" if where else error.message
        problems.append(problem[: settings.max_string_chars].rstrip("."))
        if len(problems) >= settings.max_requests:
            break
    return problems
