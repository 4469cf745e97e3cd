"""A fleet of nodes with hundreds of models, on virtual time: what eviction, scheduling and routing do to traffic.

python -m benchmarks simulation [--models 300] [--nodes 4] [--requests 10000] [--rate 100] [--seeds 5] [--dry]
"""

from benchmarks.simulation.command import main

__all__ = ["main"]
