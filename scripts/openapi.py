"""Writes docs/openapi.json from the models of the JSON routes; a test fails when the two differ."""

from __future__ import annotations

import json
from pathlib import Path

from agentprogress._schema import openapi

PAGE = Path(__file__).parent.parent / "docs" / "openapi.json"


def render() -> str:
    """Returns the document."""
    return json.dumps(openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
