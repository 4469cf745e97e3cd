"""Where models are, and where one would have room: from the nodes as the gateway knows them. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from admin_ui.contexts.models import Fit, Place, Whereabouts
from admin_ui.fleet import node_name
from admin_ui.wording import bytes_text, number_text, percent_text, plural_text
from gateway.services.pools.loads import load_of, next_step
from gateway.services.pools.node import Node
from gateway.services.register.models import ModelInfo


def whereabouts(model: ModelInfo, nodes: Sequence[Node], *, of_upstreams: bool) -> Whereabouts:
    """In a few words; `nodes` are those of its pool."""
    if of_upstreams:
        well = sum(node.healthy for node in nodes)
        return Whereabouts(
            f"{number_text(well)} of {plural_text(len(nodes), 'upstream')} there", "good" if well else "bad"
        )
    known = model.facts.base or model.id
    found = [
        (node, one.state, one.tier)
        for node in nodes
        for one in (node.status.models if node.status else ())
        if one.id == known and one.adapter == model.facts.adapter
    ]
    of = plural_text(len(nodes), "node")
    for word, tone, here in (
        ("failed on", "bad", [node for node, state, _ in found if state == "failed"]),
        ("loading on", "warn", [node for node, state, _ in found if state == "loading"]),
        ("in memory of", "good", [node for node, state, tier in found if state == "resident" and tier == "device"]),
        ("in host memory of", "quiet", [node for node, state, tier in found if tier == "host"]),
    ):
        if here:
            share = _least_share(here, known) if tone == "warn" else ""
            return Whereabouts(f"{word} {number_text(len(here))} of {of}{share}", tone)
    return Whereabouts("not loaded" if nodes else "no node in its pool", "quiet" if nodes else "bad")


def _least_share(nodes: Sequence[Node], model_id: str) -> str:
    """Of the load that has furthest to go, among those that are measured."""
    loads = [load_of(one) for node in nodes if node.status for one in node.status.models if one.id == model_id]
    shares = [load.share for load in loads if load is not None and load.share is not None]
    return f", {percent_text(min(shares))}" if shares else ""


def places(model: ModelInfo, nodes: Iterable[Node], urls: Mapping[str, str], now: float) -> Sequence[Place]:
    """Node by node."""
    known = model.facts.base or model.id
    found = []
    for node in nodes:
        here = [
            one
            for one in (node.status.models if node.status else ())
            if one.id == known and one.adapter == model.facts.adapter
        ]
        one = here[0] if here else None
        tier = "absent" if one is None else "failed" if one.state == "failed" else str(one.tier)
        found.append(
            Place(
                node=node_name(node),
                url=urls[node.name],
                healthy=node.healthy,
                age=None if node.status is None else max(now - node.heard, 0.0),
                tier=tier,
                bytes=one.bytes if one else 0,
                in_use=one.in_use if one else 0,
                idle=one.idle_seconds if one else 0.0,
                pinned=one.pinned if one else False,
                load=load_of(one) if one else None,
                failure=one.failure if one else None,
                next=next_step(one.failure_code if one else None),
            )
        )
    return tuple(found)


def fits(pools: Mapping[str, Sequence[Node]], resident: Mapping[str, int]) -> Sequence[Fit]:
    """Each pool of engine nodes: whether a model that takes so many bytes, by its numbers, has room there."""
    return tuple(_fit(name, nodes, resident) for name, nodes in sorted(pools.items()))


def _fit(name: str, nodes: Sequence[Node], resident: Mapping[str, int]) -> Fit:
    heard = [(node.status, _need(node, resident)) for node in nodes if node.status is not None]
    if not heard:
        return Fit(name, "not known", "warn", "No node of it was heard yet." if nodes else "It has no node now.")
    most, largest = max(need for _, need in heard), max(status.memory_budget for status, _ in heard)
    need = f"{bytes_text(most)} of {bytes_text(largest)}"
    fitting = [(status, need) for status, need in heard if need <= status.memory_budget]
    if not fitting:
        return Fit(
            name, "too large", "bad", f"It needs {bytes_text(most)}; the largest node has {bytes_text(largest)}."
        )
    at_once = sum(need <= status.memory_budget - status.memory_used for status, need in fitting)
    room = (
        "without evicting another"
        if at_once == len(fitting)
        else (
            f"on {number_text(at_once)} of them without evicting another"
            if at_once
            else "where others are evicted for it"
        )
    )
    if len(fitting) < len(heard):
        return Fit(name, "fits on some", "warn", f"On {len(fitting)} of {plural_text(len(heard), 'node')}; {room}.")
    return Fit(name, "fits", "good", f"Takes {need}, {room}.")


def _need(node: Node, resident: Mapping[str, int]) -> int:
    """As a node serves it by itself: bfloat16 on CUDA, else float32."""
    cuda = node.status is not None and node.status.device.startswith("cuda")
    return resident["bfloat16" if cuda else "float32"]
