"""Probes that take turns with their parent: ready, go, an answer; each a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import MeasurementFailed
from ..servers import cpu_seconds, python_path, resident_bytes, stop

PROBES = "benchmarks.probes"


class Probe:
    """One of `benchmarks.probes` that speaks by `probes.turns`."""

    def __init__(self, module: str, process: subprocess.Popen[bytes]) -> None:
        self.module = module
        self.process = process

    def answer(self) -> Any:
        """Waits for the next line it prints; it ends by itself when it takes too long."""
        assert self.process.stdout is not None
        printed = self.process.stdout.readline()
        if not printed:
            raise MeasurementFailed(f"{self.module} ended before it had answered")
        return json.loads(printed)

    def go(self) -> None:
        """Lets it go on."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def cpu_seconds(self) -> float:
        """Returns the processor time it has used so far."""
        return cpu_seconds(self.process.pid)

    def resident_bytes(self) -> int:
        """Returns its resident memory."""
        return resident_bytes(self.process.pid)


@contextmanager
def probe(module: str, *arguments: str | int) -> Iterator[Probe]:
    """Runs a probe while the block runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"{PROBES}.{module}", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": python_path()},
    )
    try:
        yield Probe(module, process)
    finally:
        assert process.stdin is not None
        stop(process)
        process.stdin.close()
