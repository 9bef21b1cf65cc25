"""Both APIs, driven at random on both clients, beside a model of plain dicts."""

import asyncio
import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from support.clients import AwaitableSyncClient

from openrouter_async import AsyncOpenRouter

from .account import Setup
from .machine import Machine

LONG = bool(os.environ.get("FAULTS_LONG"))
EXAMPLES = {AsyncOpenRouter: 20, AwaitableSyncClient: 10}
"""The sync client takes twice as long."""


@pytest.mark.timeout(1_200)  # most of it to make a failure's steps few
@pytest.mark.parametrize("client_class", EXAMPLES, ids=["async", "sync"])
def test_the_service_does_what_a_model_of_it_does(client_class, emulator):
    """Any calls in any order: the same answers, the same refusals, and the same left at the end."""
    with asyncio.Runner() as runner:
        drive = settings(
            max_examples=EXAMPLES[client_class] * (25 if LONG else 1),
            stateful_step_count=60,
            suppress_health_check=[*HealthCheck],  # an example is as slow as its calls
        )
        setup = Setup(client_class, runner, emulator)
        client = setup.client(emulator.management_key)
        try:
            run_state_machine_as_test(lambda: Machine(setup, client), settings=drive)
        finally:
            runner.run(client.aclose())
