"""A thousand nodes with ten thousand models on virtual time: what choosing a node does to traffic, and what it costs.

python -m benchmarks fleet [--nodes 1000] [--models 10000] [--rate 8000] [--seconds 60] [--warm-up 30] [--seeds 3]
    [--gateways 4] [--poll 5] [--gib 6] [--processes 2] [--dry]
"""

from benchmarks.fleet.command import main

__all__ = ["main"]
