"""What all tests share: both event loops, and property tests that draw the same examples again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# No deadline and no database: a slow or repeated run must not differ from the first one.
settings.register_profile(
    "deterministic",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("deterministic")


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("trio", {}), id="trio"),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Runs a test marked `anyio` on each event loop."""
    backend: tuple[str, dict[str, Any]] = request.param
    return backend
