"""`agentprogress serve`: the sessions of a store, for whoever may follow them; none runs here."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import anyio

from ..access import Authorize
from ..errors import InvalidSettings
from ..registry import SessionRegistry
from ._listen import CannotServe, is_loopback, listen, origin
from ._output import say
from ._server import NewServer, new_server, serving
from ._signals import Interrupts
from ._site import MOUNT, Site
from ._store import registry_of, shown

__all__ = ["Algorithm", "Keys", "ServeOptions", "serve"]

Algorithm = Literal["HS256", "HS384", "HS512"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Keys:
    """What tokens are checked by; see `agentprogress.jwt.TokenSigner`.

    Attributes:
        secrets: each of them verifies; none: there are no tokens.
        algorithm: the only one that is accepted.
        audience: the claim ``aud`` of every token.
    """

    secrets: Sequence[str] = ()
    algorithm: Algorithm = "HS256"
    audience: str = "agentprogress"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeOptions:
    """What to serve, where and to whom.

    Attributes:
        store: its URL.
        host: a name or an address of this machine; loopback where there are no keys.
        port: 0 is any free one; None the default one, or any free one when it is taken.
        keys: those of the tokens that are asked for.
        allowed_origins: pages of other origins that may call.
    """

    store: str
    host: str = "127.0.0.1"
    port: int | None = None
    keys: Keys = Keys()
    allowed_origins: Sequence[str] = ()


def serve(options: ServeOptions) -> int:
    """Serves a store's sessions until SIGINT or SIGTERM, then drains; a second one ends it at once.

    Returns:
        The signal that ended it before it was done; 0 for none.

    Raises:
        CannotServe: something that it needs is missing or wrong, or the store does not answer.
    """
    make = new_server()
    authorize = _rule(options)
    registry = registry_of(options.store)
    try:
        site = Site(registry, authorize, allowed_origins=options.allowed_origins)
    except InvalidSettings as error:
        raise CannotServe(str(error)) from error
    with listen(options.host, options.port) as listener:
        say(f"Serving {shown(options.store)} at {origin(options.host, listener)}{MOUNT}")
        return anyio.run(_serve, registry, site, listener, make)


async def _serve(
    registry: SessionRegistry, site: Site, listener: socket.socket, make: NewServer
) -> int:
    with Interrupts() as interrupts:
        async with registry, serving(make(site), listener, registry, drain_seconds=None):
            await interrupts.asked.wait()
    return (interrupts.signal_number or 0) if interrupts.scope.cancelled_caught else 0


def _rule(options: ServeOptions) -> Authorize | None:
    """Returns who may do what; None for the rule that goes by generated ids and control tokens.

    Raises:
        CannotServe: a key is no good, or is missing where others than this machine may connect.
    """
    keys = options.keys
    if not keys.secrets:
        if not is_loopback(options.host):
            raise CannotServe(
                f"Without keys only this machine may connect, and {options.host!r} is reached from "
                "others: pass --key-file, or set AGENTPROGRESS_KEY."
            )
        return None
    try:
        from ..jwt import TokenSigner

        newest, *previous = keys.secrets
        signer = TokenSigner(
            newest, previous=previous, algorithm=keys.algorithm, audience=keys.audience
        )
    except (ImportError, InvalidSettings) as error:
        raise CannotServe(str(error)) from error
    return signer.authorize
