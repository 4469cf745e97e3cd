"""From the nodes as the gateway knows them to what pages show of pools."""

from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from admin_ui.contexts.overview import MemorySegment, NodeLine, PoolCard, PoolsPart, Rest, Tone
from admin_ui.navigation import PREFIX
from admin_ui.paging import address
from gateway.services.pools.loads import load_of
from gateway.services.pools.node import Node

SHADES = 12
STALE_AFTER = 10.0
"""Seconds after which what a node said is shown as of then."""
BAR, LETTER = 600.0, 6.6
"""Pixels of a bar, and of a letter in it, on a usual screen."""
MOST_NODES = 8
"""On the overview, of all pools together, each with as many."""
MOST_POOLS = 8
"""On the overview; where there are more, those with nodes that are away and the largest."""
LARGE = 6
"""With more nodes than that each of them is shown more briefly."""
PARTS, PARTS_OF_MANY = 12, 6
"""Models of a node that are shown one by one; the smaller ones are one part of its bar."""


def node_name(node: Node) -> str:
    """As people call it."""
    return node.name.partition("#")[0].removeprefix("http://").removeprefix("https://")


def node_key(node: Node) -> str:
    """What names it in an address of the console: upstreams may share a URL, pools a node."""
    return f"{node.pool}~{node.name}".replace("/", "|")


def node_url(node: Node) -> str:
    """Its page."""
    return f"{PREFIX}/nodes/at/{quote(node_key(node), safe='|:~.')}"


