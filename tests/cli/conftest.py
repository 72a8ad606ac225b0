"""The command line serves with uvicorn, which is asyncio's: so are its tests."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
