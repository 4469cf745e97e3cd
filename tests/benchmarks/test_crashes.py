"""The short version of `python -m benchmarks crashes`: real gateways, killed under load, and the ledger is right."""

import contextlib
import os

import pytest

from benchmarks.crashes.command import Outage, crash
from benchmarks.crashes.postgres import postgres
from benchmarks.processes import NotMeasurable
from gateway.settings import sqlite_url

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def test_kills_at_random_lose_and_double_no_usage_on_sqlite(tmp_path) -> None:
    outcome = crash(tmp_path, sqlite_url(tmp_path), kills=12, seed=4)
    assert outcome.holds, outcome
    assert (outcome.lost, outcome.doubled, outcome.strangers) == ([], [], [])
    assert outcome.cut > 0
    assert outcome.recorded >= outcome.answered > 100


def test_kills_at_random_while_postgresql_comes_and_goes_lose_and_double_no_usage(tmp_path) -> None:
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(postgres())
        except NotMeasurable as missing:
            pytest.fail(str(missing)) if os.environ.get("CI") else pytest.skip(str(missing))
        outcome = crash(tmp_path, server.url, 6, 5, Outage(5.0, server.stop, server.start))
    assert outcome.holds, outcome
    assert outcome.cut > 0
    assert outcome.answered > 100
