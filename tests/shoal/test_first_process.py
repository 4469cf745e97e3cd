import signal
import subprocess
import sys

import pytest

STORY = """
import asyncio, os, signal, sys
if sys.argv[1] == "first":
    os.getpid = lambda: 1
from shoal import cli
from shoal.process import StopSignal

async def told_twice():
    stop = StopSignal()
    stop.set()
    os.kill(real, signal.SIGTERM)

def told_while_it_runs():
    os.kill(real, signal.SIGTERM)

real = int(os.readlink("/proc/self"))
cli.app = told_while_it_runs if sys.argv[2] == "once" else lambda: asyncio.run(told_twice())
cli.main()
"""


@pytest.mark.parametrize("how", ["once", "twice"])
@pytest.mark.parametrize(("which", "status"), [("first", 128 + signal.SIGTERM), ("other", -signal.SIGTERM)])
def test_sigterm_ends_a_first_process_as_it_ends_any_other(which, status, how) -> None:
    """A first process must end by a handler: the kernel's own way, which the others show, is not for it."""
    done = subprocess.run([sys.executable, "-c", STORY, which, how], timeout=60, check=False)
    assert done.returncode == status
