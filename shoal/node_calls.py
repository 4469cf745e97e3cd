"""Calls to engine nodes from the command line: those that were named, or the one of the server in the data folder."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.engine_client import EngineClient, NodeStatus, model_ref
from gateway.errors import EngineFailed, EngineGone, GatewayError, NotFound, Unavailable
from gateway.services.register.models import ModelInfo
from gateway.transport import AsyncioTransport
from shoal.data_folder import DataFolder
from shoal.options import DEFAULT_POOL, parse_nodes

NodeCall = Literal["load", "unload", "pin", "unpin"]


@dataclass(frozen=True, slots=True)
class Place:
    """A node that has a model, and where in it."""

    node: str
    tier: str
    """`device`, `host`, `loading` or `failed`."""

    def __str__(self) -> str:
        return f"{self.tier} of {self.node}"


STATUS_PATIENCE = 5.0
"""Seconds."""
PATIENCE = 600.0
"""Seconds; a load may have to fetch the model first."""


def call_nodes(
    verb: NodeCall, model: ModelInfo, nodes: list[str], secret: str, data_dir: Path, *, if_any: bool = False
) -> Iterator[tuple[str, str]]:
    """Do it to the model on every node of its pool; yields each node's address and how full its memory is then.

    Raises the node's own reason, or NotFound where there is no such node, unless it was to be done `if_any` is there.
    """
    pools, secret = known_nodes(nodes, secret, data_dir)
    urls = pools.get(model.pool, ())
    if not urls and not if_any:
        raise NotFound(
            f"No engine node of the pool '{model.pool}' is known here; start shoal serve, or name one with --node."
        )
    for url in urls:
        print(f"Asking {url} to {verb} '{model.id}' …", file=sys.stderr)
        status = asyncio.run(_call(verb, url, model, secret))
        yield url, f"{status.memory_used / 2**20:,.0f} of {status.memory_budget / 2**20:,.0f} MiB"


def ask_nodes(nodes: list[str], secret: str, data_dir: Path) -> Iterator[tuple[str, str, NodeStatus | str]]:
    """Pool, address and status of every node, or why it gave none."""
    pools, secret = known_nodes(nodes, secret, data_dir)
    if not pools:
        raise NotFound("No engine node is known here; start shoal serve, or name one with --node.")
    for pool, urls in pools.items():
        for url in urls:
            try:
                yield pool, url, asyncio.run(_ask(url, secret, lambda client, url: client.status(url, STATUS_PATIENCE)))
            except GatewayError as error:
                yield pool, url, str(error)


def whereabouts(nodes: list[str], secret: str, data_dir: Path) -> dict[tuple[str, str], list[Place]]:
    """Where models are, by pool and model id; empty where no node is known. Says on stderr which node is silent."""
    pools, _ = known_nodes(nodes, secret, data_dir)
    places: dict[tuple[str, str], list[Place]] = {}
    for pool, url, status in ask_nodes(nodes, secret, data_dir) if pools else ():
        if isinstance(status, str):
            print(status, file=sys.stderr)
            continue
        for model in status.models:
            if model.adapter is not None:
                continue
            places.setdefault((pool, model.id), []).append(Place(url, model.tier))
    return places


def known_nodes(nodes: list[str], secret: str, data_dir: Path) -> tuple[dict[str, tuple[str, ...]], str]:
    """The named nodes by pool and the secret for them; where none is named, the running server's own."""
    if not nodes and (running := DataFolder(data_dir).running_engine()) is not None:
        return {DEFAULT_POOL: (running.node_url,)}, running.engine_secret
    return parse_nodes(nodes), secret


async def _call(verb: NodeCall, url: str, model: ModelInfo, secret: str) -> NodeStatus:
    return await _ask(url, secret, lambda client, url: getattr(client, verb)(url, model_ref(model), PATIENCE))


async def _ask(url: str, secret: str, question: Callable[[EngineClient, str], Awaitable[NodeStatus]]) -> NodeStatus:
    client = EngineClient(AsyncioTransport(), secret)
    try:
        return await question(client, url)
    except EngineGone as error:
        raise Unavailable(f"The engine node {url} does not answer; is it running?") from error
    except EngineFailed as error:
        raise Unavailable(f"The engine node {url} failed: {error.reason}") from error
    except GatewayError as error:
        raise Unavailable(f"The engine node {url} says: {error.message}") from error
    finally:
        await client.close()
