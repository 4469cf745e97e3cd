"""From the nodes as the gateway knows them to what pages show of pools."""

from collections import Counter
from collections.abc import Mapping, Sequence

from admin_ui.contexts.overview import MemorySegment, NodeLine, PoolCard, Tone
from gateway.services.pools.node import Node

SHADES = 8
STALE_AFTER = 10.0
"""Seconds after which what a node said is shown as of then."""
BAR, LETTER = 600.0, 6.6
"""Pixels of a bar, and of a letter in it, on a usual screen."""
FEWEST_LETTERS = 5
MOST_NODES = 24
"""Of a pool on the overview."""


def pool_cards(nodes: Sequence[Node], now: float, most: int = MOST_NODES) -> Sequence[PoolCard]:
    """Every pool, the largest first; in each the nodes that need a look come first. `now` is on the loop's clock."""
    shades = _shades(nodes)
    pools: dict[str, list[Node]] = {}
    for node in nodes:
        pools.setdefault(node.pool, []).append(node)
    cards = [_card(name, members, shades, now, most) for name, members in pools.items()]
    return tuple(sorted(cards, key=lambda card: (-card.budget, card.name)))


def node_line(node: Node, shades: Mapping[str, int], now: float) -> NodeLine:
    """One node."""
    status = node.status
    id_ = "node-" + "".join(letter if letter.isalnum() else "-" for letter in f"{node.pool}-{node.name}")
    name = node.name.removeprefix("http://").removeprefix("https://")
    state, tone = _state(node)
    problem = None if node.healthy else node.failure
    if status is None:
        return NodeLine(id_, name, state, tone, problem, heard=False, in_flight=node.in_flight)
    age = now - node.heard
    resident = sum(model.bytes for model in status.models if model.tier == "device" and model.state == "resident")
    return NodeLine(
        id=id_,
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
        segments=_segments(node, shades),
        failed=tuple((model.id, model.failure or "no reason given") for model in status.models if model.failure),
        waiting_requests=status.waiting_requests,
        waiting_tokens=status.waiting_tokens,
        in_flight=node.in_flight,
        tokens_per_second=status.tokens_per_second,
        backlog=status.waiting_tokens / status.tokens_per_second if status.tokens_per_second else None,
    )


def _card(name: str, nodes: Sequence[Node], shades: Mapping[str, int], now: float, most: int) -> PoolCard:
    lines = [node_line(node, shades, now) for node in nodes]
    well = [line for line, node in zip(lines, nodes, strict=True) if node.healthy]
    lines.sort(key=lambda line: (line.tone == "good" and not line.failed, line.name))
    return PoolCard(
        name=name,
        healthy=len(well),
        nodes=tuple(lines[:most]),
        more=max(len(lines) - most, 0),
        resident=sum(line.resident for line in well),
        allocated=sum(line.allocated for line in well),
        budget=sum(line.budget for line in well),
        waiting_requests=sum(line.waiting_requests for line in well),
        tokens_per_second=sum(line.tokens_per_second for line in well),
        in_flight=sum(line.in_flight for line in lines),
    )


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
    """As much of a name as has room in so many per cent of a bar; nothing where that would be a few letters."""
    room = int((width / 100 * BAR - 16) / LETTER)
    if len(name) <= room:
        return name
    return f"{name[: room - 1].rstrip('-_.')}\N{HORIZONTAL ELLIPSIS}" if room >= FEWEST_LETTERS else ""


def _shades(nodes: Sequence[Node]) -> dict[str, int]:
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
