"""A script of steps: they are named on standard input with their arguments, what they give goes to standard output."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def steps(*known: Callable[..., Any]) -> None:
    """Take the steps that standard input names, out of these, one after another."""
    named = {function.__name__: function for function in known}
    out, sys.stdout = sys.stdout, sys.stderr  # some libraries print
    taken = [named[name](**arguments) for name, arguments in json.load(sys.stdin)]
    json.dump(taken, out, default=lambda other: other.tolist())
    out.flush()
    sys.stderr.flush()
    os._exit(0)  # some libraries leave threads that would keep the process
