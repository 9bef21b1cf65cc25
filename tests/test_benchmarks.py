"""The benchmark: how it counts, checks claims, and that it runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAD = b"POST /api/v1/files HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\n%s\r\n\r\n"


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)


def body(content):
    return (
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        + content
        + b"\r\n--b--\r\n"
    )


def chunked(data, size):
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def count(head, data, step):
    from benchmarks.multipart import UploadCounter

    counter = UploadCounter(head)
    chunks = [data[start : start + step] for start in range(0, len(data), step)]
    ended = [counter.feed(memoryview(chunk)) for chunk in chunks]
    assert ended == [False] * (len(chunks) - 1) + [True]
    return counter.size


@pytest.mark.parametrize("step", [1, 7, 300, 100_000])
@pytest.mark.parametrize("content", [b"", b"x", b"\r\n--", b"abc" * 1000])
def test_the_server_counts_only_the_bytes_of_the_file(content, step):
    """For both framings, and for chunks of any size from the socket."""
    data = body(content)
    assert count(HEAD % b"content-length: %d" % len(data), data, step) == len(content)
    sent = chunked(data, 100)
    assert count(HEAD % b"Transfer-Encoding: chunked", sent, step) == len(content)


def test_a_claim_is_checked_with_the_ratio_of_each_round():
    """The median of the ratios counts; a row that only a peer cannot do passes, ours fails."""
    from benchmarks.claims import CLAIMS, check_claims
    from benchmarks.peers import PEERS
    from benchmarks.results import Results
    from benchmarks.rows import ROWS
    from benchmarks.samples import Sample

    row = ROWS["sequential"]
    results = Results([row], [], "a machine")
    bounds = {
        claim.top.peer: claim.bound
        for claim in CLAIMS
        if claim.top.row == "sequential" and claim.at_least
    }
    for ours, share in ((1, 1), (10, 1.25), (1, 0.5)):
        results.add(row, PEERS["ours"], Sample(calls=1, cpu=ours, wall=1))
        theirs = ours * share * bounds["httpx"]
        results.add(row, PEERS["httpx"], Sample(calls=1, cpu=theirs, wall=1))
        results.add(row, PEERS["openai"], Sample(error="PoolTimeout"))
        theirs = ours * 0.9 * bounds["openrouter"]
        results.add(row, PEERS["openrouter"], Sample(calls=1, cpu=theirs, wall=1))
    verdicts = {verdict.claim.top.peer: verdict for verdict in check_claims(results)}
    assert verdicts.keys() == bounds.keys()
    httpx = verdicts["httpx"]
    assert (httpx.spread.median, httpx.holds) == (bounds["httpx"], True)
    assert verdicts["openai"].passes
    openrouter = verdicts["openrouter"]
    assert (openrouter.holds, openrouter.passes) == (False, True)
    results.samples["sequential", "ours"] = [Sample(error="ReadError")] * 3
    assert not any(verdict.passes for verdict in check_claims(results))


def test_a_run_writes_a_table_a_plot_and_its_figures(tmp_path):
    """For the clients that are installed with the tests."""
    options = ["--quick", "--peers", "raw,ours", "--rows", "start,page,uploads-16,sync"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *options, "--out", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    table = (tmp_path / "benchmarks.md").read_text()
    assert table in done.stdout
    assert "<svg" in (tmp_path / "benchmarks.svg").read_text()
    rows = json.loads((tmp_path / "benchmarks.json").read_text())["rows"]
    assert set(rows) == {"start", "page", "uploads-16", "sync"}
    for row in rows.values():
        assert not any("error" in sample for samples in row.values() for sample in samples)
