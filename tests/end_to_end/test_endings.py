"""Processes that stop, are killed and come back while others ask: real binaries, and OpenAI's own SDK."""

import asyncio
import concurrent.futures
import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time

import httpx
import pytest

from benchmarks.chaos import chaos
from benchmarks.processes import NotMeasurable
from benchmarks.rolling import roll

STARTER = "sentence-transformers/all-MiniLM-L6-v2"


def missing(why):
    pytest.fail(str(why)) if os.environ.get("CI") else pytest.skip(str(why))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nobody_notices_a_rolling_restart_of_all_nodes_and_gateways(tmp_path):
    try:
        outcome = asyncio.run(roll(tmp_path, rounds=1, engines=2))
    except NotMeasurable as why:
        if "not installed" in str(why) or "There is no" in str(why):
            missing(why)
        raise
    assert (outcome.failures, outcome.wrong, outcome.said) == ([], [], "")
    assert outcome.requests > 100
    assert outcome.holds, outcome


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_kills_at_random_cost_no_answer_and_leave_the_ledger_exact(tmp_path):
    try:
        outcome = asyncio.run(chaos(tmp_path, seconds=0.0, every=1.0, seed=3, engines=2, at_least=3))
    except NotMeasurable as why:
        if "not installed" in str(why) or "There is no" in str(why):
            missing(why)
        raise
    assert (outcome.failures, outcome.wrong, outcome.said) == ([], [], "")
    assert {name.split()[0] for name in outcome.kills} == {"engine", "gateway"}
    assert outcome.requests > 100
    assert outcome.holds, outcome


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def until(condition, what, limit=60.0):
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if value := condition():
                return value
        time.sleep(0.05)
    return pytest.fail(f"not within {limit} s: {what}")


@contextlib.contextmanager
def process(*command, log):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}
    with log.open("ab") as said:
        running = subprocess.Popen([sys.executable, "-m", *command], env=environment, stdout=said, stderr=said)
    try:
        yield running
    finally:
        if running.poll() is None:
            running.kill()
        running.wait()


def embed(client, key, text="hello"):
    return client.post(
        "/v1/embeddings", json={"model": STARTER, "input": text}, headers={"authorization": f"Bearer {key}"}
    )


def embed_anew(url, key, text="hello"):
    """Over a connection of its own."""
    with httpx.Client(base_url=url, timeout=30) as client:
        return embed(client, key, text)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_gateway_that_is_told_to_stop_says_so_first_and_answers_to_the_end(filled, workers, redis):
    folder, key = filled
    node, port = free_port(), free_port()
    gateway = ["shoal", "gateway", "--port", str(port), "--data-dir", str(folder), "--drain-delay", "3"]
    gateway += ["--node", f"http://127.0.0.1:{node}", "--workers", str(workers), "--redis-url", redis.url]
    with (
        process("benchmarks.fake_engine", "--port", str(node), log=folder / "engine.log"),
        process(*gateway, log=folder / "gateway.log") as running,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as kept,
        concurrent.futures.ThreadPoolExecutor(1) as callers,
    ):
        until(lambda: httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200, "it is ready")
        assert embed(kept, key).status_code == 200
        slow = callers.submit(embed_anew, kept.base_url, key, "__sleep 4__")
        time.sleep(0.5)
        running.send_signal(signal.SIGTERM)
        until(lambda: httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 503, "it wants no more", 2.5)
        assert embed_anew(kept.base_url, key).status_code == 200
        assert embed(kept, key).status_code == 200
        assert slow.result().status_code == 200
        assert running.wait(40) == 0, (folder / "gateway.log").read_text()
    assert "Traceback" not in (folder / "gateway.log").read_text()


def test_gateways_commands_and_nodes_know_each_other_by_certificates(filled, new_authority, run_shoal):
    folder, key = filled
    ours, port, node = new_authority("ours"), free_port(), free_port()
    shown, own = ours.issue("node"), ours.issue("gateway")
    believed = ssl.create_default_context(cafile=ours.path)
    engine = ["shoal", "engine", "--host", "0.0.0.0", "--port", str(node), "--device", "cpu", "--threads", "1"]
    engine += ["--tls-cert", shown["certificate"], "--tls-key", shown["key"], "--tls-client-ca", ours.path]
    gateway = ["shoal", "gateway", "--port", str(port), "--data-dir", str(folder)]
    gateway += ["--node", f"https://127.0.0.1:{node}", "--engine-ca", ours.path]
    gateway += ["--engine-cert", own["certificate"], "--engine-key", own["key"]]
    gateway += ["--tls-cert", own["certificate"], "--tls-key", own["key"]]
    with (
        process(*map(str, engine), log=folder / "engine.log"),
        process(*map(str, gateway), log=folder / "gateway.log") as running,
        httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=believed, timeout=60) as client,
    ):
        until(lambda: client.get("/health/ready").status_code == 200, "it is ready")
        assert embed(client, key).status_code == 200
        by_hand = ["--node", f"https://127.0.0.1:{node}", "--engine-ca", str(ours.path), "--data-dir", str(folder)]
        own_words = ["--engine-cert", str(own["certificate"]), "--engine-key", str(own["key"])]
        for words in (("node", "list"), ("model", "unload", STARTER)):
            done = run_shoal(*words, *by_hand, *own_words)
            assert done.returncode == 0, done.stdout + done.stderr
        assert run_shoal("node", "list", *by_hand).returncode == 1
        with pytest.raises(httpx.TransportError):
            httpx.get(f"https://127.0.0.1:{node}/status", verify=believed)
        running.send_signal(signal.SIGTERM)
        assert running.wait(40) == 0, (folder / "gateway.log").read_text()
