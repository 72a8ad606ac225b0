"""Figures for agentprogress beside the ways people do the same today; `python -m benchmarks`.

Every figure is a median of interleaved rounds of one run, and speed is judged by ratios inside
that run, never by absolute numbers from two machines or two days.
"""
