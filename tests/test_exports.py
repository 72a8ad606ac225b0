from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys

import pytest

import agentprogress

# What every reader of the documentation imports from the root.
FIXED = {
    "SessionRegistry",
    "Settings",
    "current_session",
    "current_step",
    "track",
    "traced",
    "bind",
    "PublicError",
    "CustomEvent",
}
PUBLIC_MODULES = [
    module.name
    for module in pkgutil.iter_modules(agentprogress.__path__, "agentprogress.")
    if module.name.removeprefix("agentprogress.")
    in {"client", "codes", "errors", "events", "settings", "snapshot", "testing"}
]

WHAT_AN_IMPORT_LEAVES = """
import asyncio, json, logging, signal, sys, threading
before = set(sys.modules)
handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
import agentprogress
print(json.dumps({
    "threads": [each.name for each in threading.enumerate()],
    "loop": asyncio._get_running_loop() is not None,
    "logging": [name for name in ("", "agentprogress") if logging.getLogger(name).handlers],
    "signals": [each for each in handlers if signal.getsignal(each) is not handlers[each]],
    "optional": sorted({name.partition(".")[0] for name in sys.modules} & {
        "aiohttp", "fastapi", "httpx2", "hypothesis", "jwt", "opentelemetry", "pytest", "redis",
        "rich", "sqlite3", "starlette", "trio", "uvicorn", "websockets",
    }),
}))
"""


def test_the_root_has_few_names_and_all_can_be_imported() -> None:
    assert len(agentprogress.__all__) <= 25
    assert set(agentprogress.__all__) >= FIXED
    for name in agentprogress.__all__:
        assert getattr(agentprogress, name) is not None


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_what_a_module_exports_is_there_sorted_and_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__all__ == sorted(module.__all__, key=lambda each: (not each.isupper(), each))
    for each in module.__all__:
        exported = getattr(module, each)
        if isinstance(exported, type):
            assert exported.__doc__


def test_importing_the_package_has_no_side_effect() -> None:
    found = subprocess.run(
        [sys.executable, "-c", WHAT_AN_IMPORT_LEAVES], check=True, capture_output=True, text=True
    )
    assert json.loads(found.stdout) == {
        "threads": ["MainThread"],
        "loop": False,
        "logging": [],
        "signals": [],
        "optional": [],
    }
