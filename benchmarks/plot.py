"""CPU figures as an SVG plot that follows the reader's light or dark mode."""

from html import escape
from typing import Final

from .results import Results
from .rows import Row
from .samples import Spread, number

__all__ = ["svg"]

_PANELS: Final = (
    "sequential",
    "concurrent-64",
    "concurrent-512",
    "page",
    "uploads-64",
    "sync",
    "upload",
    "download",
)
_COLUMNS: Final = 2
_WIDTH: Final = 440
_LABEL: Final = 130
_BAR: Final = 210
_LINE: Final = 20
_STYLE: Final = """
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; }
.peer { text-anchor: end; }
.note { fill: #59636e; font-size: 11px; }
.bar { fill: #8c959f; }
.ours { fill: #1a7f37; }
.range { stroke: #1f2328; stroke-width: 1; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .note { fill: #9198a1; }
  .bar { fill: #656c76; }
  .ours { fill: #3fb950; }
  .range { stroke: #f0f6fc; }
}
"""


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(text)}</text>'


def _bar(y: float, spread: Spread, scale: float, kind: str, note: str) -> list[str]:
    width = spread.median * scale
    low, high = _LABEL + spread.low * scale, _LABEL + spread.high * scale
    middle, thick = y + _LINE / 2 - 2, _LINE - 5
    return [
        f'<rect x="{_LABEL}" y="{y}" width="{width:.1f}" height="{thick}" class="{kind}"/>',
        f'<line x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}" class="range"/>',
        _text(_LABEL + max(width, high - _LABEL) + 5, y + 12, f"{number(spread.median)} {note}"),
    ]


def _panel(results: Results, row: Row) -> list[str]:
    metric = "transfer" if row.kind in {"upload", "download"} else "cpu"
    spreads = {peer.name: results.spread(row.name, peer.name, metric) for peer in results.peers}
    largest = max((spread.high for spread in spreads.values() if spread), default=0)
    if not largest:
        return []
    unit = "ms" if metric == "transfer" else "µs per call"
    parts = [_text(0, 14, f"{row.label}: CPU, {unit}", "title")]
    y = 24
    for peer in results.peers:
        parts.append(_text(_LABEL - 6, y + 12, peer.label, "peer"))
        spread, problem = spreads[peer.name], results.problem(row.name, peer.name).partition(":")[0]
        if spread:
            kind = "ours" if peer.name == "ours" else "bar"
            parts += _bar(y, spread, _BAR / largest, kind, problem)
        else:
            parts.append(_text(_LABEL, y + 12, problem or "-", "note"))
        y += _LINE
    return parts


def svg(results: Results) -> str:
    """Return the plot: one panel of bars for each main row."""
    panels = [_panel(results, row) for row in results.rows if row.name in _PANELS]
    panels = [panel for panel in panels if panel]
    height = 24 + _LINE * len(results.peers) + 20
    drawn = [
        f'<g transform="translate({10 + index % _COLUMNS * _WIDTH},'
        f'{10 + index // _COLUMNS * height})">{"".join(panel)}</g>'
        for index, panel in enumerate(panels)
    ]
    total = 10 + -(-len(panels) // _COLUMNS) * height + 10
    note = f"Medians of {results.rounds}, lines from min to max. {results.machine}."
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_COLUMNS * _WIDTH + 20}" '
        f'height="{total + 10}" role="img" aria-label="CPU time by client">'
        f"<style>{_STYLE}</style>{''.join(drawn)}{_text(10, total, note, 'note')}</svg>\n"
    )
