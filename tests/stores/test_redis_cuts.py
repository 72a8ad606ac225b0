"""A connection that is cut at any byte of an append: what is done again is not done twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from agentprogress.abc import Appended, Position
from agentprogress.errors import StoreUnavailable
from agentprogress.stores.redis import RedisStore
from agentprogress.testing import Cut, FaultProxy, Faults
from agentprogress.testing._store_case import append, claim, event

from .engines import HOST, Engine

pytestmark = pytest.mark.server

# Every cut of the first bytes is a cut of the greeting; what follows is the append.
_TO_SERVER = range(0, 2_400, 149)
_TO_CLIENT = range(0, 260, 6)


@pytest.fixture
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as portal:
        yield portal


@pytest.mark.parametrize("by", ["rst", "fin"])
@pytest.mark.parametrize("direction", ["to_server", "to_client"])
def test_an_append_that_is_cut_and_done_again_is_done_once(
    engine: Engine, portal: BlockingPortal, direction: str, by: str
) -> None:
    proxy = FaultProxy(HOST, engine.port)
    direct = RedisStore(engine.url)
    assert direct.claim(claim(lease=None))
    cuts = _TO_SERVER if direction == "to_server" else _TO_CLIENT
    outcomes: set[str] = set()
    with portal.wrap_async_context_manager(proxy):
        for number, after in enumerate(cuts):
            proxy.plan = Faults(cut=Cut(after, by=by, direction=direction))  # type: ignore[arg-type]
            through = RedisStore(f"redis://{HOST}:{proxy.port}/0?socket_timeout=5")
            wanted = append(
                *(event(f"{number} {each}" + "x" * 200) for each in range(3)),
                producer_id="p",
                producer_seq=number + 1,
            )
            cut = False
            try:
                through.append([wanted])
            except StoreUnavailable:
                cut = True
            through.close()
            [answer] = direct.append([wanted])
            assert isinstance(answer, Appended)
            assert answer.first == 3 * number + 1
            outcomes.add(f"cut {cut} done {answer.repeated}")
    [log] = direct.read([Position("s")])
    direct.close()
    assert log is not None
    assert len(log.entries) == 3 * len(cuts)
    assert len(set(log.entries)) == len(log.entries)
    assert "cut True done False" in outcomes
    # Where the answer is cut off, the append was done, and that is found out.
    assert direction == "to_server" or "cut True done True" in outcomes