def pools_part(nodes: Sequence[Node], now: float) -> PoolsPart:
    """The pools of the overview. `now` is on the loop's clock."""
    large = len(nodes) > LARGE
    pools = len({node.pool for node in nodes})
    most = max(MOST_NODES // pools, 1) if len(nodes) > MOST_NODES else MOST_NODES
    cards = pool_cards(nodes, now, most, PARTS_OF_MANY if large else PARTS)
    shown = sorted(cards, key=lambda card: card.healthy == len(card.nodes) + card.more)[:MOST_POOLS]
    return PoolsPart(tuple(card for card in cards if card in shown), len(cards) - len(shown), large)


def pool_cards(nodes: Sequence[Node], now: float, most: int = MOST_NODES, parts: int = PARTS) -> Sequence[PoolCard]:
    """Every pool, the largest first; in each the nodes that need a look come first. `now` is on the loop's clock."""
    pools: dict[str, list[Node]] = {}
    for node in sorted(nodes, key=lambda node: (node.healthy and not _has_failures(node), node.name)):
        pools.setdefault(node.pool, []).append(node)
    shades = shades_of([node for members in pools.values() for node in members[:most]])
    cards = [_card(name, members, shades, now, most, parts) for name, members in pools.items()]
    return tuple(sorted(cards, key=lambda card: (-card.budget, card.name)))


def node_line(node: Node, shades: Mapping[str, int], now: float, parts: int = PARTS) -> NodeLine:
    """One node."""
    status = node.status
    id_ = "node-" + "".join(letter if letter.isalnum() else "-" for letter in f"{node.pool}-{node.name}")
    name = node.name.removeprefix("http://").removeprefix("https://")
    state, tone = _state(node)
    problem = None if node.healthy or node.failure is None else node.failure.rstrip(".")
    if status is None:
        return NodeLine(id_, node_url(node), name, state, tone, problem, heard=False, in_flight=node.in_flight)
    age = now - node.heard
    segments = _segments(node, shades)
    resident = resident_bytes(node)
    return NodeLine(
        id=id_,
        url=node_url(node),
        name=name,
        state=state,
        tone=tone,
        problem=problem,
        heard=True,
        age=age if age > STALE_AFTER else None,
        device=status.device,
        resident=resident,
        allocated=status.memory_used,
        budget=status.memory_budget,
        host_used=status.host_used,
        host_budget=status.host_budget,
        segments=segments[:parts],
        rest=_rest(segments[parts:]),
        loading=tuple(load for model in status.models if (load := load_of(model)) is not None),
        failed=tuple((model.id, model.failure or "no reason given") for model in status.models if model.failure),
        waiting_requests=status.waiting_requests,
        waiting_tokens=status.waiting_tokens,
        in_flight=node.in_flight,
        tokens_per_second=status.tokens_per_second,
        backlog=status.waiting_tokens / status.tokens_per_second if status.tokens_per_second else None,
    )


def _card(name: str, nodes: Sequence[Node], shades: Mapping[str, int], now: float, most: int, parts: int) -> PoolCard:
    lines = [node_line(node, shades, now, parts) for node in nodes[:most]]
    well = [node.status for node in nodes if node.healthy and node.status is not None]
    return PoolCard(
        name=name,
        url=address(f"{PREFIX}/nodes", {"q": name}),
        healthy=sum(node.healthy for node in nodes),
        nodes=tuple(lines),
        more=max(len(nodes) - most, 0),
        resident=sum(resident_bytes(node) for node in nodes if node.healthy),
        allocated=sum(status.memory_used for status in well),
        budget=sum(status.memory_budget for status in well),
        waiting_requests=sum(status.waiting_requests for status in well),
        tokens_per_second=sum(status.tokens_per_second for status in well),
        in_flight=sum(node.in_flight for node in nodes),
    )


def _has_failures(node: Node) -> bool:
    return node.status is not None and any(model.failure for model in node.status.models)


def resident_bytes(node: Node) -> int:
    """Of the models that are in its memory, as last heard."""
    models = node.status.models if node.status else ()
    return sum(model.bytes for model in models if model.tier == "device" and model.state == "resident")


def _rest(segments: Sequence[MemorySegment]) -> Rest | None:
    if not segments:
        return None
    end = segments[-1].x + segments[-1].width
    return Rest(len(segments), sum(segment.bytes for segment in segments), segments[0].x, round(end - segments[0].x, 3))


def _state(node: Node) -> tuple[str, Tone]:
    if node.healthy:
        return "healthy", "good"
    if node.status is None and node.failure == "not asked yet":
        return "not asked yet", "warn"
    return ("paused", "warn") if node.state == "open" else ("away", "bad")


def _segments(node: Node, shades: Mapping[str, int]) -> Sequence[MemorySegment]:
    status = node.status
    if status is None:
        return ()
    here = [model for model in status.models if model.tier != "host" and model.state != "failed"]
    whole = max(status.memory_budget, sum(model.bytes for model in here), 1)
    segments, x = [], 0.0
    for model in sorted(here, key=lambda model: (-model.bytes, model.id)):
        width = 100 * model.bytes / whole
        name = model.id if model.adapter is None else f"{model.id} + {model.adapter}"
        segments.append(
            MemorySegment(
                model=name,
                short=name.rpartition("/")[2],
                label=fitting(name.rpartition("/")[2], width),
                state=model.state,
                bytes=model.bytes,
                x=round(x, 3),
                width=round(width, 3),
                shade=shades[model.id],
                pinned=model.pinned,
                in_use=model.in_use,
                idle=model.idle_seconds,
            )
        )
        x += width
    return tuple(segments)


def fitting(name: str, width: float) -> str:
    """A name that has room in so many per cent of a bar; else nothing: half a name is noise, and the list has it."""
    return name if len(name) * LETTER <= width / 100 * BAR - 16 else ""


def shades_of(nodes: Sequence[Node]) -> dict[str, int]:
    """A model has one colour on all nodes, and where there are enough of them no other one beside it has the same."""
    together: dict[str, set[str]] = {}
    for node in nodes:
        here = {model.id for model in node.status.models} if node.status else set()
        for id_ in here:
            together.setdefault(id_, set()).update(here)
    shades: dict[str, int] = {}
    for id_ in sorted(together):
        taken = Counter(shades[other] for other in together[id_] if other in shades)
        shades[id_] = min(range(SHADES), key=lambda shade: (taken[shade], (shade - len(shades)) % SHADES))
    return shades
