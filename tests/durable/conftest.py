from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from .kit import Site


@pytest.fixture
def site() -> Generator[Callable[..., Site]]:
    """Makes processes on one store; they end with the test."""
    sites: list[Site] = []

    def make(**settings: Any) -> Site:
        sites.append(Site(**settings))
        return sites[-1]

    yield make
    for each in sites:
        each.close()
