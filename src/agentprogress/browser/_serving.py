"""The modules of the browser package over HTTP: public code, the same for ever in one build.

The build stands in the path, so that all modules of a page are of one: each imports the next by a
relative URL. Another build is refused and not redirected: half of a page would be of this one. By
its version alone, which says nothing of what was built, a module is checked each time it is used.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final

from .._http import NO_CACHE, Header, Request, Response, Target
from .._version import __version__
from ..errors import NotFound
from . import build_name, modules

__all__ = ["PUBLIC", "module", "newest_module"]

_JAVASCRIPT: Final[Header] = (b"content-type", b"text/javascript; charset=utf-8")
# A year is the longest that means anything (RFC 9111, 1.2.2 advises no more; RFC 8246).
_FOR_EVER: Final[Header] = (b"cache-control", b"public, max-age=31536000, immutable")
# Pages of other origins may import it: no cookie and no session is looked at.
PUBLIC: Final[tuple[Header, ...]] = (
    (b"access-control-allow-origin", b"*"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"x-content-type-options", b"nosniff"),
)


async def module(request: Request, found: Target) -> Response:
    """A module, by the build that is served here or by its version."""
    body = _module(found)
    if found.version not in (build_name(), __version__):
        raise NotFound(
            f"This server has {build_name()} of the browser package, not "
            f"{found.version[:40]!r}: load the page again. Pages that import "
            f"/client/{found.file} get what is here."
        )
    etag = _etag(found.file)
    kept = _FOR_EVER if found.version == build_name() else NO_CACHE
    headers = (_JAVASCRIPT, kept, (b"etag", etag))
    if request.knows(etag):
        return Response(304, b"", headers)
    return Response(200, body, headers)


async def newest_module(request: Request, found: Target) -> Response:
    """Where a module is in the build that is served here, seen from this address."""
    _module(found)
    # Relative, since nobody here knows under which path and host a proxy shows the mount.
    location = f"{build_name()}/{found.file}".encode()
    return Response(307, b"", ((b"location", location), NO_CACHE))


def _module(found: Target) -> bytes:
    body = modules().get(found.file)
    if body is None:
        raise NotFound(f"The browser package has no module {found.file[:40]!r}.")
    return body


@cache
def _etag(name: str) -> bytes:
    return f'"{hashlib.sha256(modules()[name]).hexdigest()[:16]}"'.encode()
