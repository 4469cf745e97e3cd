import os
import sys
import time
from pathlib import Path

import pytest

from benchmarks.processes import (
    NotMeasurable,
    answers,
    awake,
    children,
    command_line,
    cpu_seconds,
    free_port,
    peak_resident_bytes,
    resident_bytes,
    running,
    wait_until,
)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    body = tmp_path / "body"
    body.write_bytes(b"{}")
    return body


def fixed_reply(page: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.fixed_reply", str(page), "--port", str(port)]


def test_a_child_runs_on_its_core_and_ends_with_the_block(page):
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    with running(fixed_reply(page, port), ready=url, core=0) as pid:
        assert os.sched_getaffinity(pid) == {0}
        assert "benchmarks.fixed_reply" in command_line(pid)
        assert pid in children(os.getpid())
        assert answers(url)
        assert 1e6 < resident_bytes(pid) <= peak_resident_bytes(pid) < 1e9
    assert pid not in children(os.getpid())
    assert not answers(url)


def test_a_child_that_dies_says_its_last_words():
    command = [sys.executable, "-c", "raise SystemExit('the disk is full')"]
    with pytest.raises(NotMeasurable, match="the disk is full"), running(command, ready="http://127.0.0.1:1/"):
        pass


def test_cpu_seconds_grow_with_work():
    began = cpu_seconds(os.getpid())
    assert wait_until(lambda: cpu_seconds(os.getpid()) - began > 0.05 or not sum(range(200_000)), 20)
    assert cpu_seconds(os.getpid()) <= time.process_time() + 0.05


def test_waiting_ends_when_the_time_is_up():
    assert not wait_until(lambda: False, 0.05)


def test_a_core_is_kept_awake_by_a_loop_that_gives_way_to_everything_else():
    before = children(os.getpid())
    with awake(0):
        [loop] = set(children(os.getpid())) - set(before)
        assert wait_until(lambda: os.sched_getscheduler(loop) == os.SCHED_IDLE, 20)
        assert wait_until(lambda: "while True: pass" in command_line(loop), 20)
        assert os.sched_getaffinity(loop) == {0}
    assert children(os.getpid()) == before
