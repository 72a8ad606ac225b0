"""The components as a page loads them, and as a server renders them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import anyio

__all__ = ["MODULES", "PACKAGE", "VERSIONS", "Bundle", "build", "run"]

PACKAGE = Path(__file__).parents[3] / "src" / "agentprogress" / "browser" / "package"
MODULES = Path(__file__).parents[1] / "node_modules"

# Each with the names that its two packages are installed under.
VERSIONS = {"19": ("react", "react-dom"), "18": ("react-18", "react-dom-18")}

_FOLDER = Path(__file__).parent


class Bundle:
    """The components with one version of React."""

    def __init__(self, folder: Path) -> None:
        self.page = folder / "page.js"
        self._server = folder / "server.cjs"

    async def render(self, what: dict[str, Any]) -> str:
        """Returns the HTML that a server sends, which has said nothing on its console."""
        done = await anyio.run_process([_node(), str(self._server), json.dumps(what)])
        assert done.stderr == b""
        return done.stdout.decode()


def build(version: str, folder: Path) -> Bundle:
    """Makes both; React is the one for development, which warns."""
    react, dom = (MODULES / name for name in VERSIONS[version])
    common = [
        str(MODULES / ".bin" / "esbuild"),
        "--bundle",
        # For development React is a megabyte to be loaded for each case.
        "--minify-whitespace",
        "--log-level=warning",
        '--define:process.env.NODE_ENV="development"',
        f"--alias:react={react}",
        f"--alias:react-dom={dom}",
        f"--alias:agentprogress/react={PACKAGE / 'react.js'}",
    ]
    bundle = Bundle(folder)
    run([*common, str(_FOLDER / "page.js"), f"--outfile={bundle.page}"])
    server = folder / "server.cjs"
    run([*common, "--platform=node", str(_FOLDER / "server.js"), f"--outfile={server}"])
    return bundle


def run(command: list[str], folder: Path | None = None) -> None:
    """Runs a program that must succeed and have nothing to say against its input."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _node() -> str:
    node = shutil.which("node")
    assert node, "These tests need node on the PATH."
    return node
