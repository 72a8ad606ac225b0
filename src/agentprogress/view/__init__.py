"""The page behind ``/sessions/{id}/view``: the browser package's element, under a strict policy."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files

from ..browser import build_name

__all__ = ["VIEW"]

_INLINE = "<{tag}(?: [^>]*)?>(.*?)</{tag}>"
_ELEMENT = "<agent-progress>"


@dataclass(frozen=True)
class _View:
    """The page and its headers, read from the package when first asked for."""

    @cached_property
    def body(self) -> bytes:
        """The page of an application that decides itself who may control a session."""
        return self._page.encode()

    @cached_property
    def readonly_body(self) -> bytes:
        """The page where control takes a session's token: without one it only shows."""
        return self._page.replace(_ELEMENT, "<agent-progress readonly>").encode()

    @cached_property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """What comes with it: only this script, this style and this host are allowed."""
        policy = "; ".join(
            (
                "default-src 'none'",
                f"script-src 'self' '{self._hash('script')}'",
                f"style-src '{self._hash('style')}'",
                "connect-src 'self'",
                "img-src data:",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'self'",
            )
        )
        return [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"referrer-policy", b"no-referrer"),
            (b"x-content-type-options", b"nosniff"),
            (b"content-security-policy", policy.encode()),
        ]

    @cached_property
    def _page(self) -> str:
        page = files(__package__ or "").joinpath("view.html").read_text(encoding="utf-8")
        return page.replace("{version}", build_name())

    def _hash(self, tag: str) -> str:
        """Returns what allows the text of the one inline element of this kind."""
        match = re.search(_INLINE.format(tag=tag), self._page, re.DOTALL)
        assert match is not None
        digest = hashlib.sha256(match[1].encode()).digest()
        return f"sha256-{base64.b64encode(digest).decode()}"


VIEW = _View()
