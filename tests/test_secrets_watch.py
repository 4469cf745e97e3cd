"""The watch over secrets would catch one wherever it is said, and lets it be shown where it is meant to be."""

import base64
import logging
import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from secrets_watch import LEAKED, SecretsWatch

KEY = "sk-shoal-" + 12 * "a" + "-" + 43 * "B"
TOKEN = KEY.replace("sk-", "op-", 1)
LEAKY = """
import asyncio, logging, secrets, subprocess, sys
import httpx, pytest, structlog
from gateway.services.access import operators

KEY = "sk-shoal-" + 12 * "a" + "-" + 43 * "B"  # as another process would have made it
SECRET = secrets.token_urlsafe(32)


def answering(status):
    return httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(status, text=SECRET)))


def test_prints():
    print("so it is", SECRET)

def test_logs():
    logging.getLogger("shoal.x").warning("made %s", SECRET)

def test_logs_by_structlog():
    structlog.get_logger().info("made", key=KEY)

def test_logs_a_failure():
    try:
        raise ValueError(f"no such key: {SECRET}")
    except ValueError:
        logging.getLogger("shoal.x").exception("it failed")

def test_is_told_in_an_error():
    answering(401).get("http://gateway/v1/models")

def test_reads_what_it_printed(capsys):
    print(KEY)
    assert KEY in capsys.readouterr().out

def test_runs_a_server(tmp_path):
    script = tmp_path / "shoal"
    script.write_text(f"print('{KEY}')")
    subprocess.run([sys.executable, script, "serve"], capture_output=True)

def test_follows_a_server(tmp_path):
    script = tmp_path / "shoal"
    script.write_text(f"print('{KEY}', flush=True)")
    with subprocess.Popen([sys.executable, script, "serve"], stdout=subprocess.PIPE, text=True) as server:
        assert len(list(server.stdout)) == 1

def test_starts_a_server_that_logs_to_a_file(tmp_path):
    (tmp_path / "log").write_text(KEY)

def test_says_a_chosen_password():
    asyncio.run(operators._password("one that somebody chose"))
    print("one that somebody chose")

@pytest.mark.hypothesis
def test_says_a_word_that_was_drawn_as_a_password():
    asyncio.run(operators._password("application/json"))
    print("application/json")

def test_is_silent(tmp_path, capsys, monkeypatch):
    answering(201).post("http://gateway/admin/api/v1/tenants/acme/keys")
    monkeypatch.setattr(sys, "argv", ["shoal", "key", "create", "--tenant", "acme"])
    print(SECRET)
    capsys.readouterr()
    script = tmp_path / "shoal"
    script.write_text(f"print('  API key   {KEY}')")
    subprocess.run([sys.executable, script, "serve"], capture_output=True)
    script.unlink()
    print("as all may read: sk-shoal-aaaaaaaaaaaa-…")
"""


@pytest.fixture
def watch():
    watch = SecretsWatch()
    watch.start()
    yield watch
    watch.stop()


def said(watch, text):
    watch.leaks.clear()
    watch.hear(text, "here")
    return list(watch.leaks)


@pytest.mark.parametrize("secret", [KEY, TOKEN])
@pytest.mark.parametrize("around", ["{}", "Bearer {}", '{{"key":"{}"}}', "key={}&x", "\n{}\n", "{}.", "({})"])
def test_what_has_the_shape_of_a_secret_is_one(watch, secret, around):
    watch.where = "some test"
    assert said(watch, around.format(secret)) == [("some test", "here")]
    assert said(watch, around.format(secret).encode()) == [("some test", "here")]
    assert secret not in str(watch.leaks)


@pytest.mark.parametrize(
    "text", ["", None, b"\xff", "sk-shoal-aaaaaaaaaaaa-***", KEY[:-1], "req_" + "0" * 32, "a" * 500]
)
def test_what_anybody_may_read_is_none(watch, text):
    assert said(watch, text) == []


def test_what_this_process_makes_is_known_in_every_spelling(watch):
    text, key = secrets.token_urlsafe(32), secrets.token_bytes(32)
    for spelling in (
        text,
        f"sk-shoal-x-{text}",
        text[:20],
        key.hex(),
        base64.b64encode(key).decode(),
        base64.urlsafe_b64encode(key).decode().rstrip("="),
    ):
        assert said(watch, f"so it is: {spelling}!"), spelling
    assert said(watch, f"request {secrets.token_hex(16)} of {text[:8]}") == []


def test_it_leaves_everything_as_it_was():
    before = secrets.token_urlsafe, logging.getLogRecordFactory(), httpx.Client.send, subprocess.Popen.communicate
    watch = SecretsWatch()
    watch.start()
    assert secrets.token_urlsafe is not before[0]
    watch.stop()
    assert before == (
        secrets.token_urlsafe, logging.getLogRecordFactory(), httpx.Client.send, subprocess.Popen.communicate
    )  # fmt: skip


@pytest.mark.parametrize("shared", [[], ["--numprocesses", "1"]], ids=["alone", "shared"])
def test_a_run_in_which_a_secret_is_said_fails_and_names_test_and_place(tmp_path, shared):
    (tmp_path / "test_leaky.py").write_text(LEAKY)
    home = Path(__file__).parent
    paths = os.pathsep.join([str(home / "plugins"), str(home.parent)])
    words = ["-q", "-p", "secrets_watch", "-p", "no:cacheprovider", "--rootdir", tmp_path, "--basetemp", tmp_path / "t"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, *shared, tmp_path], env={**os.environ, "PYTHONPATH": paths},
        cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == LEAKED, done.stdout + done.stderr
    assert "12 passed" in done.stdout
    report = done.stdout.partition("secrets that were said")[2]
    told = dict(re.findall(r"test_leaky\.py::(\w+): (.*): \d+ characters$", report, re.MULTILINE))
    assert told == {
        "test_prints": "Captured stdout call",
        "test_logs": "log of shoal.x",
        "test_logs_by_structlog": "Captured stdout call",
        "test_logs_a_failure": "traceback in the log of shoal.x",
        "test_is_told_in_an_error": "body of GET /v1/models: 401",
        "test_reads_what_it_printed": "standard output of a test",
        "test_runs_a_server": "standard output of shoal serve",
        "test_follows_a_server": "standard output of shoal serve",
        "test_says_a_chosen_password": "Captured stdout call",
    }
    assert "file log: by its shape" in report
    assert KEY not in done.stdout
    shutil.rmtree(tmp_path / "t")  # or the watch over this run finds what was written there
