"""A page with the components, on each version of React."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.browser.site import Site

from .bundles import VERSIONS, Bundle, build
from .screen import Screen


@pytest.fixture(scope="package", params=sorted(VERSIONS))
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return build(request.param, tmp_path_factory.mktemp(f"react-{request.param}"))


@pytest.fixture
async def screen(site: Site, bundle: Bundle) -> AsyncIterator[Screen]:
    found = await Screen.opened(site, bundle)
    yield found
    assert found.complaints == []
