"""The one error of the benchmarks."""


class MeasurementFailed(Exception):
    """A figure could not be taken: a lost event, a dead server, a peer that is not installed."""
