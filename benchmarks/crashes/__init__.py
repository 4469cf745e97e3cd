"""Gateways are killed at random under load, and the ledger is held against what clients received."""

from benchmarks.crashes.command import main

__all__ = ["main"]
