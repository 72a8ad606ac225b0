"""What an optional dependency's absence says, and what importing the package loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

EXTRAS = [
    ("agentprogress.aiohttp", "aiohttp", "pip install 'agentprogress[aiohttp]'"),
    ("agentprogress.client", "httpx2", "pip install 'agentprogress[client]'"),
    ("agentprogress.client", "wsproto", "pip install 'agentprogress[client]'"),
    ("agentprogress.jwt", "jwt", "pip install 'agentprogress[jwt]'"),
    ("agentprogress.starlette", "starlette", "pip install 'agentprogress[starlette]'"),
    ("agentprogress.stores.redis", "redis", "pip install 'agentprogress[redis]'"),
]

WITHOUT = """
import sys
sys.modules[{absent!r}] = None  # as if it were not installed
{code}
"""


def run(absent: str, code: str) -> subprocess.CompletedProcess[str]:
    program = WITHOUT.format(absent=absent, code=code)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(("module", "absent", "advice"), EXTRAS)
def test_a_missing_dependency_names_its_extra(module: str, absent: str, advice: str) -> None:
    done = run(absent, f"import {module}")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert advice in last


def test_a_router_without_fastapi_says_what_to_install() -> None:
    done = run(
        "fastapi",
        "from agentprogress import SessionRegistry\n"
        "from agentprogress.starlette import progress_router\n"
        "progress_router(SessionRegistry())",
    )
    assert "pip install fastapi" in done.stderr.strip().splitlines()[-1]


def test_a_redis_url_without_the_client_library_says_what_to_install() -> None:
    done = run(
        "redis",
        "from agentprogress import SessionRegistry\nSessionRegistry(store='redis://localhost')",
    )
    assert done.stderr.strip().splitlines()[-1] == (
        "agentprogress.errors.InvalidSettings: "
        "A Redis store needs the `redis` extra: pip install 'agentprogress[redis]'."
    )


@pytest.mark.parametrize(("absent", "problems"), [("jsonschema", "0"), ("nothing", "1")])
def test_answers_are_checked_across_processes_where_the_schema_extra_is_installed(
    absent: str, problems: str
) -> None:
    done = run(
        absent,
        "from agentprogress import Settings\n"
        "from agentprogress._durable.json_schema import problems_with\n"
        "print(len(problems_with('no', {'type': 'integer'}, Settings())))",
    )
    assert (done.stdout, done.stderr) == (f"{problems}\n", "")


def test_the_package_and_its_asgi_application_load_no_optional_dependency() -> None:
    optional = {
        "aiohttp",
        "fastapi",
        "httpx2",
        "jsonschema",
        "jwt",
        "redis",
        "rich",
        "starlette",
        "uvicorn",
    }
    done = run(
        "nothing",
        f"import agentprogress.asgi\nprint(*{optional}.intersection(sys.modules))",
    )
    assert (done.stdout, done.stderr) == ("\n", "")


@pytest.mark.parametrize(
    ("name", "absent"), [("StoreTests", "pytest"), ("StoreMachine", "hypothesis")]
)
def test_the_tests_of_a_store_say_what_they_need_when_they_are_named(
    name: str, absent: str
) -> None:
    done = run(absent, "import agentprogress.testing\nprint('imported')")
    assert (done.stdout, done.stderr) == ("imported\n", "")
    done = run(absent, f"from agentprogress.testing import {name}")
    assert done.stderr.strip().splitlines()[-1] == (
        f"ImportError: {name} needs {absent}: pip install {absent}"
    )


def test_the_helpers_for_tests_load_no_test_tool() -> None:
    done = run(
        "nothing",
        "import sys, agentprogress.testing\n"
        "print(*{'pytest', 'hypothesis'}.intersection(sys.modules))",
    )
    assert (done.stdout, done.stderr) == ("\n", "")
