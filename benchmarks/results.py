"""The samples of a run, and the figures computed from them."""

import os
import platform
from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from .peers import Peer
from .rows import Row
from .samples import METRICS, Sample, Spread

__all__ = ["Results", "machine"]


def machine() -> str:
    """Describe the machine of the run."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line for line in lines if line.startswith("model name")).partition(": ")[2]
    except (OSError, StopIteration):
        pass
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, {platform.system()}, {os.cpu_count()} cores of {model}{load}"


def _version(peer: Peer) -> str:
    if not peer.distribution:
        return platform.python_version()
    try:
        return version(peer.distribution)
    except PackageNotFoundError:
        return "?"


@dataclass
class Results:
    """Samples by row and peer, one per round."""

    rows: list[Row]
    peers: list[Peer]
    machine: str
    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)

    def add(self, row: Row, peer: Peer, sample: Sample) -> None:
        """Add the sample of one process."""
        self.samples.setdefault((row.name, peer.name), []).append(sample)

    def figures(self, row: str, peer: str, metric: str) -> list[float | None]:
        """Return one figure for each round."""
        return [METRICS[metric].of(sample) for sample in self.samples.get((row, peer), [])]

    def spread(self, row: str, peer: str, metric: str) -> Spread | None:
        """Return the spread of one figure over the rounds that have it."""
        values = [value for value in self.figures(row, peer, metric) if value is not None]
        return Spread.of(values) if values else None

    def metrics(self, row: Row) -> list[str]:
        """Return the names of the metrics that this row has."""
        return [
            metric
            for metric in METRICS
            if metric != "failures"
            and any(self.spread(row.name, p.name, metric) for p in self.peers)
        ]

    def problem(self, row: str, peer: str) -> str:
        """Return how calls failed, or why there were none."""
        samples = self.samples.get((row, peer), [])
        error = next((sample.error for sample in samples if sample.error), None)
        if error:
            return error
        failures = sum((Counter(sample.failures) for sample in samples), Counter[str]())
        calls = sum(sample.calls for sample in samples) + failures.total()
        named = sorted(failures.items(), key=lambda item: item[0] == "unfinished")
        return ", ".join(f"{name}: {count} of {calls}" for name, count in named)

    def noise(self) -> tuple[float, float]:
        """Return the median and the largest spread of the CPU figures."""
        spreads = [
            spread.noise
            for row, peer in self.samples
            for spread in [self.spread(row, peer, "cpu") or self.spread(row, peer, "transfer")]
            if spread
        ]
        return (median(spreads), max(spreads)) if spreads else (0, 0)

    @property
    def versions(self) -> str:
        """The versions of the clients."""
        return ", ".join(
            f"{peer.label} {_version(peer)}" for peer in self.peers if peer.distribution
        )

    @property
    def rounds(self) -> int:
        """Number of processes per figure."""
        return max(map(len, self.samples.values()), default=0)

    def as_dict(self) -> dict[str, Any]:
        """Return all measurements as JSON values."""
        return {
            "machine": self.machine,
            "versions": {p.name: _version(p) for p in self.peers},
            "rounds": self.rounds,
            "rows": {
                row.name: {
                    peer.name: [sample.as_dict() for sample in self.samples[row.name, peer.name]]
                    for peer in self.peers
                    if (row.name, peer.name) in self.samples
                }
                for row in self.rows
            },
            "noise": dict(zip(("median", "largest"), self.noise(), strict=True)),
        }
