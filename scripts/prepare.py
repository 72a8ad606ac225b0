"""Makes the virtual environment a target needs; a second run changes nothing.

    python3 scripts/prepare.py demo|test|check|bench [--venv DIR]

Standard library only. What was installed is remembered in a stamp inside the environment: a digest
of the interpreter, the place, pyproject.toml and every pin; a change of any of them installs again.
What the tests of the browser package need from npm is kept in tests/browser/node_modules likewise.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "requirements"
BROWSER = ROOT / "tests" / "browser"
GROUPS = sorted(path.stem for path in PINS.glob("*.in"))

NO_VENV = """\
{python} cannot make a virtual environment. On Debian: apt-get install python3-venv
"""
UNFIT_PINS = """\
If it names a missing requirement, requirements/ no longer fits pyproject.toml: run `make pins`.
"""
NO_PROGRAMS = """\
The tests need a Chromium, an nginx, a HAProxy, a redis-server and a Node.js with npm.
Missing here: {packages}
On Debian, as root: apt-get install --no-install-recommends {packages}
Elsewhere: install nginx, HAProxy, Redis, Node.js and npm where PATH finds them, and Chromium or
Chrome, whose program can be named: make test CHROMIUM=/path/to/chrome
"""
OLD_NODE = """\
The tests need Node.js {needed} or newer, and {node} is {found}: put a newer one first in PATH.
"""

# Where Debian has nginx and HAProxy, which only root's PATH may name.
SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
# Packages that bring a program and a service of the same name, and start it.
SERVICES = ("nginx", "haproxy", "redis-server")
NODE_PACKAGES = {"nodejs": "node", "npm": "npm"}
# The oldest that Vite runs on.
NODE = (20, 19)


class SetupFailed(Exception):
    """Carries the sentence that tells what to do."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the virtual environment a target needs.")
    parser.add_argument("group", choices=GROUPS)
    parser.add_argument("--venv", default=".venv", help="where it is, seen from the project")
    arguments = parser.parse_args()
    try:
        with one_at_a_time():
            venv = ROOT / arguments.venv
            prepare(arguments.group, venv)
            if arguments.group == "test":
                ensure_programs(venv)
                ensure_modules()
    except SetupFailed as failure:
        sys.exit(str(failure).rstrip())


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Keeps two targets that were started together from installing into one environment."""
    with Path(__file__).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepare(group: str, venv: Path) -> None:
    python = venv / "bin" / "python"
    stamp = venv / f".prepared-{group}"
    made = venv / ".made"
    place = f"{venv} {sys.version}"
    if not python.exists() or not holds(made, place):
        make_venv(venv)
        made.write_text(place)
    wanted = digest(place)
    if holds(stamp, wanted):
        return
    say(f"installing what `{group}` needs into {venv.name}")
    install(python, group)
    stamp.write_text(wanted)


def holds(file: Path, text: str) -> bool:
    return file.exists() and file.read_text() == text


def digest(place: str) -> str:
    """A moved checkout is a change too: an environment's scripts name their interpreter in full."""
    content = hashlib.sha256(place.encode())
    for file in [ROOT / "pyproject.toml", Path(__file__), *sorted(PINS.glob("*.txt"))]:
        content.update(file.read_bytes())
    return content.hexdigest()


def make_venv(venv: Path) -> None:
    version = ".".join(str(number) for number in sys.version_info[:3])
    say(f"making {venv.name} with Python {version}")
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=False)
    if made.returncode != 0:
        shutil.rmtree(venv, ignore_errors=True)
        raise SetupFailed(NO_VENV.format(python=sys.executable))


def install(python: Path, group: str) -> None:
    """Installs exactly the pins, then the package, which must find all it asks for among them."""
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "install", "--quiet", "--no-deps", "--requirement", str(PINS / f"{group}.txt")])
    package = [*pip, "install", "--quiet", "--no-index", "--no-build-isolation"]
    try:
        run([*package, "--editable", f"{ROOT}[cli]"])
        run([*pip, "check"])
    except SetupFailed as failure:
        raise SetupFailed(f"{failure}\n{UNFIT_PINS}") from None


