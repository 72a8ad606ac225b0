"""Runs `make test` on every supported Python that is installed: `make test-all`.

The supported ones are the classifiers in pyproject.toml, after the one that runs this. Each other
gets an environment of its own, `.venv-3.12`. One that is not installed is named, and no failure.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLASSIFIER = re.compile(r"Programming Language :: Python :: (3\.\d+)")
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


def main() -> None:
    results = {version: outcome(version) for version in dict.fromkeys([OWN, *supported()])}
    for version, result in results.items():
        print(f"Python {version}: {result}")
    if "failed" in results.values():
        sys.exit(1)


def supported() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = [CLASSIFIER.fullmatch(line) for line in project["classifiers"]]
    return [match[1] for match in found if match]


def outcome(version: str) -> str:
    python = sys.executable if version == OWN else find(version)
    if python is None:
        return "not installed"
    print(f"== Python {version}", flush=True)
    venv = ".venv" if version == OWN else f".venv-{version}"
    command = [os.environ.get("MAKE", "make"), "--no-print-directory", "test"]
    done = subprocess.run([*command, f"PYTHON={python}", f"VENV={venv}"], cwd=ROOT, check=False)
    return "passed" if done.returncode == 0 else "failed"


def find(version: str) -> str | None:
    """Looks on PATH, then among pyenv's, whose shim may stand for a Python that is not active."""
    candidates = [shutil.which(f"python{version}"), *pyenv(version)]
    return next((python for python in candidates if python and runs(python, version)), None)


def pyenv(version: str) -> list[str]:
    root = os.environ.get("PYENV_ROOT")
    if not root and shutil.which("pyenv"):
        asked = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=False)
        root = asked.stdout.strip()
    if not root:
        return []
    newest_first = sorted(Path(root).glob(f"versions/{version}.*"), key=patch, reverse=True)
    return [str(folder / "bin" / "python") for folder in newest_first]


def patch(folder: Path) -> int:
    last = folder.name.rpartition(".")[2]
    return int(last) if last.isdecimal() else -1


def runs(python: str, version: str) -> bool:
    try:
        answer = subprocess.run(
            [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return False
    return answer.stdout.strip() == version


if __name__ == "__main__":
    main()
