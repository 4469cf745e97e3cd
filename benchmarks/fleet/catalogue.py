"""The simulation's catalogue, without the models that take more than half of a node."""

from benchmarks.simulation.catalogue import catalogue
from benchmarks.simulation.node import NodeSize
from engine.simulation.fake import FakeSpec

SPARE = 1.25
"""Models to draw for each that is wanted."""


def models_that_fit(count: int, size: NodeSize, seed: int) -> dict[str, FakeSpec]:
    """By popularity, the most popular first."""
    drawn = catalogue(int(count * SPARE) + 10, seed)
    fitting = [(ref.id, spec) for ref, spec in drawn.items() if spec.bytes <= size.budget / 2]
    return dict(fitting[:count])