def ensure_programs(venv: Path) -> None:
    packages = missing_packages(venv)
    if not packages:
        return
    advice = NO_PROGRAMS.format(packages=" ".join(packages))
    apt = as_root("apt-get")
    if apt is None or ("chromium" in packages and os.environ.get("CHROMIUM")):
        raise SetupFailed(advice)
    say(f"installing Debian's {' and '.join(packages)} for the tests")
    try:
        run([*apt, "update", "--quiet"])
        run([*apt, "install", "--quiet", "--yes", "--no-install-recommends", *packages])
    except SetupFailed as failure:
        raise SetupFailed(f"{failure}\n{advice}") from None
    for service in SERVICES:
        if service in packages:
            stop_service(service)
    if missing_packages(venv):
        raise SetupFailed(advice)


def missing_packages(venv: Path) -> list[str]:
    packages = []
    if not shutil.which(os.environ.get("CHROMIUM") or "chromium"):
        packages.append("chromium")
    # playwright ships a node that links to this library, and a small Debian has none.
    drivers = venv.glob("lib/python*/site-packages/playwright/driver/node")
    if not all(starts([str(driver), "--version"]) for driver in drivers):
        packages.append("libatomic1")
    packages += [name for name in SERVICES if not shutil.which(name, path=SYSTEM_PATH)]
    packages += [name for name, program in NODE_PACKAGES.items() if not shutil.which(program)]
    return packages


def ensure_modules() -> None:
    """Installs exactly what the lock in tests/browser names."""
    version = node_version()
    content = hashlib.sha256(f"{BROWSER} {version}".encode())
    for name in ("package.json", "package-lock.json"):
        content.update((BROWSER / name).read_bytes())
    stamp = BROWSER / "node_modules" / ".prepared"
    if holds(stamp, content.hexdigest()):
        return
    say("installing what the browser's tests need into tests/browser/node_modules")
    # What is installed runs nothing of its own here: the programs come ready to run.
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    run(["npm", "ci", *quiet], BROWSER)
    stamp.write_text(content.hexdigest())


def node_version() -> str:
    node = shutil.which("node") or "node"
    asked = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    version = asked.stdout.strip()
    numbers = tuple(int(part) for part in re.findall(r"\d+", version))
    if numbers < NODE:
        needed = ".".join(str(number) for number in NODE)
        raise SetupFailed(OLD_NODE.format(needed=needed, node=node, found=version or "no Node.js"))
    return version


def stop_service(name: str) -> None:
    """Ends a service that its package has just started, now and at the next boot.

    The tests run programs of their own; nobody has asked for one that listens on a well-known port.
    Where nothing starts services, as in most containers, both commands have nothing to do.
    """
    for program, *arguments in (("invoke-rc.d", name, "stop"), ("update-rc.d", name, "disable")):
        command = as_root(program)
        if command is not None:
            starts([*command, *arguments])


def as_root(program: str) -> list[str] | None:
    """The command that runs `program` as root without asking anything, or None."""
    found = shutil.which(program, path=SYSTEM_PATH)
    if found is None:
        return None
    command = ["env", "DEBIAN_FRONTEND=noninteractive", found]
    if os.geteuid() == 0:
        return command
    sudo = ["sudo", "--non-interactive"]
    return [*sudo, *command] if shutil.which("sudo") and starts([*sudo, "true"]) else None


def run(command: list[str], folder: Path = ROOT) -> None:
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise SetupFailed(f"`{' '.join(command)}` failed; what it said is above.")


def starts(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def say(sentence: str) -> None:
    print(f"[set-up] {sentence}", flush=True)


if __name__ == "__main__":
    main()
