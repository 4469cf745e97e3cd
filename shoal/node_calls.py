"""Calls to engine nodes from the command line: those that were named, or the one of the server in the data folder."""

import asyncio
import ssl
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from gateway.certificates import Certificates
from gateway.engine_client import EngineClient, LoadProgress, NodeStatus, ResidentModel, model_ref
from gateway.errors import EngineFailed, EngineGone, GatewayError, NotFound, Unavailable
from gateway.services.pools.discovery import Service, resolve
from gateway.services.pools.loads import next_step, phase_of, share_of
from gateway.services.register.models import ModelInfo
from gateway.transport import AsyncioTransport
from shoal.data_folder import DataFolder
from shoal.options.nodes import NodeOptions
from shoal.options.values import DEFAULT_POOL

NodeCall = Literal["load", "unload", "pin", "unpin"]


@dataclass(frozen=True, slots=True)
class Place:
    """A node that has a model, and where in it."""

    node: str
    tier: str
    """`device`, `host`, `loading` or `failed`."""
    progress: LoadProgress | None = None
    """Of a load."""
    failure: str | None = None
    next: str | None = None
    """What to do about a failure."""

    def __str__(self) -> str:
        return f"{self.tier}{_how_far(self.progress)} of {self.node}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call to one node."""

    url: str
    memory: str = ""
    """How full it is then."""
    problem: Unavailable | None = None
    """Why it was not done."""

    @property
    def away(self) -> bool:
        """The node does not answer; it may do so later."""
        return isinstance(self.problem, NodeAway)


class NodeAway(Unavailable):
    """Nobody answers at a node's address."""


class Target(NamedTuple):
    """A node to be called."""

    pool: str
    url: str
    certified: str | None = None
    """Whose certificate it shows, where that is not its URL's host."""


class Credentials(NamedTuple):
    """What we are known to nodes by."""

    secret: str
    tls: ssl.SSLContext | None = None


STATUS_PATIENCE = 5.0
"""Seconds."""
AT_ONCE = 64
"""Nodes that are asked at one time."""
PATIENCE = 600.0
"""Seconds; a load may have to fetch the model first."""


def call_nodes(
    verb: NodeCall, model: ModelInfo, nodes: NodeOptions, data_dir: Path, *, if_any: bool = False
) -> list[Outcome]:
    """Have every node of the model's pool do it, all at once, and tell what became of it on each.

    Raises NotFound where there is no such node, unless it was to be done `if_any` is there.
    """
    targets, own = known_nodes(nodes, data_dir)
    targets = [target for target in targets if target.pool == model.pool]
    if not targets and not if_any:
        raise NotFound(
            f"No engine node of the pool '{model.pool}' is known here; start shoal serve, or name one with --node."
        )
    for target in targets:
        print(f"Asking {target.url} to {verb} '{model.id}' …", file=sys.stderr)
    return asyncio.run(_call_all(verb, targets, model, own))


def ask_nodes(nodes: NodeOptions, data_dir: Path) -> list[tuple[str, str, NodeStatus | str]]:
    """Pool, address and status of every node, or why it gave none."""
    targets, own = known_nodes(nodes, data_dir)
    if not targets:
        raise NotFound("No engine node is known here; start shoal serve, or name one with --node.")
    return asyncio.run(_ask_all(targets, own))


def whereabouts(nodes: NodeOptions, data_dir: Path) -> dict[tuple[str, str], list[Place]]:
    """Where models are, by pool and model id; empty where no node is known. Says on stderr which node is silent."""
    targets, _ = known_nodes(nodes, data_dir)
    places: dict[tuple[str, str], list[Place]] = {}
    for pool, url, status in ask_nodes(nodes, data_dir) if targets else ():
        if isinstance(status, str):
            print(status, file=sys.stderr)
            continue
        for model in status.models:
            if model.adapter is not None:
                continue
            places.setdefault((pool, model.id), []).append(_place(url, model))
    return places


def known_nodes(nodes: NodeOptions, data_dir: Path) -> tuple[list[Target], Credentials]:
    """The named nodes, as many as a name has addresses, and what they are shown; else the running server's own."""
    if not nodes.node and (running := DataFolder(data_dir).running_engine()) is not None:
        return [Target(DEFAULT_POOL, running.node_url)], Credentials(running.engine_secret)
    own = Credentials(nodes.engine_secret, Certificates.of_client(nodes.certificates).context)
    return [target for pool, places in nodes.pools.items() for place in places for target in _targets(pool, place)], own


def _targets(pool: str, place: str) -> list[Target]:
    service = Service.parse(place)
    if service is None:
        return [Target(pool, place)]
    try:
        addresses = asyncio.run(resolve(service.host, service.port))
    except OSError as error:
        raise Unavailable(f"The name {service.host} can not be looked up now: {error}") from error
    return [Target(pool, service.url(address), service.certified) for address in sorted(set(addresses))]


async def _ask_all(targets: list[Target], own: Credentials) -> list[tuple[str, str, NodeStatus | str]]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def ask(target: Target) -> tuple[str, str, NodeStatus | str]:
        async with turns:
            try:
                status = await _ask(target, own, lambda client, url: client.status(url, STATUS_PATIENCE))
            except GatewayError as error:
                return target.pool, target.url, str(error)
            return target.pool, target.url, status

    return list(await asyncio.gather(*map(ask, targets)))


async def _call_all(verb: NodeCall, targets: list[Target], model: ModelInfo, own: Credentials) -> list[Outcome]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def call(target: Target) -> Outcome:
        async with turns:
            try:
                status = await _ask(
                    target, own, lambda client, url: getattr(client, verb)(url, model_ref(model), PATIENCE)
                )
            except Unavailable as error:
                return Outcome(target.url, problem=error)
        used, budget = status.memory_used / 2**20, status.memory_budget / 2**20
        return Outcome(target.url, f"{used:,.0f} of {budget:,.0f} MiB")

    return list(await asyncio.gather(*map(call, targets)))


async def _ask(
    target: Target, own: Credentials, question: Callable[[EngineClient, str], Awaitable[NodeStatus]]
) -> NodeStatus:
    url = target.url
    client = EngineClient(AsyncioTransport(ssl_context=own.tls), own.secret, certified=target.certified)
    try:
        return await question(client, url)
    except EngineGone as error:
        tls = f" Certificates may be why: {error.__cause__}" if url.startswith("https:") else ""
        raise NodeAway(f"The engine node {url} does not answer; is it running?{tls}") from error
    except EngineFailed as error:
        raise Unavailable(f"The engine node {url} failed: {error.reason}") from error
    except GatewayError as error:
        raise Unavailable(f"The engine node {url} says: {error.message}") from error
    finally:
        await client.close()


def _place(url: str, model: ResidentModel) -> Place:
    failed = model.failure is not None
    return Place(url, model.tier, model.progress, model.failure, next_step(model.failure_code) if failed else None)


def _how_far(progress: LoadProgress | None) -> str:
    """In brackets: the phase, and how much of it is done where it is measured."""
    if progress is None:
        return ""
    share = share_of(progress)
    measured = "" if share is None else f" {share:.0%}"
    return f" ({phase_of(progress)}{measured}, for {progress.seconds:.0f} s)"
