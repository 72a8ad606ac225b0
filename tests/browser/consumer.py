"""A project that has installed the browser package, as an application does."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from agentprogress import browser

FOLDER = Path(__file__).parent
MODULES = FOLDER / "node_modules"
PACKAGE = Path(browser.__file__).parent / "package"

# What an application brings itself; each finds what it needs beside where it really is.
_PEERS = ("@types", "react", "react-dom", "typescript")


def program(*command: str, folder: Path) -> str:
    """Runs one to its end and returns what it said; fails with all of it."""
    found = shutil.which(command[0])
    assert found, f"These tests need {command[0]} on the PATH."
    ran = subprocess.run(
        [found, *command[1:]], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout}{ran.stderr}"
    return ran.stdout


def installed(folder: Path) -> Path:
    """Packs the package and installs the tarball, without asking any registry."""
    quiet = ("--no-audit", "--no-fund", "--loglevel=error")
    program("npm", "pack", "--pack-destination", str(folder), *quiet, folder=PACKAGE)
    (tarball,) = folder.glob("*.tgz")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    program("npm", "install", "--offline", *quiet, f"./{tarball.name}", folder=folder)
    for name in _PEERS:
        (folder / "node_modules" / name).symlink_to(MODULES / name)
    return folder


def compile_types(project: Path, *options: str) -> None:
    """Checks types; fails with what the compiler says."""
    program(
        "node", str(MODULES / "typescript/bin/tsc"), "-p", str(project), *options, folder=FOLDER
    )
