"""Standard output, whose reader may go at any time."""

from __future__ import annotations

import os
import sys

__all__ = ["forget_output", "say"]


def say(line: str) -> None:
    """Prints a line at once; a reader that has gone is no error."""
    try:
        print(line, flush=True)
    except OSError:
        forget_output()


def forget_output() -> None:
    """Sends to nowhere what is still buffered: it would fail again when the interpreter exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
