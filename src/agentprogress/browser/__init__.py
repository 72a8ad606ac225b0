"""The browser package: what pages import, as files to be served or written out.

It lies in ``package/``, an npm package as it stands: nothing is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

__all__ = ["package_files"]


@cache
def package_files() -> Mapping[str, bytes]:
    """Returns the content of every file of the package by its name, in the order of names."""
    folder = files(__name__).joinpath("package")
    found = sorted((entry for entry in folder.iterdir()), key=lambda entry: entry.name)
    return MappingProxyType({entry.name: entry.read_bytes() for entry in found if entry.is_file()})
