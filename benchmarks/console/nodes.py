"""A hundred engine nodes in one process, each at a loopback address of its own, that say which models they hold.

python -m benchmarks.console.nodes --count 100 --resident 30 --models 500 --port 9100
"""

import argparse
import asyncio
import contextlib
import random
from collections.abc import Sequence

import uvloop

from benchmarks.console.size import Size, model_id, pool_of
from benchmarks.fake_engine import FakeEngine, serve
from engine.protocol import PROTOCOL_VERSION, NodeStatus, ResidentModel

GIB = 2**30
BUDGET = 80 * GIB
AWAY = 3
"""Nodes at whose address nothing listens."""
TROUBLED = 4
"""Nodes on which a model could not be loaded."""


class HeldNode(FakeEngine):
    """A node with models in its memory."""

    def __init__(self, number: int, size: Size) -> None:
        super().__init__()
        self._status = node_status(number, size)

    def status(self) -> NodeStatus:
        """The same each time."""
        return self._status


def node_status(number: int, size: Size) -> NodeStatus:
    """What a node says of itself: models of its pool, some at work, some pinned, now and then one that failed."""
    chance = random.Random(number)
    pool = pool_of(number, size.nodes)
    mine = [place for place in range(size.models) if pool_of(place, size.models) == pool]
    held = chance.sample(mine, min(size.resident, len(mine)))
    models = [_resident(place, chance) for place in held]
    if number % (size.nodes // TROUBLED or 1) == 1:
        failure = "The file model.safetensors is shorter than its header says."
        models[-1] = ResidentModel(model_id(held[-1]), None, "failed", 0, 0, False, 0.0, None, None, failure)
    return NodeStatus(
        protocol=PROTOCOL_VERSION,
        version="0.1.0",
        device="cuda",
        ready=True,
        memory_budget=BUDGET,
        memory_used=sum(model.bytes for model in models),
        waiting_requests=chance.randrange(20),
        waiting_tokens=chance.randrange(20_000),
        tokens_per_second=float(chance.randrange(20_000, 90_000)),
        models=models,
        host_budget=256 * GIB,
        host_used=sum(model.host_bytes for model in models),
        instance=f"node-{number}",
    )


def addresses(size: Size, port: int) -> Sequence[str]:
    """Of every node, those that are away included, with their pools as the command line takes them."""
    return [f"{pool_of(number, size.nodes)}=http://{_host(number)}:{port}" for number in range(size.nodes)]


def _host(number: int) -> str:
    return f"127.0.{1 + number // 200}.{1 + number % 200}"


def _resident(place: int, chance: random.Random) -> ResidentModel:
    return ResidentModel(
        id=model_id(place),
        revision=None,
        state="resident",
        bytes=chance.randrange(GIB // 4, 2 * GIB),
        in_use=chance.choice((0, 0, 1, 7)),
        pinned=place % 50 == 0,
        idle_seconds=float(chance.randrange(900)),
        dimensions=768,
        max_tokens=512,
    )


def main() -> None:
    """Serve until interrupted."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=100)
    options.add_argument("--resident", type=int, default=30)
    options.add_argument("--models", type=int, default=500)
    options.add_argument("--port", type=int, required=True)
    chosen = options.parse_args()
    size = Size(nodes=chosen.count, resident=chosen.resident, models=chosen.models)
    uvloop.run(_serve(size, chosen.port))


async def _serve(size: Size, port: int) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for number in range(size.nodes):
            if number < size.nodes - AWAY:
                server = await serve(HeldNode(number, size), host=_host(number), port=port)
                await stack.enter_async_context(server)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    main()
