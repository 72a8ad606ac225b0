"""Writes docs/settings.md from the fields of `Settings`; a test fails when the two differ."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from agentprogress import Settings

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"

HEAD = """# Settings

Every number of the library. Pass them as keyword arguments, `Settings(heartbeat_interval=30)`, or
set `AGENTPROGRESS_HEARTBEAT_INTERVAL=30` and use `SessionRegistry.from_env()`. A value that is
unknown, out of range or at odds with another one is refused with a sentence. This page is written
by `scripts/settings_page.py`.

| setting | default | meaning |
|---|---|---|
"""


def render() -> str:
    """Returns the page."""
    rows = [
        f"| `{field.name}` | `{field.default!r}` | {field.metadata['doc']} |"
        for field in dataclasses.fields(Settings)
    ]
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
