"""TypeScript from JSON Schema: what JSON values of a schema look like, no more than that.

Takes the schemas that pydantic writes. What a schema says and TypeScript cannot (a pattern, a
bound) is left out, so that a type is never narrower than its values. No global name is used in what
is written, since an application's own class may have it.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

__all__ = ["identifier", "interface", "key", "renamed", "type_of"]

Schema: TypeAlias = Mapping[str, Any]

_UNKNOWN: Final = "unknown"
_ANY_TEXT: Final = "(string & {})"
_PLAIN: Final = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}
# What cannot be the name of a type (TypeScript's handbook; reserved words of ECMAScript, 12.7.2).
_RESERVED: Final = frozenset(
    {
        *("any", "bigint", "boolean", "never", "null", "number", "object", "string", "symbol"),
        *("undefined", "unknown", "void", "await", "break", "case", "catch", "class", "const"),
        *("continue", "debugger", "default", "delete", "do", "else", "enum", "export", "extends"),
        *("false", "finally", "for", "function", "if", "import", "in", "instanceof", "new"),
        *("return", "super", "switch", "this", "throw", "true", "try", "typeof", "var", "while"),
        *("with", "yield", "implements", "interface", "let", "package", "private", "protected"),
        *("public", "static"),
    }
)
_NAME: Final = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)


def interface(name: str, schema: Schema) -> str:
    """Returns an exported declaration of what a named schema describes.

    Args:
        name: what stands behind ``interface``: the name, with parameters and bases if it has them.
        schema: an object's, or any other, which becomes a ``type``.
    """
    schema = _with_attributes(schema)
    told = _comment(schema.get("description", ""))
    if "properties" not in schema and not _is_empty_object(schema):
        return f"{told}export type {name} = {type_of(schema)};\n"
    return f"{told}export interface {name} {_members(schema)}\n"


def type_of(schema: Schema) -> str:
    """Returns the type of a schema's values, as one expression."""
    for keyword, read in _KEYWORDS.items():
        if keyword in schema:
            return read(schema)
    return _UNKNOWN


