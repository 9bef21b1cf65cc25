"""The results as plain text and as Markdown."""

from collections.abc import Iterator

from .claims import Verdict
from .results import Results
from .rows import Row
from .samples import METRICS

__all__ = ["claims_text", "markdown", "text"]


def _columns(lines: list[list[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *rest in lines:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        yield "  ".join([first.ljust(widths[0]), *cells]).rstrip()


def _block(results: Results, row: Row) -> Iterator[str]:
    metrics = results.metrics(row)
    lines = [[row.label, *(METRICS[metric].unit for metric in metrics), "vs ours"]]
    for peer in results.peers:
        spreads = [results.spread(row.name, peer.name, metric) for metric in metrics]
        main, ours = spreads[0] if spreads else None, _ours(results, row, metrics)
        ratio = f"{main.median / ours:.2f}" if main and ours else ""
        lines.append([f"  {peer.label}", *(str(spread or "-") for spread in spreads), ratio])
    problems = ["", *(results.problem(row.name, peer.name) for peer in results.peers)]
    for line, problem in zip(_columns(lines), problems, strict=True):
        yield f"{line}  {problem}".rstrip()


def _ours(results: Results, row: Row, metrics: list[str]) -> float:
    spread = results.spread(row.name, "ours", metrics[0]) if metrics else None
    return spread.median if spread else 0


def text(results: Results) -> str:
    """Return every figure of every row: median (min-max)."""
    blocks = ["\n".join(_block(results, row)) for row in results.rows]
    return "\n\n".join([*blocks, _notes(results)])


def _notes(results: Results) -> str:
    typical, largest = results.noise()
    method = (
        f"Medians of {results.rounds} fresh processes each (min-max), alternating.\n"
        f"Noise of the CPU figures: ±{typical:.0%} typically, ±{largest:.0%} at worst."
        if results.rounds > 1
        else "One fresh process each: the noise is unknown."
    )
    return f"{results.machine}.\n{results.versions}.\n{method}"


def _cell(results: Results, row: Row, peer: str, metric: str) -> str:
    spread = results.spread(row.name, peer, metric)
    problem = results.problem(row.name, peer)
    name = problem.partition(":")[0]
    if not spread:
        return name or "-"
    cell = str(spread)
    if problem and metric in {"cpu", "transfer"}:
        return f"{cell}, {name}"
    return cell


def markdown(results: Results) -> str:
    """Return one table with a line per figure and a column per client."""
    lines = [
        "| | " + " | ".join(peer.label for peer in results.peers) + " |",
        "|---" * (len(results.peers) + 1) + "|",
    ]
    for row in results.rows:
        for metric in results.metrics(row):
            if metric in {"server", "rate"}:
                continue
            label = f"{row.label}, {METRICS[metric].unit}"
            if row.kind == "start":
                label = f"{metric}, ms CPU"
            cells = [_cell(results, row, peer.name, metric) for peer in results.peers]
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *_notes(results).splitlines()]) + "\n"


def claims_text(verdicts: list[Verdict]) -> str:
    """Return the claims with what was measured."""
    lines = [["claim", "measured", ""]]
    for verdict in verdicts:
        bound = f"{'at least' if verdict.claim.at_least else 'at most'} {verdict.claim.bound:g}"
        measured = str(verdict.spread) if verdict.spread else "not measured for both"
        state = "holds" if verdict.holds else "within tolerance" if verdict.passes else "FAILS"
        lines.append([verdict.claim.text, f"{measured}, {bound}", state])
    return "\n".join(_columns(lines))
