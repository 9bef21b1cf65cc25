"""What the project promises about its speed, and whether a run bears it out."""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from .results import Results
from .samples import Spread

__all__ = ["CLAIMS", "ROOM", "Claim", "Verdict", "judge"]

ROOM: Final = 0.15
"""What noise may take from a promise before it counts as broken."""


class Figure(NamedTuple):
    """One cell of the table."""

    row: str
    peer: str
    metric: str = "cpu"


@dataclass(frozen=True)
class Claim:
    """A figure of ours, or the ratio of two figures from the same round, and its bound.

    Attributes:
        text: The claim in words.
        top: The figure.
        bottom: What it is divided by, if anything.
        bound: The number to compare with.
        at_least: Whether more is better.
        judged: Which of the rounds counts.
    """

    text: str
    top: Figure
    bottom: Figure | None
    bound: float
    at_least: bool = False
    judged: Literal["median", "low", "high"] = "median"

    @property
    def figures(self) -> list[Figure]:
        """What has to be measured."""
        return [self.top, self.bottom] if self.bottom else [self.top]

    def values(self, results: Results) -> list[float]:
        """The ratio, round by round."""
        tops = results.figures(*self.top)
        if not self.bottom:
            return [top for top in tops if top is not None]
        pairs = zip(tops, results.figures(*self.bottom), strict=False)
        return [top / bottom for top, bottom in pairs if top is not None and bottom]

    def allows(self, value: float, room: float = 0) -> bool:
        """Whether the value is within the bound, or out of it by no more than ``room``."""
        if self.at_least:
            return value >= self.bound * (1 - room)
        return value <= self.bound * (1 + room)


@dataclass(frozen=True)
class Verdict:
    """What a run says about a claim."""

    claim: Claim
    spread: Spread | None
    done: bool
    """Whether ours did the row."""

    @property
    def holds(self) -> bool:
        """Whether the median is within the bound."""
        return self._allows(0)

    @property
    def passes(self) -> bool:
        """Whether it is, with room for noise; a peer that cannot do the row is no obstacle."""
        return self._allows(ROOM)

    def _allows(self, room: float) -> bool:
        if not self.spread:
            return self.done
        return self.claim.allows(getattr(self.spread, self.claim.judged), room)


def _less(row: str, peer: str, times: float, metric: str = "cpu") -> Claim:
    text = f"{row}: {times:g}x less CPU than {peer}" if times > 1 else f"{row}: less than {peer}"
    top, bottom = Figure(row, peer, metric), Figure(row, "ours", metric)
    return Claim(text, top, bottom, times, at_least=True)


def _most(row: str, peer: str, times: float, metric: str = "cpu") -> Claim:
    text = f"{row}: at most {times:g}x the CPU of {peer}"
    return Claim(text, Figure(row, "ours", metric), Figure(row, peer, metric), times)


def _own(
    row: str,
    metric: str,
    bound: float,
    text: str,
    judged: Literal["median", "low", "high"] = "median",
) -> Claim:
    return Claim(f"{row}: {text}", Figure(row, "ours", metric), None, bound, judged=judged)


CLAIMS: Final = (
    _less("sequential", "openrouter", 8),
    _less("sequential", "openai", 2.5),
    _less("sequential", "httpx", 2),
    _less("concurrent-64", "openrouter", 10),
    _less("concurrent-64", "httpx", 4),
    _most("concurrent-64", "aiohttp", 2.2),
    _own("concurrent-512", "failures", 0, "no call fails", "high"),
    Claim(
        "concurrent-512: at most 1.6x the CPU at 64",
        Figure("concurrent-512", "ours"),
        Figure("concurrent-64", "ours"),
        1.6,
    ),
    _less("page", "openrouter", 2),
    _less("page", "openai", 10),
    _less("uploads-64", "openrouter", 8),
    _most("uploads-64", "aiohttp", 1.6),
    Claim(
        "bulk: 4x the files/s of openrouter",
        Figure("bulk", "ours", "rate"),
        Figure("bulk", "openrouter", "rate"),
        4,
        at_least=True,
    ),
    _own("upload", "memory", 8, "MiB of memory"),
    # Whatever else the machine does only ever adds to a pause.
    _own("upload", "pause", 10, "ms of pause in the calmest round", "low"),
    Claim(
        "upload: 1.2x the throughput of openrouter",
        Figure("upload", "ours", "throughput"),
        Figure("upload", "openrouter", "throughput"),
        1.2,
        at_least=True,
    ),
    _own("download", "memory", 8, "MiB of memory"),
    _most("download", "httpx", 1, "transfer"),
    _less("blocking", "openrouter", 5),
    _less("blocking", "openai", 1),
    _own("start", "construct", 1, "ms to construct"),
    _less("start", "openrouter", 1, "import"),
)


def judge(results: Results) -> list[Verdict]:
    """The claims whose rows and peers were measured, against the run."""
    verdicts = []
    for claim in CLAIMS:
        if any(figure[:2] not in results.samples for figure in claim.figures):
            continue
        values = claim.values(results)
        ours = next(figure for figure in claim.figures if figure.peer == "ours")
        done = results.spread(*ours) is not None
        verdicts.append(Verdict(claim, Spread.over(values) if values else None, done))
    return verdicts
