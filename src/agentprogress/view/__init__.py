"""The page behind ``/sessions/{id}/view``: plain files put together once, under a strict policy."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files

__all__ = ["VIEW"]

_STYLE = "<!-- style -->"
_SCRIPT = re.compile(r"<!-- script: (?P<names>[\w. ]+) -->")


@dataclass(frozen=True)
class _View:
    """The page and its headers, read from the package when first asked for."""

    @cached_property
    def body(self) -> bytes:
        """The page with its style and scripts inlined: it needs no other request."""
        page = self._read("view.html")
        page = page.replace(_STYLE, f"<style>{self._style}</style>")
        return _SCRIPT.sub(
            lambda _: f'<script type="module">{self._script}</script>', page
        ).encode()

    @cached_property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """What comes with it: only this very script and style may run, only this host be asked."""
        policy = "; ".join(
            (
                "default-src 'none'",
                f"script-src '{_hash(self._script)}'",
                f"style-src '{_hash(self._style)}'",
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
    def _style(self) -> str:
        return self._read("view.css")

    @cached_property
    def _script(self) -> str:
        match = _SCRIPT.search(self._read("view.html"))
        assert match is not None
        return "\n".join(self._read(name) for name in match["names"].split())

    @staticmethod
    def _read(name: str) -> str:
        return files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


VIEW = _View()
