"""Writes requirements/*.txt from requirements/*.in and pyproject.toml: `make pins`.

All groups are resolved together once and each alone within that, so that no two files disagree. A
file lists everything its group needs: prepare.py installs it without looking for dependencies.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "requirements"
HEADER = "# Written by scripts/pin.py from {name}.in and pyproject.toml: `make pins`.\n"


def main() -> None:
    groups = sorted(path.stem for path in PINS.glob("*.in"))
    with tempfile.TemporaryDirectory() as folder:
        all_pins = Path(folder) / "all.txt"
        all_pins.write_text("\n".join(resolve(groups)))
        for group in groups:
            pins = "\n".join(resolve([group], "--constraint", str(all_pins)))
            (PINS / f"{group}.txt").write_text(f"{HEADER.format(name=group)}{pins}\n")


def resolve(groups: list[str], *options: str) -> list[str]:
    """Asks pip what it would install for the groups, the package and its cli extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["cli"]]
    for group in groups:
        wanted += ["--requirement", str(PINS / f"{group}.in")]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    report = subprocess.run(
        [*pip, "--dry-run", "--ignore-installed", "--report", "-", *options, *wanted],
        check=True,
        stdout=subprocess.PIPE,
    )
    found = [item["metadata"] for item in json.loads(report.stdout)["install"]]
    return sorted(f"{canonical(one['name'])}=={one['version']}" for one in found)


def canonical(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


if __name__ == "__main__":
    main()
