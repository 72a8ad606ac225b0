"""`agentprogress types`: an application's custom events, written for TypeScript."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from types import ModuleType

from ..browser._declarations import declarations
from ..events import CustomEvent
from ._arguments import why

__all__ = ["CannotWrite", "write_types"]

_MARK = "// Written by `agentprogress types"


class CannotWrite(Exception):
    """Carries the sentence that tells why."""


def write_types(names: Sequence[str], file: Path | None) -> None:
    """Prints the types of the events that modules define, or writes them to a file.

    Args:
        names: each a module, or a class in it as ``module:Class``.
        file: written anew each time; one that somebody else has written is left alone.

    Raises:
        CannotWrite: a module cannot be imported or has no such event, or the file is not ours.
    """
    # What the modules print is not TypeScript.
    with redirect_stdout(sys.stderr):
        events = list(dict.fromkeys(event for name in names for event in _events(name)))
        text = f"{_MARK} {' '.join(names)}`: do not edit.\n\n{declarations(events)}"
    if file is None:
        sys.stdout.write(text)
        return
    try:
        if file.exists() and not file.read_text(encoding="utf-8").startswith(_MARK):
            raise CannotWrite(f"{file} was not written by this command: name another file.")
        file.write_text(text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotWrite(f"cannot write {file}: {why(error)}") from error
    count = f"{len(events)} custom event{'s' * (len(events) != 1)}"
    print(f"{file}: {count} ({', '.join(event.custom_name for event in events)})")


def _events(name: str) -> list[type[CustomEvent]]:
    path, _, wanted = name.partition(":")
    module = _imported(path)
    if wanted:
        found: object = getattr(module, wanted, None)
        if not (isinstance(found, type) and issubclass(found, CustomEvent) and found.custom_name):
            raise CannotWrite(f"{path} has no custom event {wanted!r}.")
        return [found]
    events = [event for event in _all(CustomEvent) if _is_of(event, module)]
    if not events:
        raise CannotWrite(
            f'{path} has no custom events; class Quote(CustomEvent, name="quote") would be one.'
        )
    return events


def _imported(path: str) -> ModuleType:
    # As for `python -m`: what lies in the present folder can be imported.
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return importlib.import_module(path)
    except (Exception, SystemExit) as error:  # a module may raise anything
        raise CannotWrite(_told(path, error)) from error
    finally:
        with suppress(ValueError):  # a module may have taken it out
            sys.path.remove(here)


def _told(path: str, error: BaseException) -> str:
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing and f"{path}.".startswith(f"{missing}."):
        return f"there is no module {missing!r}, neither in this folder nor installed."
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    return f'{path} cannot be imported: {reason} (python -c "import {path}" tells where)'


def _all(base: type[CustomEvent]) -> Iterator[type[CustomEvent]]:
    for event in base.__subclasses__():
        yield event
        yield from _all(event)


def _is_of(event: type[CustomEvent], module: ModuleType) -> bool:
    """True for what the module or one below it defines, and for what it imports."""
    is_below = f"{event.__module__}.".startswith(f"{module.__name__}.")
    return is_below or any(value is event for value in vars(module).values())
