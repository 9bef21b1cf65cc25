"""Measurements of one process, and statistics over several."""

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Final

__all__ = ["METRICS", "Metric", "Sample", "Spread"]


@dataclass
class Sample:
    """Measurements of one peer on one row in one process.

    Attributes:
        calls: Number of successful calls.
        cpu: CPU seconds of the client, all threads.
        wall: Elapsed seconds.
        bytes_each: Bytes per call, if the row measures throughput.
        failures: Number of failed calls by the error's name.
        memory: Growth of the peak memory in bytes.
        pause: Longest time in seconds between two ticks of a 1 ms ticker in the event loop.
        server: Share of the time that the server was busy.
        start: CPU seconds of import and of construction.
        error: Why nothing was measured, if so.
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
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the measured values for JSON."""
        return {key: value for key, value in asdict(self).items() if value not in (None, {}, 0)}


@dataclass(frozen=True)
class Metric:
    """A figure computed from a sample."""

    name: str
    unit: str
    less_is_better: bool = True

    def of(self, sample: Sample) -> float | None:
        """Return the figure, or None if the sample does not have it."""
        if sample.start:
            return {
                "import": sample.start[0] * 1e3,
                "construct": sample.start[1] * 1e3,
            }.get(self.name)
        if self.name == "failures":
            return None if sample.error else sum(sample.failures.values())
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
        Metric("cpu", "µs CPU per call"),
        Metric("rate", "calls/s", less_is_better=False),
        Metric("transfer", "ms CPU"),
        Metric("throughput", "MB/s", less_is_better=False),
        Metric("memory", "MiB growth of peak memory"),
        Metric("pause", "ms longest pause"),
        Metric("server", "% server busy"),
        Metric("failures", "failed calls"),
    )
}


@dataclass(frozen=True)
class Spread:
    """Median and range of a figure over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Return the spread of at least one value."""
        return cls(median(values), min(values), max(values))

    @property
    def noise(self) -> float:
        """Half of the range, relative to the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0

    def __str__(self) -> str:
        if self.low == self.high:
            return number(self.median)
        return f"{number(self.median)} ({number(self.low)}-{number(self.high)})"


def number(value: float) -> str:
    """Format with three significant digits, or all digits of the integer part."""
    for limit, template in ((10, "{:.2f}"), (100, "{:.1f}")):
        if abs(value) < limit:
            return template.format(value)
    return f"{value:,.0f}"
