"""What one process measured, and what several make of it."""

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Final

__all__ = ["METRICS", "Metric", "Sample", "Spread"]


@dataclass
class Sample:
    """One peer, one row, one process.

    Attributes:
        calls: Calls that succeeded.
        cpu: CPU seconds of the client, all threads.
        wall: Seconds.
        bytes_each: Content per call, if the row is about throughput.
        failures: Calls that failed, by the error's name.
        memory: Growth of the peak memory in bytes.
        pause: Longest time in seconds between two ticks of a 1 ms ticker in the loop.
        server: Share of the time that the server was busy.
        start: CPU seconds of import and of construction.
        refused: Why there is nothing to measure, if so.
    """

    calls: int = 0
    cpu: float = 0
    wall: float = 0
    bytes_each: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    memory: int | None = None
    pause: float | None = None
    server: float | None = None
    start: tuple[float, float] | None = None
    refused: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON, without what was not measured."""
        return {key: value for key, value in asdict(self).items() if value not in (None, {}, 0)}


@dataclass(frozen=True)
class Metric:
    """A figure that follows from a sample."""

    name: str
    unit: str
    less_is_better: bool = True

    def of(self, sample: Sample) -> float | None:
        """The figure, or None if the sample has no such thing."""
        if sample.start:
            return {
                "import": sample.start[0] * 1e3,
                "construct": sample.start[1] * 1e3,
            }.get(self.name)
        if self.name == "failures":
            return None if sample.refused else sum(sample.failures.values())
        if not sample.calls:
            return None
        rate = sample.calls / sample.wall
        return {
            "cpu": None if sample.bytes_each else sample.cpu / sample.calls * 1e6,
            "rate": None if sample.bytes_each else rate,
            "transfer": sample.cpu / sample.calls * 1e3 if sample.bytes_each else None,
            "throughput": rate * sample.bytes_each / 1e6 if sample.bytes_each else None,
            "memory": None if sample.memory is None else sample.memory / 2**20,
            "pause": None if sample.pause is None else sample.pause * 1e3,
            "server": None if sample.server is None else sample.server * 100,
        }.get(self.name)


METRICS: Final = {
    metric.name: metric
    for metric in (
        Metric("import", "ms CPU, import"),
        Metric("construct", "ms CPU, construct"),
        Metric("cpu", "µs CPU a call"),
        Metric("rate", "calls/s", less_is_better=False),
        Metric("transfer", "ms CPU"),
        Metric("throughput", "MB/s", less_is_better=False),
        Metric("memory", "MiB more at the peak"),
        Metric("pause", "ms longest pause"),
        Metric("server", "% server busy"),
        Metric("failures", "calls that failed"),
    )
}


@dataclass(frozen=True)
class Spread:
    """A figure over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def over(cls, values: list[float]) -> "Spread":
        """Of at least one value."""
        return cls(median(values), min(values), max(values))

    @property
    def noise(self) -> float:
        """Half of what lies between the extremes, as a share of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0

    def __str__(self) -> str:
        if self.low == self.high:
            return number(self.median)
        return f"{number(self.median)} ({number(self.low)}-{number(self.high)})"


def number(value: float) -> str:
    """Three digits, or all that stand before the point."""
    for limit, form in ((10, "{:.2f}"), (100, "{:.1f}")):
        if abs(value) < limit:
            return form.format(value)
    return f"{value:,.0f}"
