"""The browser package: what pages import, as files to be served or written out.

It lies in ``package/``, an npm package as it stands: nothing is built.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from .._version import __version__

__all__ = ["build_name", "digest", "modules", "package_files"]


@cache
def package_files() -> Mapping[str, bytes]:
    """Returns the content of every file of the package by its name, in the order of names."""
    folder = files(__name__).joinpath("package")
    found = sorted((entry for entry in folder.iterdir()), key=lambda entry: entry.name)
    return MappingProxyType({entry.name: entry.read_bytes() for entry in found if entry.is_file()})


@cache
def modules() -> Mapping[str, bytes]:
    """Returns those of the files that browsers import."""
    files = package_files().items()
    return MappingProxyType({name: body for name, body in files if name.endswith(".js")})


@cache
def build_name() -> str:
    """Returns what no other modules go by: the version, which builds may share, and a digest."""
    return f"{__version__}-{digest(modules())}"


def digest(files: Mapping[str, bytes]) -> str:
    """Returns 8 hexadecimal digits that follow from the names and contents of all files."""
    found = hashlib.sha256()
    for name, body in sorted(files.items()):
        # With the length before it, the end of one file cannot pass for the start of the next.
        found.update(f"{name}\0{len(body)}\0".encode() + body)
    return found.hexdigest()[:8]