def renamed(schema: Any, names: Mapping[str, str]) -> Any:
    """Returns a schema that refers to definitions by other names; the rest keep theirs."""
    if isinstance(schema, list):
        return [renamed(one, names) for one in cast("Sequence[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    known = cast("dict[str, Any]", schema)
    if isinstance(reference := known.get("$ref"), str):
        name = reference.rpartition("/")[2]
        return {**known, "$ref": names.get(name, name)}
    return {keyword: renamed(value, names) for keyword, value in known.items()}


def identifier(name: str) -> str:
    """Returns a name that a type can have."""
    name = re.sub(r"^(?=\d)|[^\w$]", "_", name, flags=re.ASCII)
    return f"{name}_" if name in _RESERVED else name


def key(name: str) -> str:
    """Returns a property's name as it is written."""
    return name if _NAME.fullmatch(name) else json.dumps(name)


# Keywords of JSON Schema


def _plain(schema: Schema) -> str:
    kind = schema["type"]
    if isinstance(kind, list):
        return _union([type_of({**schema, "type": one}) for one in cast("list[str]", kind)])
    if kind == "array":
        return _array(schema)
    return _object(schema) if kind == "object" else _PLAIN.get(kind, _UNKNOWN)


def _all(schema: Schema) -> str:
    return " & ".join(_grouped(type_of(one)) for one in schema["allOf"])


# The first one that a schema has decides.
_KEYWORDS: Final[dict[str, Callable[[Schema], str]]] = {
    "$ref": lambda schema: identifier(schema["$ref"].rpartition("/")[2]),
    "const": lambda schema: _literal(schema["const"]),
    "enum": lambda schema: _union([_literal(value) for value in schema["enum"]]),
    "anyOf": lambda schema: _union([type_of(one) for one in schema["anyOf"]]),
    "oneOf": lambda schema: _union([type_of(one) for one in schema["oneOf"]]),
    "allOf": _all,
    "type": _plain,
}


# Types


def _literal(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str | int | float | None) else _UNKNOWN


def _union(types: list[str]) -> str:
    """Joins types; texts of which some are known stay known to editors beside `string`."""
    known = list(dict.fromkeys(types))
    if _UNKNOWN in known or not known:
        return _UNKNOWN
    if "string" in known and any(each.startswith('"') for each in known):
        known = [each for each in known if each != "string"] + [_ANY_TEXT]
    known.sort(key=lambda each: each == "null")  # null is read last
    return " | ".join(known)


def _grouped(expression: str) -> str:
    return f"({expression})" if " " in expression and expression[0] != "{" else expression


def _array(schema: Schema) -> str:
    items = [type_of(item) for item in schema.get("prefixItems", ())]
    if not items:
        return f"readonly {_grouped(type_of(schema.get('items', {})))}[]"
    if schema.get("maxItems") != len(items):
        items.append(f"...{_grouped(type_of(schema.get('items') or {}))}[]")
    return f"readonly [{', '.join(items)}]"


def _object(schema: Schema) -> str:
    if schema.get("properties"):
        return _members(schema)
    values: Schema | bool = schema.get("additionalProperties", True)
    if values is False and "patternProperties" not in schema:
        return "{}"
    keys: Schema = schema.get("propertyNames", {})
    kind = _UNKNOWN if isinstance(values, bool) else type_of(values)
    if "enum" in keys or "$ref" in keys:
        return f"{{ readonly [key in {type_of(keys)}]?: {kind} }}"
    return f"{{ readonly [key: string]: {kind} }}"


def _members(schema: Schema) -> str:
    properties: Mapping[str, Schema] = schema.get("properties", {})
    required = schema.get("required", ())
    lines: list[str] = []
    for name, kind in properties.items():
        told = _comment(kind.get("description", ""), "  ")
        mark = "" if name in required else "?"
        # An object within an object stands deeper.
        value = type_of(kind).replace("\n", "\n  ")
        lines.append(f"{told}  readonly {key(name)}{mark}: {value};\n")
    return f"{{\n{''.join(lines)}}}" if lines else "{}"


def _is_empty_object(schema: Schema) -> bool:
    return schema.get("type") == "object" and schema.get("additionalProperties", False) is False


# Docstrings


def _comment(text: str, indent: str = "") -> str:
    """Returns a docstring as a comment for editors, with the line's end; nothing for no text."""
    # Python's words for what is in the types as `null`, and its double quotes for code.
    text = re.sub(r"\bNone\b", "null", inspect.cleandoc(text)).replace("``", "`")
    lines = text.replace("*/", "*\\/").splitlines()
    if not lines:
        return ""
    if len(lines) == 1:
        return f"{indent}/** {lines[0]} */\n"
    body = "".join(f"{indent} * {line}".rstrip() + "\n" for line in lines)
    return f"{indent}/**\n{body}{indent} */\n"


_ATTRIBUTES: Final = re.compile(r"\n\s*Attributes:\n(?P<lines>.*?)(?=\n\S|\Z)", re.DOTALL)
_ATTRIBUTE: Final = re.compile(r"^    (\w+)(?: \([^)]*\))?: (.*(?:\n     +.*)*)", re.MULTILINE)


def _with_attributes(schema: Schema) -> Schema:
    """Moves what a Google-style docstring tells of attributes to the properties."""
    text = inspect.cleandoc(schema.get("description", ""))
    found = _ATTRIBUTES.search(text)
    if found is None:
        return schema
    told = {
        name: " ".join(words.split()) for name, words in _ATTRIBUTE.findall(f"{found['lines']}\n")
    }
    properties = {
        name: {"description": _sentence(told[name]), **kind} if name in told else kind
        for name, kind in schema.get("properties", {}).items()
    }
    left = f"{text[: found.start()].rstrip()}\n\n{text[found.end() :].lstrip()}".strip()
    return {**schema, "description": left, "properties": properties}


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
