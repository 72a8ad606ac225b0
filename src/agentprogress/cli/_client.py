"""`agentprogress client`: the browser package, written into a folder."""

from __future__ import annotations

import json
from pathlib import Path

from .._core.jsonable import is_object
from .._version import __version__
from ..browser import package_files
from ._arguments import why
from ._types import CannotWrite

__all__ = ["write_client"]

_MANIFEST = "package.json"
_SHOWN = 3

_TOLD = """\
agentprogress {version} is in {folder} ({count} files). Where that is served, a page needs:

  <script type="module" src="/{name}/define.js"></script>
  <agent-progress src="/progress/sessions/SESSION_ID"></agent-progress>

With a bundler, or for TypeScript:

  npm install {path}
"""


def write_client(folder: Path) -> None:
    """Writes the package, and tells what to put into a page.

    Args:
        folder: made if it is missing; a copy of another version in it is replaced.

    Raises:
        CannotWrite: something else is in the folder, or it cannot be written.
    """
    files = package_files()
    try:
        there = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
        if there and not _is_ours(folder):
            raise CannotWrite(
                f"{folder} has something else in it ({_some(there)}): name a folder of its own, "
                f"as {folder / 'agentprogress'}."
            )
        folder.mkdir(parents=True, exist_ok=True)
        # The manifest first: by it a run that broke off is known as ours, and can be repeated.
        for name in sorted(files, key=lambda name: name != _MANIFEST):
            (folder / name).write_bytes(files[name])
    except OSError as error:
        raise CannotWrite(f"cannot write {folder}: {why(error)}") from error
    path = folder if folder.is_absolute() else f"./{folder.as_posix()}"
    name = folder.resolve().name
    print(
        _TOLD.format(version=__version__, folder=folder, count=len(files), name=name, path=path),
        end="",
    )
    if others := [each for each in there if each not in files]:
        print(f"\nNot of this version, and left as it was: {_some(others)}")


def _is_ours(folder: Path) -> bool:
    try:
        manifest: object = json.loads((folder / _MANIFEST).read_bytes())
    except (OSError, ValueError):
        return False
    return is_object(manifest) and manifest.get("name") == "agentprogress"


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
