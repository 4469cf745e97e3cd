"""Is every page of the console quick over a large fleet? See command.py."""

from benchmarks.console.command import main

__all__ = ["main"]
