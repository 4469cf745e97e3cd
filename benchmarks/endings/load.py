"""The load on the fleet, and what is made of it when it is over."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from benchmarks.crashes.clients import Tally
from benchmarks.endings.clients import Client, Seen
from benchmarks.endings.fleet import Fleet
from benchmarks.endings.truth import Truth

CLIENTS = 6


@dataclass(slots=True)
class Load:
    """What was seen, from both sides of the SDK."""

    tally: Tally = field(default_factory=Tally)
    seen: Seen = field(default_factory=Seen)
    seconds: float = 0.0


@contextlib.asynccontextmanager
async def loaded(fleet: Fleet, truth: Truth, retries: int) -> AsyncIterator[Load]:
    """Half of the clients ask nginx; the others a gateway each, and another where that takes no connections."""
    load, ended = Load(), asyncio.Event()
    gateways = [gateway.url for gateway in fleet.gateways]
    ways = [[fleet.balancer], gateways, gateways[::-1]]
    clients = [
        Client(f"client-{n}", ways[n % 2 * (1 + n // 2 % 2)], key, truth, load.tally, load.seen, retries)
        for n, key in zip(range(CLIENTS), fleet.keys * CLIENTS, strict=False)
    ]
    asking = [asyncio.create_task(client.run(ended)) for client in clients]
    began = asyncio.get_running_loop().time()
    try:
        yield load
    finally:
        load.seconds = asyncio.get_running_loop().time() - began
        ended.set()
        await asyncio.gather(*asking)
