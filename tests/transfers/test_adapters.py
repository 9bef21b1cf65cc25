"""Progress on the caller's bar: rich's and tqdm's own, driven with events of a run."""

import io
import random
from pathlib import Path
from types import SimpleNamespace

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.progress import Progress
from tqdm import tqdm

from openrouter_async.transfers.progress import rich_progress, tqdm_progress
from openrouter_async.transfers.results import Outcome, TransferProgress

START = TransferProgress(
    items_done=0,
    items_total=3,
    bytes_done=0,
    bytes_total=300,
    source="a.bin",
    item_bytes=0,
    item_size=100,
)
UNKNOWN = evolve(START, items_total=None, bytes_total=None)


def done(event, status="uploaded", **changes):
    """An event with its item's outcome."""
    return evolve(event, outcome=Outcome(source=event.source, status=status), **changes)


@pytest.fixture
def display():
    """A rich display that is never started, and so draws nothing."""
    return Progress(console=Console(file=io.StringIO(), width=200, force_terminal=True))


@pytest.fixture
def make_bar():
    """Makes tqdm bars that draw where nobody looks."""
    bars = []

    def make(**options):
        bar = tqdm(file=io.StringIO(), **options)
        bars.append(bar)
        return bar

    yield make
    for bar in bars:
        bar.close()


def shown(display):
    """What stands on the display: each task's words, how much is done, and of how much."""
    return [(task.description, task.completed, task.total) for task in display.tasks]


def test_rich_shows_the_run_and_the_items_under_way(display):
    """An item's task is gone with its end, the run's stays."""
    tell = rich_progress(display)
    assert shown(display) == [("all files", 0, None)]
    tell(evolve(START, bytes_done=40, item_bytes=40))
    tell(evolve(START, bytes_done=60, source="b.bin", item_bytes=20, item_size=None))
    assert shown(display) == [
        ("all files", 60, 300),
        ("a.bin", 40, 100),
        ("b.bin", 20, None),
    ]
    tell(evolve(START, bytes_done=120, item_bytes=100))
    tell(done(START, items_done=1, bytes_done=120, item_bytes=100))
    assert shown(display) == [("all files", 120, 300), ("b.bin", 20, None)]
    tell(done(START, items_done=2, bytes_done=300, source="b.bin", item_bytes=200))
    assert shown(display) == [("all files", 300, 300)]


def test_rich_gives_small_items_no_tasks(display):
    """Thousands of files that go in one chunk do not flood the display."""
    tell = rich_progress(display)
    most = 0
    for number in range(1000):
        event = evolve(START, source=f"{number}", items_done=number)
        for step in (event, evolve(event, item_bytes=100), done(event, item_bytes=100)):
            tell(step)
            most = max(most, len(display.tasks))
    assert most == 1


def test_rich_shows_only_so_many_items(display):
    """Others take the places of those that end."""
    tell = rich_progress(display, shown=2)
    events = [evolve(START, source=name, item_bytes=1) for name in "abc"]
    for event in events:
        tell(event)
    assert [words for words, _, _ in shown(display)] == ["all files", "a", "b"]
    tell(done(events[0]))
    tell(evolve(events[2], item_bytes=2))
    assert [words for words, _, _ in shown(display)] == ["all files", "b", "c"]


@pytest.mark.parametrize("total", [None, 0])
def test_rich_counts_items_where_the_bytes_are_unknown(display, total):
    """As when files are deleted; what is told first decides for the whole run."""
    tell = rich_progress(display, description="deleting")
    event = evolve(START, bytes_total=total)
    tell(done(event, "deleted", items_done=1))
    tell(done(event, "deleted", items_done=2, bytes_total=300, bytes_done=9))
    assert shown(display) == [("deleting", 2, 3)]


