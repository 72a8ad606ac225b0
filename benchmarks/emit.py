"""The figures of emitting without subscribers, from a process of its own."""

import json

from .figures import Figure, Target, ratios
from .probes.costs import EmitCosts
from .servers import run_child


def figures(rounds: int) -> list[Figure]:
    """Measures, and returns what is judged beside what it is made of."""
    costs = EmitCosts(**json.loads(run_child(f"{__package__}.probes.emit", str(rounds))))
    return [
        Figure("model made and encoded, nothing else", costs.model, "us"),
        Figure("emit(model), no subscribers", costs.emit, "us", Target(10.0)),
        Figure("emit(model) / model alone", ratios(costs.emit, costs.model), "x", Target(3.0)),
        Figure("log(line), no subscribers", costs.log, "us"),
        Figure("log(line) / model alone", ratios(costs.log, costs.model), "x"),
        Figure("log(line), CPU later in the loop", costs.later, "us"),
    ]
