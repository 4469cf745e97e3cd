import csv
import io
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime

import pytest


@pytest.fixture
def tenant(shoal) -> str:
    return shoal("tenant", "create", "acme", "--json").json["id"]


def test_without_dates_it_is_this_month_until_now(shoal, record, tenant) -> None:
    record(tenant, datetime.now(UTC), datetime(2020, 1, 1, tzinfo=UTC))
    [row] = csv.DictReader(io.StringIO(shoal("usage", "export", "--tenant", "acme").out))
    assert (row["tenant"], row["tokens"], row["inputs"], row["status"]) == ("acme", "7", "2", "200")


def test_dates_say_from_which_day_and_before_which(shoal, record, tenant) -> None:
    record(tenant, *(datetime(2026, 11, day, 12, tzinfo=UTC) for day in (1, 2, 3)))
    words = ("usage", "export", "--tenant", tenant, "--from", "2026-11-02", "--to", "2026-11-03", "--format", "jsonl")
    [line] = shoal(*words).out.splitlines()
    assert json.loads(line)["time"] == "2026-11-02T12:00:00.000Z"


def test_what_can_not_be_done_is_one_sentence(run, refused, data_dir, tenant) -> None:
    assert "'2026-13-01' is no date" in refused("usage", "export", "--tenant", "acme", "--from", "2026-13-01")
    assert "No tenant is called 'nobody'" in refused("usage", "export", "--tenant", "nobody")
    backwards = ("--from", "2026-11-02", "--to", "2026-11-01")
    assert "is empty" in refused("usage", "export", "--tenant", "acme", *backwards)
    assert run("usage", "export", "--tenant", "acme", "--format", "xml", "--data-dir", str(data_dir)).code == 2


def test_sums_and_a_summary(shoal, record, tenant) -> None:
    record(tenant, *(datetime(2026, 11, day, 12, tzinfo=UTC) for day in (1, 2, 2)))
    november = ("--tenant", "acme", "--from", "2026-11-01", "--to", "2026-12-01")
    rows = list(csv.DictReader(io.StringIO(shoal("usage", "export", *november, "--by", "day").out)))
    assert [(row["time"][:10], row["requests"], row["tokens"]) for row in rows] == [
        ("2026-11-01", "1", "7"), ("2026-11-02", "2", "14"),
    ]  # fmt: skip
    shown = shoal("usage", "show", *november).rows
    assert shown[0][:2] == ["DAY", "REQUESTS"]
    assert [row[:6] for row in shown[1:]] == [
        ["2026-11-01", "1", "0", "0", "2", "7"],
        ["2026-11-02", "2", "0", "0", "4", "14"],
    ]
    [model] = shoal("usage", "show", *november, "--by", "model", "--json").json
    assert (model["name"], model["requests"], model["tokens"]) == ("org/m", 3, 21)


def test_a_gateway_that_can_not_keep_usage_does_not_start(run, data_dir, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    words = ("gateway", "--node", "http://127.0.0.1:9", "--port", "0", "--data-dir", str(data_dir))

    def started(*more: str) -> tuple[int, str]:  # in a process of its own: it sets up the logs
        command = [sys.executable, "-m", "shoal", *words, *more]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stderr.splitlines()[-1]

    why = f"Usage can not be kept in {tmp_path}/file/usage: Not a directory."
    what = "Choose another folder with --usage-spool."
    assert started("--usage-spool", str(tmp_path / "file" / "usage")) == (1, f"Error: {why} {what}")
    assert started("--usage-spool-limit", "1MiB") == (
        1, "Error: The usage spool needs at least 8,388,608 bytes, more than 1,048,576.",
    )  # fmt: skip
    assert run(*words, "--usage-retention", "0").code == 2


def test_sums_are_made_anew_from_those_per_hour(shoal, data_dir, record, tenant) -> None:
    moment = datetime(2026, 3, 4, 5, tzinfo=UTC)
    record(tenant, moment, moment)
    show = ("usage", "show", "--tenant", "acme", "--from", "2026-03-01", "--to", "2026-04-01", "--json")
    [before] = shoal(*show).json
    with closing(sqlite3.connect(data_dir / "shoal.db")) as database, database:
        database.execute("DELETE FROM usage_day")
    assert shoal(*show).json == []
    assert shoal("usage", "recount").out == "All sums agree with those per hour.\n"
    assert shoal(*show).json == [before]
    assert before["tokens"] == 14
