"""A batch of many requests beside a steady trickle of interactive ones, and the gateway killed half-way."""

from benchmarks.batches.command import main

__all__ = ["main"]
