"""What a server's command line names: the application that the environment asks for."""

from __future__ import annotations

import os

from .apps import build

__all__ = ["app"]

app = build(os.environ["CONFORMANCE_APP"])
