"""Calls to engine nodes from the command line: those that were named, or the one of the server in the data folder."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import httpx
import msgspec

from gateway.engine_client import EngineClient, ModelRef, NodeStatus
from gateway.errors import EngineFailed, EngineGone, GatewayError, NotFound, Unavailable
from gateway.services.models import ModelInfo
from shoal.data_folder import DataFolder
from shoal.options import parse_nodes

NodeCall = Literal["load", "unload"]

PATIENCE = 600.0
"""Seconds; a load may have to fetch the model first."""


def call_nodes(
    verb: NodeCall, model: ModelInfo, nodes: list[str], secret: str, data_dir: Path
) -> Iterator[tuple[str, str]]:
    """Load or unload the model on every node of its pool; yields each node's address and how full its memory is then.

    Raises NotFound where there is no such node, or the node's own reason.
    """
    urls = parse_nodes(nodes).get(model.pool, ())
    if not nodes and (running := DataFolder(data_dir).running_engine()) is not None:
        urls, secret = (running.node_url,), running.engine_secret
    if not urls:
        raise NotFound(
            f"No engine node of the pool '{model.pool}' is known here; start shoal serve, or name one with --node."
        )
    for url in urls:
        print(f"Asking {url} to {verb} '{model.id}' …", file=sys.stderr)
        status = asyncio.run(_call(verb, url, model, secret))
        yield url, f"{status.memory_used / 2**20:,.0f} of {status.memory_budget / 2**20:,.0f} MiB"


async def _call(verb: NodeCall, url: str, model: ModelInfo, secret: str) -> NodeStatus:
    reference = msgspec.convert(model, ModelRef, from_attributes=True)
    client = EngineClient(httpx.AsyncHTTPTransport(), secret)
    try:
        return await (client.load if verb == "load" else client.unload)(url, reference, PATIENCE)
    except EngineGone as error:
        raise Unavailable(f"The engine node {url} does not answer; is it running?") from error
    except EngineFailed as error:
        raise Unavailable(f"The engine node {url} failed: {error.reason}") from error
    except GatewayError as error:
        raise Unavailable(f"The engine node {url} says: {error.message}") from error
    finally:
        await client.close()
