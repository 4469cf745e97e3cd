"""The short version of `python -m benchmarks batches`: a gateway is killed half-way, and nothing is lost or doubled."""

import contextlib
import os

import pytest

from benchmarks.batches.command import measure, tables
from benchmarks.crashes.postgres import postgres
from benchmarks.processes import NotMeasurable
from gateway.settings import sqlite_url

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
SHORT = {"lines": 1500, "mean": 12.0, "rate": 10.0, "quiet": 1.0, "fake": True}


def test_a_kill_half_way_loses_and_doubles_nothing_on_sqlite(tmp_path) -> None:
    measured = measure(tmp_path, sqlite_url(tmp_path), **SHORT)
    assert measured.outcome.holds, measured
    assert 750 <= measured.killed_at < 1500
    assert measured.unanswered > 0
    assert all(row for table in tables(measured) for row in table.rows)


def test_a_kill_half_way_loses_and_doubles_nothing_on_postgresql(tmp_path) -> None:
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(postgres())
        except NotMeasurable as missing:
            pytest.fail(str(missing)) if os.environ.get("CI") else pytest.skip(str(missing))
        measured = measure(tmp_path, server.url, **SHORT)
    assert measured.outcome.holds, measured
    assert 750 <= measured.killed_at < 1500
