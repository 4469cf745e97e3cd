"""Every family on small random checkpoints: equal to its reference, equal alone and in company; and how fast it is.

python -m benchmarks families [FAMILY …] [--rounds 5] [--name families] [--dry]
"""

from benchmarks.families.command import main

__all__ = ["main"]
