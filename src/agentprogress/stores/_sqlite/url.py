"""Which file a store's URL names."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from ...errors import InvalidSettings

__all__ = ["path_of"]


def path_of(url: str) -> str:
    """Returns the path of ``sqlite:///relative.db`` or ``sqlite:////absolute.db``, decoded.

    Raises:
        InvalidSettings: it names no file of this machine.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidSettings(f"{url!r} is no URL.") from None
    if parts.scheme != "sqlite":
        raise InvalidSettings(f"{url!r} must begin with sqlite:///.")
    if parts.netloc not in ("", ":memory:"):
        raise InvalidSettings(
            f"{url!r} names the host {parts.netloc}, but the file has to be on this machine. "
            f"Three slashes begin a relative path, four an absolute one."
        )
    if parts.query or parts.fragment:
        raise InvalidSettings(
            f"{url!r} has more than a path; write a ? or # of the file's name as %3F or %23."
        )
    path = unquote(parts.path[1:])
    if path in ("", ":memory:"):
        raise InvalidSettings(
            f"{url!r} names no file, and a database in memory keeps nothing. For sessions in "
            f"memory alone, leave store= out."
        )
    return path
