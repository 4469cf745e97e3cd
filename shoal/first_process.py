"""A container's first process: the kernel keeps from it every signal that it does not handle itself."""

import os
import signal
from types import FrameType


def heed_stop() -> None:
    """Have SIGTERM end a first process as it ends any other: while it starts, and in commands that only run."""
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, _end)


def _end(number: int, _: FrameType | None) -> None:
    os._exit(128 + number)
