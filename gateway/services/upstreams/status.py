"""An upstream's status as that of a node: it has no memory that is ours to fill, and no queue that is ours to see."""

from collections.abc import Sequence

from gateway.engine_client import PROTOCOL_VERSION, NodeStatus, ResidentModel

MOST_LISTED = 200
"""Models that are shown of an upstream that has hundreds."""


def status_of(version: str, names: Sequence[str]) -> NodeStatus:
    """What routing and operators read of a node, as far as an upstream has it."""
    models = [
        ResidentModel(
            id=name,
            revision=None,
            state="resident",
            bytes=0,
            in_use=0,
            pinned=False,
            idle_seconds=0.0,
            dimensions=None,
            max_tokens=None,
        )
        for name in names[:MOST_LISTED]
    ]
    return NodeStatus(
        protocol=PROTOCOL_VERSION,
        version=version,
        device="upstream",
        ready=True,
        memory_budget=0,
        memory_used=0,
        waiting_requests=0,
        waiting_tokens=0,
        tokens_per_second=0.0,
        models=models,
    )