def test_rich_shows_a_run_without_an_end(display):
    """It has no total, and goes on."""
    tell = rich_progress(display)
    tell(done(UNKNOWN, items_done=5))
    assert shown(display) == [("all files", 5, None)]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Path("/data/set/x.jsonl"), "x.jsonl"),
        ("/data/set/x.jsonl", "x.jsonl"),
        ("or_file_011CNha8", "or_file_011CNha8"),
        (SimpleNamespace(filename="prefix/y.txt", name="else"), "y.txt"),
        (SimpleNamespace(name="/tmp/z.bin"), "z.bin"),
        (SimpleNamespace(name=7), "content"),
        (b"bytes", "content"),
        ([], "content"),
        ("[bold]a[/bold].txt", "bold].txt"),
        ("x[/nothing]", "nothing]"),
        ("\\[red]x", "\\[red]x"),
        ("two\nlines\x1b[31m", "two?lines?[31m"),
        ("\udce9.txt", "?.txt"),
    ],
    ids=repr,
)
def test_rich_calls_items_by_their_names(display, source, words):
    """Letter by letter: a name is neither markup nor a control sequence."""
    rich_progress(display)(evolve(START, source=source, item_bytes=1))
    console = Console(file=io.StringIO(), width=200)
    console.print(display.make_tasks_table(display.tasks))
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(words + " ")


def test_rich_draws_what_it_is_told():
    """On a live display, to its end."""
    out = io.StringIO()
    with Progress(console=Console(file=out, width=100, force_terminal=True)) as progress:
        tell = rich_progress(progress)
        tell(evolve(START, bytes_done=50, item_bytes=50))
        tell(done(START, items_done=3, bytes_done=300))
    assert "all files" in out.getvalue()
    assert "100%" in out.getvalue()


def test_tqdm_counts_bytes_if_its_unit_is_bytes(make_bar):
    """And takes the run's total."""
    bar = make_bar(unit="B", unit_scale=True)
    tell = tqdm_progress(bar)
    for sent in (40, 40, 100, 250):
        tell(evolve(START, bytes_done=sent))
        assert (bar.n, bar.total) == (sent, 300)


def test_tqdm_counts_items_otherwise(make_bar):
    """Of which it may not know how many there are."""
    bar = make_bar()
    tell = tqdm_progress(bar)
    tell(evolve(UNKNOWN, bytes_done=40))
    tell(done(UNKNOWN, items_done=1, bytes_done=100))
    assert (bar.n, bar.total) == (1, None)
    tell(done(START, items_done=2))
    assert (bar.n, bar.total) == (2, 3)


def test_tqdm_keeps_a_total_of_the_callers(make_bar):
    """One bar can stand for several runs."""
    bar = make_bar(total=1000, unit="iB")
    for _ in range(2):
        tell = tqdm_progress(bar)
        tell(evolve(START, bytes_done=100))
        tell(evolve(START, bytes_done=300))
    assert (bar.n, bar.total) == (600, 1000)


def test_tqdm_draws_what_it_is_told():
    """To its end."""
    out = io.StringIO()
    with tqdm(file=out, unit="B", mininterval=0) as bar:
        tell = tqdm_progress(bar)
        tell(evolve(START, bytes_done=50))
        tell(done(START, items_done=3, bytes_done=300))
    assert "300/300" in out.getvalue()


@given(
    counts=st.lists(st.tuples(*[st.integers(0, 300)] * 3), min_size=1, max_size=50),
    seed=st.integers(0, 99),
)
def test_no_bar_ever_runs_backwards(counts, seed):
    """Whatever the events say."""
    dice = random.Random(seed)
    display = Progress(console=Console(file=io.StringIO()))
    bar = tqdm(file=io.StringIO(), unit=dice.choice(["it", "B"]))
    tellers = [rich_progress(display), tqdm_progress(bar)]
    most = {}
    for items, size, part in counts:
        event = evolve(
            START, items_done=items, bytes_done=size, item_bytes=part, source=dice.choice("ab")
        )
        for tell in tellers:
            tell(event)
        now = {task.id: task.completed for task in display.tasks} | {"bar": bar.n}
        assert all(most.get(key, 0) <= value for key, value in now.items())
        assert now.keys() >= most.keys()
        most = now
    bar.close()
