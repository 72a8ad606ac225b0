"""The plot of docs/reconnect.md, drawn by hand: small panels that share their axes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

BIN = 0.1
LONGEST = 25
HIGHEST = 250
COLUMNS = 3
WIDTH, HEIGHT = 270, 150  # of a panel's axes
LEFT, TOP, GAP_X, GAP_Y = 52, 62, 30, 62

STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #57606a; }
  .title { font-weight: 600; fill: #24292f; }
  .grid { stroke: #8c959f; stroke-opacity: .3; }
  .axis { stroke: #8c959f; }
  .bound { stroke: #cf222e; stroke-dasharray: 5 3; }
  .back { fill: #0969da; }
  .failed { fill: #bf8700; }
  .limit { fill: #cf222e; }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1; }
    .title { fill: #f0f6fc; }
    .bound { stroke: #ff7b72; }
    .back { fill: #58a6ff; }
    .failed { fill: #e3b341; }
    .limit { fill: #ff7b72; }
  }
"""


@dataclass(frozen=True)
class Panel:
    """One restart, with the times of all attempts in seconds since the cut."""

    title: str
    down: float
    back: Sequence[float]
    failed: Sequence[float]


def draw(panels: Sequence[Panel], bound: int) -> str:
    """Returns the plot as SVG."""
    rows = -(-len(panels) // COLUMNS)
    width = LEFT + COLUMNS * (WIDTH + GAP_X)
    height = TOP + rows * (HEIGHT + GAP_Y)
    body = [
        _panel(panel, bound, *_place(index), first=index % COLUMNS == 0)
        for index, panel in enumerate(panels)
    ]
    about = "Handshakes in each 100 ms after a restart that cuts 10,000 clients at once"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">\n'
        f"<title>{about}</title>\n<style>{STYLE}</style>\n{_legend(bound)}\n"
        + "\n".join(body)
        + f'\n<text x="{LEFT}" y="{height - 12}">seconds since the cut</text>\n</svg>\n'
    )


def _place(index: int) -> tuple[int, int]:
    row, column = divmod(index, COLUMNS)
    return LEFT + column * (WIDTH + GAP_X), TOP + row * (HEIGHT + GAP_Y)


def _legend(bound: int) -> str:
    return (
        f'<rect class="back" x="{LEFT}" y="14" width="12" height="10"/>'
        f'<text x="{LEFT + 18}" y="23">handshakes in 100 ms</text>'
        f'<rect class="failed" x="{LEFT + 170}" y="14" width="12" height="10"/>'
        f'<text x="{LEFT + 188}" y="23">attempts while the server is down</text>'
        f'<path class="bound" d="M{LEFT + 410} 19h24"/>'
        f'<text x="{LEFT + 440}" y="23">bound: {bound}</text>'
    )


def _panel(panel: Panel, bound: int, x: int, y: int, *, first: bool) -> str:
    """Returns one panel whose axes begin at the given corner."""
    base = y + HEIGHT
    parts = [f'<text class="title" x="{x}" y="{y - 10}">{panel.title}</text>']
    for count in range(0, HIGHEST + 1, 50):
        height = base - round(count / HIGHEST * HEIGHT)
        parts.append(f'<path class="grid" d="M{x} {height}h{WIDTH}"/>')
        if first and count % 100 == 0:
            parts.append(f'<text x="{x - 8}" y="{height + 4}" text-anchor="end">{count}</text>')
    for second in range(0, LONGEST + 1, 5):
        at = x + round(second / LONGEST * WIDTH)
        parts.append(f'<path class="axis" d="M{at} {base}v4"/>')
        parts.append(f'<text x="{at}" y="{base + 18}" text-anchor="middle">{second}</text>')
    parts.append(_area("failed", panel.failed, x, base))
    parts.append(_area("back", panel.back, x, base))
    parts.append(f'<path class="axis" d="M{x} {base}h{WIDTH}"/>')
    height = base - round(bound / HIGHEST * HEIGHT)
    parts.append(f'<path class="bound" d="M{x} {height}h{WIDTH}"/>')
    return "\n".join(part for part in parts if part)


def _area(kind: str, times: Sequence[float], x: int, base: int) -> str:
    """Returns the counts of each 100 ms as one area of bars."""
    counts = Counter(int(time / BIN) for time in times)
    steps = [
        f"M{x + bin_ * BIN / LONGEST * WIDTH:.2f} {base}"
        f"v{-count / HIGHEST * HEIGHT:.1f}h{BIN / LONGEST * WIDTH:.2f}V{base}z"
        for bin_, count in sorted(counts.items())
        if bin_ * BIN < LONGEST
    ]
    return f'<path class="{kind}" d="{"".join(steps)}"/>' if steps else ""
