"""The project's claims about its speed, and how a run is checked against them."""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from .results import Results
from .samples import Spread

__all__ = ["CLAIMS", "TOLERANCE", "Claim", "Verdict", "check_claims"]

TOLERANCE: Final = 0.15
"""Share of a claim's bound by which noise may exceed it."""


class Figure(NamedTuple):
    """One cell of the table."""

    row: str
    peer: str
    metric: str = "cpu"


@dataclass(frozen=True)
class Claim:
    """A bound on one of our figures, or on the ratio of two figures from the same round.

    Attributes:
        text: The claim in words.
        top: The figure.
        bottom: The figure to divide it by, if any.
        bound: The number to compare with.
        at_least: Whether the bound is a minimum instead of a maximum.
        statistic: Which value of the rounds is compared.
    """

    text: str
    top: Figure
    bottom: Figure | None
    bound: float
    at_least: bool = False
    statistic: Literal["median", "low", "high"] = "median"

    @property
    def figures(self) -> list[Figure]:
        """The figures to measure."""
        return [self.top, self.bottom] if self.bottom else [self.top]

    def values(self, results: Results) -> list[float]:
        """The value for each round."""
        tops = results.figures(*self.top)
        if not self.bottom:
            return [top for top in tops if top is not None]
        pairs = zip(tops, results.figures(*self.bottom), strict=False)
        return [top / bottom for top, bottom in pairs if top is not None and bottom]

    def allows(self, value: float, tolerance: float = 0) -> bool:
        """Whether the value is within the bound, give or take ``tolerance``."""
        if self.at_least:
            return value >= self.bound * (1 - tolerance)
        return value <= self.bound * (1 + tolerance)


@dataclass(frozen=True)
class Verdict:
    """Result of a claim in one run."""

    claim: Claim
    spread: Spread | None
    done: bool
    """Whether our client completed the row."""

    @property
    def holds(self) -> bool:
        """Whether the median is within the bound."""
        return self._allows(0)

    @property
    def passes(self) -> bool:
        """Whether it holds with tolerance for noise; also if the peer cannot do the row."""
        return self._allows(TOLERANCE)

    def _allows(self, tolerance: float) -> bool:
        if not self.spread:
            return self.done
        return self.claim.allows(getattr(self.spread, self.claim.statistic), tolerance)


def _less_cpu(row: str, peer: str, times: float, metric: str = "cpu") -> Claim:
    text = f"{row}: {times:g}x less CPU than {peer}" if times > 1 else f"{row}: less than {peer}"
    top, bottom = Figure(row, peer, metric), Figure(row, "ours", metric)
    return Claim(text, top, bottom, times, at_least=True)


def _at_most(row: str, peer: str, times: float, metric: str = "cpu") -> Claim:
    text = f"{row}: at most {times:g}x the CPU of {peer}"
    return Claim(text, Figure(row, "ours", metric), Figure(row, peer, metric), times)


def _per_call_as(row: str, other: str, times: float) -> Claim:
    text = f"{row}: at most {times:g}x the CPU of {other}"
    return Claim(text, Figure(row, "ours"), Figure(other, "ours"), times)


def _ours_at_most(
    row: str,
    metric: str,
    bound: float,
    text: str,
    statistic: Literal["median", "low", "high"] = "median",
) -> Claim:
    claim = f"{row}: at most {bound:g} {text}"
    return Claim(claim, Figure(row, "ours", metric), None, bound, statistic=statistic)


CLAIMS: Final = (
    _less_cpu("sequential", "openrouter", 21),
    _less_cpu("sequential", "openai", 5.4),
    _less_cpu("sequential", "httpx", 4.2),
    _at_most("sequential", "aiohttp", 0.78),
    _less_cpu("concurrent-64", "openrouter", 52),
    _less_cpu("concurrent-64", "openai", 11),
    _less_cpu("concurrent-64", "httpx", 19),
    _at_most("concurrent-64", "aiohttp", 0.78),
    _at_most("concurrent-512", "aiohttp", 0.78),
    _ours_at_most("concurrent-512", "failures", 0, "failed calls", "high"),
    _per_call_as("concurrent-512", "concurrent-64", 1.25),
    _per_call_as("concurrent-4096", "concurrent-64", 1.25),
    _at_most("tls-sequential", "aiohttp", 1),
    _at_most("tls-64", "aiohttp", 0.78),
    _less_cpu("page", "openrouter", 2),
    _less_cpu("page", "openai", 13),
    _at_most("page", "aiohttp", 1.6),
    _less_cpu("uploads-64", "openrouter", 15),
    _at_most("uploads-64", "aiohttp", 0.83),
    _per_call_as("bulk", "bulk-gather", 1.3),
    Claim(
        "bulk: 12x the files/s of openrouter",
        Figure("bulk", "ours", "rate"),
        Figure("bulk", "openrouter", "rate"),
        12,
        at_least=True,
    ),
    _at_most("upload", "aiohttp", 0.72, "transfer"),
    _ours_at_most("upload", "memory", 3, "MiB of memory"),
    # Other load on the machine can only lengthen a pause, so the shortest counts.
    _ours_at_most("upload", "pause", 5, "ms of pause in the calmest round", "low"),
    Claim(
        "upload: 1.8x the throughput of openrouter",
        Figure("upload", "ours", "throughput"),
        Figure("upload", "openrouter", "throughput"),
        1.8,
        at_least=True,
    ),
    _at_most("tls-upload", "aiohttp", 0.92, "transfer"),
    _ours_at_most("download", "memory", 3, "MiB of memory"),
    _at_most("download", "aiohttp", 0.85, "transfer"),
    _at_most("download", "httpx", 0.28, "transfer"),
    _at_most("tls-download", "aiohttp", 1.15, "transfer"),
    _less_cpu("sync", "openrouter", 9.4),
    _less_cpu("sync", "openai", 2.1),
    _at_most("sync", "httpx", 0.67),
    _ours_at_most("start", "construct", 1, "ms to construct"),
    _less_cpu("start", "openrouter", 0.95, "import"),
)
"""What README.md of this folder shows, each within a tenth of the measured median."""


def check_claims(results: Results) -> list[Verdict]:
    """Check the claims whose rows and peers were measured."""
    verdicts = []
    for claim in CLAIMS:
        if any(figure[:2] not in results.samples for figure in claim.figures):
            continue
        values = claim.values(results)
        ours = next(figure for figure in claim.figures if figure.peer == "ours")
        done = results.spread(*ours) is not None
        verdicts.append(Verdict(claim, Spread.of(values) if values else None, done))
    return verdicts
