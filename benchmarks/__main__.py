"""Compare clients: ``python -m benchmarks [--quick] [--check] [--rows …] [--peers …]``."""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from .claims import CLAIMS, TOLERANCE, check_claims
from .peers import PEERS, Peer
from .plot import svg
from .processes import Cores, measure, run_emulator, run_server
from .results import Results, machine
from .rows import ROWS, Row
from .tables import claims_text, markdown, text
from .workload import Workload

__all__ = ["main"]


def _names(known: Iterable[str]) -> str:
    return f"comma-separated: {', '.join(known)}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round of fewer rows")
    parser.add_argument("--check", action="store_true", help="exit 1 if a claim fails")
    parser.add_argument("--rounds", type=int, help="processes per figure (3; 5 with --check)")
    parser.add_argument("--rows", help=_names(ROWS))
    parser.add_argument("--peers", help=_names(PEERS))
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"), help="output folder")
    return parser


def _select(parser: argparse.ArgumentParser, known: Iterable[str], names: str | None) -> list[str]:
    chosen = names.split(",") if names else list(known)
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; {_names(known)}")
    return [name for name in known if name in chosen]


def _run(rows: list[Row], peers: list[Peer], rounds: int, scale: float, *, check: bool) -> Results:
    claimed = {figure[:2] for claim in CLAIMS for figure in claim.figures}
    results = Results(rows, peers, machine())
    cores = Cores.separate()
    if not cores.client:
        print("the client and the server share their cores", file=sys.stderr)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        base = emulated = stack.enter_context(run_server(cores, folder))
        if any(row.emulated for row in rows):
            emulated = stack.enter_context(run_emulator(cores))
        Workload(folder).write()
        for peer in peers:  # discarded: the first import compiles the sources
            measure(ROWS["start"], peer, base, folder, scale, cores)
        for number in range(rounds):
            for row in rows:
                _progress(f"round {number + 1} of {rounds}: {row.label}")
                for peer in peers:
                    if check and (row.name, peer.name) not in claimed:
                        continue
                    if row.peers and peer.name not in row.peers:
                        continue
                    server = emulated if row.emulated else base
                    results.add(row, peer, measure(row, peer, server, folder, scale, cores))
    _progress("")
    return results


def _progress(message: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\33[K{message}", end="", file=sys.stderr, flush=True)


def _write(results: Results, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    document = json.dumps(results.as_dict(), indent=1)
    for name, content in (
        ("benchmarks.json", document),
        ("benchmarks.md", markdown(results)),
        ("benchmarks.svg", svg(results)),
    ):
        (folder / name).write_text(content, encoding="utf-8")
    print(f"\nWrote {folder}/benchmarks.json, .md, .svg")


def main() -> int:
    """Measure, print and write the results; with ``--check``, test the claims."""
    parser = _parser()
    options = parser.parse_args()
    rows, peers = list(ROWS), list(PEERS)
    if options.check:
        figures = [figure for claim in CLAIMS for figure in claim.figures]
        rows = [name for name in rows if name in {figure.row for figure in figures}]
        peers = [name for name in peers if name in {figure.peer for figure in figures}]
    elif options.quick and not options.rows:
        rows = [name for name in rows if ROWS[name].quick]
    rounds = options.rounds or (5 if options.check else 1 if options.quick else 3)
    results = _run(
        [ROWS[name] for name in _select(parser, rows, options.rows)],
        [PEERS[name] for name in _select(parser, peers, options.peers)],
        rounds,
        1 / 3 if options.quick or options.check else 1,
        check=options.check,
    )
    verdicts = check_claims(results)
    print(text(results))
    if verdicts:
        print("\n" + claims_text(verdicts))
    if not options.check:
        print("\n" + markdown(results), end="")
        _write(results, options.out)
        return 0
    failed = [verdict.claim.text for verdict in verdicts if not verdict.passes]
    print(f"\nWith a tolerance of {TOLERANCE:.0%}: " + ("; ".join(failed) or "all hold"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
