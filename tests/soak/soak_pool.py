"""The pool for as long as it takes: cancels and early answers by the thousand.

Not collected by name: ``pytest tests/soak/soak_pool.py``, or ``nox -s soak``. ``SOAK_CANCELS``
sets the total number of cancels, and ``SOAK_SEED`` the seed.
"""

import os
import random
from collections import Counter
from itertools import product

import pytest
from support.cancellation import KEY, cancel_at_random

from openrouter_async import AsyncOpenRouter, RetryConfig
from openrouter_async.errors import OpenRouterError

CANCELS = int(os.environ.get("SOAK_CANCELS", "20000"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
ROUNDS = list(product([False, True], [1, 20, 40, 200], [1, 10, 100]))
BODY = random.Random(0).randbytes(3_000_000)
STATUSES = {413: "PayloadTooLarge", 401: "Unauthorized", 429: "TooManyRequests"}

pytestmark = pytest.mark.timeout(3600)


def wire(tls):
    return "TLS" if tls else "plain"


@pytest.mark.parametrize(("tls", "concurrency", "pool"), ROUNDS)
async def test_cancels_at_random_moments_leave_nothing_behind(busy, table, tls, concurrency, pool):
    """No socket, no task, no slot; and the next calls succeed, as many as the pool has slots."""
    result = await cancel_at_random(
        busy,
        cancels=-(-CANCELS // len(ROUNDS)),
        concurrency=concurrency,
        pool=pool,
        tls=tls,
        seed=SEED,
    )
    problems = result.problems()
    kinds = ["native", "anyio", "doubled", "both"]
    table(
        "cancels at random moments",
        ["wire", "calls at once", "pool", *kinds, "finished", "slots", "left over", "seconds"],
        [
            wire(tls),
            concurrency,
            pool,
            *(result.cancels[kind] for kind in kinds),
            result.finished,
            f"{result.slots}/{result.pool}",
            "nothing" if result.clean else "see below",
            f"{result.seconds:.1f}",
        ],
    )
    assert problems == []


@pytest.mark.parametrize("split", ["whole", "split"])
@pytest.mark.parametrize("much", ["nothing", "half"])
@pytest.mark.parametrize("end", ["stay", "finish", "close", "reset"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_a_response_that_comes_early_wins(busy, table, tls, end, much, split):
    """Of 200 uploads at least 199 on plain TCP and 195 on TLS hear what it was."""
    seen = Counter()
    for number in range(200):
        status = list(STATUSES)[number % 3]
        url = busy.url(f"early-{status}-{end}-{much}-{split}", tls=tls)
        async with AsyncOpenRouter(
            KEY, server_url=url, retries=RetryConfig.none(), timeout=20
        ) as client:
            try:
                await client.files.upload(BODY, filename="x.bin")
            except OpenRouterError as error:
                name = type(error).__name__
                seen["heard" if name.startswith(STATUSES[status]) else repr(error)[:120]] += 1
    heard = seen.pop("heard", 0)
    table(
        "early answers heard",
        ["wire", "then", "body read", "response", "of 200", "others"],
        [wire(tls), end, much, split, heard, dict(seen) or "none"],
    )
    assert heard >= (195 if tls else 199), seen
