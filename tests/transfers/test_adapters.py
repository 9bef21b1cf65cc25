"""Progress on rich and tqdm bars, driven with events of a run."""

import io
import os
import random
import subprocess
import sys
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
    """Return the event with its item's outcome."""
    return evolve(event, outcome=Outcome(source=event.source, status=status), **changes)


@pytest.fixture
def display():
    """A rich display that is never started, so it draws nothing."""
    return Progress(console=Console(file=io.StringIO(), width=200, force_terminal=True))


@pytest.fixture
def make_bar():
    """Create tqdm bars that draw into memory."""
    bars = []

    def make(**options):
        bar = tqdm(file=io.StringIO(), **options)
        bars.append(bar)
        return bar

    yield make
    for bar in bars:
        bar.close()


def shown(display):
    """Return each task's description, completed amount and total."""
    return [(task.description, task.completed, task.total) for task in display.tasks]


def test_rich_shows_the_run_and_the_running_items(display):
    """An item's task is removed at its end; the run's stays."""
    show = rich_progress(display)
    assert shown(display) == [("all files", 0, None)]
    show(evolve(START, bytes_done=40, item_bytes=40))
    show(evolve(START, bytes_done=60, source="b.bin", item_bytes=20, item_size=None))
    assert shown(display) == [
        ("all files", 60, 300),
        ("a.bin", 40, 100),
        ("b.bin", 20, None),
    ]
    show(evolve(START, bytes_done=120, item_bytes=100))
    show(done(START, items_done=1, bytes_done=120, item_bytes=100))
    assert shown(display) == [("all files", 120, 300), ("b.bin", 20, None)]
    show(done(START, items_done=2, bytes_done=300, source="b.bin", item_bytes=200))
    assert shown(display) == [("all files", 300, 300)]


def test_rich_shows_no_tasks_for_small_items(display):
    """Thousands of files that are sent in one chunk do not flood the display."""
    show = rich_progress(display)
    highest = 0
    for number in range(1000):
        event = evolve(START, source=f"{number}", items_done=number)
        for step in (event, evolve(event, item_bytes=100), done(event, item_bytes=100)):
            show(step)
            highest = max(highest, len(display.tasks))
    assert highest == 1


def test_rich_shows_at_most_the_given_number_of_items(display):
    """Others are shown when those end."""
    show = rich_progress(display, shown=2)
    events = [evolve(START, source=name, item_bytes=1) for name in "abc"]
    for event in events:
        show(event)
    assert [words for words, _, _ in shown(display)] == ["all files", "a", "b"]
    show(done(events[0]))
    show(evolve(events[2], item_bytes=2))
    assert [words for words, _, _ in shown(display)] == ["all files", "b", "c"]


@pytest.mark.parametrize("total", [None, 0])
def test_rich_counts_items_if_the_bytes_are_unknown(display, total):
    """As for deletions; the first event decides for the whole run."""
    show = rich_progress(display, description="deleting")
    event = evolve(START, bytes_total=total)
    show(done(event, "deleted", items_done=1))
    show(done(event, "deleted", items_done=2, bytes_total=300, bytes_done=9))
    assert shown(display) == [("deleting", 2, 3)]


def test_rich_shows_a_run_without_a_total(display):
    """As for sources from a generator."""
    show = rich_progress(display)
    show(done(UNKNOWN, items_done=5))
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
def test_rich_shows_names_literally(display, source, words):
    """They are neither markup nor control sequences."""
    rich_progress(display)(evolve(START, source=source, item_bytes=1))
    console = Console(file=io.StringIO(), width=200)
    console.print(display.make_tasks_table(display.tasks))
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(words + " ")


def test_rich_draws_a_live_display():
    """To its end."""
    out = io.StringIO()
    with Progress(console=Console(file=out, width=100, force_terminal=True)) as progress:
        show = rich_progress(progress)
        show(evolve(START, bytes_done=50, item_bytes=50))
        show(done(START, items_done=3, bytes_done=300))
    assert "all files" in out.getvalue()
    assert "100%" in out.getvalue()


def test_tqdm_counts_bytes_if_the_unit_is_bytes(make_bar):
    """And sets the total."""
    bar = make_bar(unit="B", unit_scale=True)
    show = tqdm_progress(bar)
    for sent in (40, 40, 100, 250):
        show(evolve(START, bytes_done=sent))
        assert (bar.n, bar.total) == (sent, 300)


def test_tqdm_counts_items_otherwise(make_bar):
    """The total may be unknown at first."""
    bar = make_bar()
    show = tqdm_progress(bar)
    show(evolve(UNKNOWN, bytes_done=40))
    show(done(UNKNOWN, items_done=1, bytes_done=100))
    assert (bar.n, bar.total) == (1, None)
    show(done(START, items_done=2))
    assert (bar.n, bar.total) == (2, 3)


def test_tqdm_keeps_a_total_that_is_set(make_bar):
    """One bar can be used for several runs."""
    bar = make_bar(total=1000, unit="iB")
    for _ in range(2):
        show = tqdm_progress(bar)
        show(evolve(START, bytes_done=100))
        show(evolve(START, bytes_done=300))
    assert (bar.n, bar.total) == (600, 1000)


def test_tqdm_draws_its_bar():
    """To its end."""
    out = io.StringIO()
    with tqdm(file=out, unit="B", mininterval=0) as bar:
        show = tqdm_progress(bar)
        show(evolve(START, bytes_done=50))
        show(done(START, items_done=3, bytes_done=300))
    assert "300/300" in out.getvalue()


@given(
    counts=st.lists(st.tuples(*[st.integers(0, 300)] * 3), min_size=1, max_size=50),
    seed=st.integers(0, 99),
)
def test_bars_never_move_backwards(counts, seed):
    """For any events."""
    dice = random.Random(seed)
    display = Progress(console=Console(file=io.StringIO()))
    bar = tqdm(file=io.StringIO(), unit=dice.choice(["it", "B"]))
    callbacks = [rich_progress(display), tqdm_progress(bar)]
    highest = {}
    for items, size, part in counts:
        event = evolve(
            START, items_done=items, bytes_done=size, item_bytes=part, source=dice.choice("ab")
        )
        for show in callbacks:
            show(event)
        now = {task.id: task.completed for task in display.tasks} | {"bar": bar.n}
        assert all(highest.get(key, 0) <= value for key, value in now.items())
        assert now.keys() >= highest.keys()
        highest = now
    bar.close()


@pytest.mark.parametrize("total", [None, 5])
def test_a_tqdm_bar_that_is_off_shows_nothing(total):
    """As TQDM_DISABLE=1 or a pipe turns it off; it has hardly any attributes then."""
    with tqdm(unit="B", total=total, disable=True) as bar:
        show = tqdm_progress(bar)
        show(START)
        show(done(evolve(START, items_done=1, bytes_done=100)))
    assert bar.n == 0


def test_tqdm_is_off_by_its_environment_variable():
    """It is read when tqdm is imported."""
    code = (
        "from tqdm import tqdm; from openrouter_async.transfers import tqdm_progress\n"
        "tqdm_progress(tqdm(unit='B'))"
    )
    environment = {**os.environ, "TQDM_DISABLE": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_a_rich_display_that_is_off_shows_nothing():
    """It takes the calls."""
    show = rich_progress(Progress(disable=True))
    show(START)
    show(done(evolve(START, items_done=1, bytes_done=100)))
