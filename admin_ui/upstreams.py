"""Where the pages of upstreams are, and how an upstream stands, by what this gateway knows of it as a node."""

from collections.abc import Iterable

from admin_ui.contexts.upstreams import UpstreamHealth
from admin_ui.fleet import node_line, node_url, shades_of
from admin_ui.navigation import PREFIX
from gateway.services.pools.node import Node
from gateway.services.register.upstreams import UpstreamInfo

HERE = f"{PREFIX}/upstreams"


def upstream_url(upstream_id: str, rest: str = "") -> str:
    """The page of an upstream, or a form of it."""
    return f"{HERE}/at/{upstream_id}{rest}"


def health_of(upstream: UpstreamInfo, nodes: Iterable[Node], now: float) -> UpstreamHealth:
    """How it is. `now` is on the loop's clock."""
    name = f"{upstream.base_url}#{upstream.id}"
    node = next((node for node in nodes if node.name == name and node.pool == upstream.pool), None)
    if node is None:
        return UpstreamHealth("not followed yet", "warn", None, None, 0, (), None)
    line = node_line(node, shades_of([node]), now)
    models = tuple(model.id for model in node.status.models) if node.status else ()
    age = None if node.status is None else max(now - node.heard, 0.0)
    return UpstreamHealth(line.state, line.tone, line.problem, age, node.in_flight, models, node_url(node))
