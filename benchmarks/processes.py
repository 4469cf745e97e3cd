"""Child processes that are measured from outside, by what Linux counts about them in /proc."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

START_LIMIT = 120.0
STOP_LIMIT = 30.0
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class NotMeasurable(Exception):
    """The benchmark can not go on; the message says why."""


def free_port() -> int:
    """A loopback port that nobody listens on at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def running(command: Sequence[str], *, ready: str, core: int | None = None) -> Iterator[int]:
    """The process id of a child that answers at the URL `ready`; `core` ties it, and all it starts, to one core.

    Raises NotMeasurable, with what the child last said, where it does not come to that.
    """
    tied = ["taskset", "--cpu-list", str(core), *command] if core is not None else list(command)
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(tied, stdout=said, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: process.poll() is not None or answers(ready), START_LIMIT)
            if process.poll() is not None or not answers(ready):
                said.seek(0)
                raise NotMeasurable(f"{' '.join(command)} did not start: {said.read()[-500:].strip()}")
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def awake(*cores: int) -> Iterator[None]:
    """Keeps cores from sleeping by a loop on each that runs when nothing else does.

    A core that sleeps is woken in tens of microseconds, on virtual machines in more: that is no latency of a program,
    and a server with something to do does not have it.
    """
    with contextlib.ExitStack() as stack:
        for core in cores:
            loop = ["chrt", "--idle", "0", sys.executable, "-c", "while True: pass"]
            process = subprocess.Popen(["taskset", "--cpu-list", str(core), *loop])
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


def answers(url: str, headers: Mapping[str, str] | None = None) -> bool:
    """Whether a GET of `url` is answered, with a status that is no server's fault and no refusal."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=dict(headers or {})), timeout=2) as reply:  # noqa: S310
            return bool(reply.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Look every 50 ms whether `condition` holds, for at most `seconds`."""
    deadline = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds


def children(pid: int) -> list[int]:
    """Processes that a process has started itself and that still run."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_line(pid: int) -> list[str]:
    """A process's arguments."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]


def cpu_seconds(*pids: int) -> float:
    """User and system time that processes have spent so far."""
    return sum(_ticks(Path(f"/proc/{pid}/stat").read_text()) for pid in pids) / CLOCK_TICKS


def resident_bytes(pid: int) -> int:
    """Physical memory that a process holds now."""
    return _memory(pid, "VmRSS")


def peak_resident_bytes(pid: int) -> int:
    """The most physical memory that a process ever held."""
    return _memory(pid, "VmHWM")


def _ticks(stat: str) -> int:
    # the command's name, second and in brackets, may hold blanks; utime and stime are fields 14 and 15
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _memory(pid: int, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    if found is None:
        raise NotMeasurable(f"/proc/{pid}/status says nothing about {name}.")
    return int(found[1]) * 1024
