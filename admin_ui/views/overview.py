"""The first page: nodes and what fills their memory, models, tenants, keys."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from litestar import get
from litestar.response import Redirect

from admin_ui.access import needs
from admin_ui.contexts.overview import MemorySegment, ModelLine, NodePanel, OverviewPage
from admin_ui.navigation import PREFIX
from admin_ui.visit import Answer, Visiting
from gateway.services.pools.node import Node
from gateway.services.register.tenants import TenantInfo, list_tenants
from gateway.services.snapshot.entries import PolicySnapshot

MOST_MODELS = 50
"""Models that the page lists."""
SHADES = 8


@get("/", opt=needs("own.look"))
async def overview(visit: Visiting) -> Answer:
    """Everything at a glance; for an operator of one tenant that tenant's page."""
    if visit.operator.tenant_id is not None:
        return Redirect(f"{PREFIX}/tenants/{visit.operator.tenant_id}", status_code=303)
    async with visit.reading() as db_session:
        tenants = await list_tenants(db_session)
    services = visit.services
    return visit.page(overview_page(services.nodes.nodes, services.feed.current, tenants, datetime.now(UTC)))


def overview_page(
    nodes: Sequence[Node], policies: PolicySnapshot, tenants: Sequence[TenantInfo], now: datetime
) -> OverviewPage:
    """Facts to page."""
    shades = _shades(nodes)
    panels = tuple(_panel(node, shades) for node in nodes)
    healthy = [panel for panel in panels if panel.healthy]
    models = sorted({entry.id: entry for entry in policies.models.values()}.values(), key=lambda entry: entry.id)
    return OverviewPage(
        nodes=panels,
        healthy_nodes=len(healthy),
        memory_used=sum(panel.memory_used for panel in healthy),
        memory_budget=sum(panel.memory_budget for panel in healthy),
        waiting_tokens=sum(panel.waiting_tokens for panel in healthy),
        models=tuple(
            ModelLine(entry.id, entry.aliases, entry.pool, entry.pinned, _holders(healthy, entry.id))
            for entry in models[:MOST_MODELS]
        ),
        model_count=len(models),
        tenant_count=len(tenants),
        suspended_count=sum(tenant.suspended_at is not None for tenant in tenants),
        key_count=sum(
            not key.revoked and (key.expires_at is None or key.expires_at > now) for key in policies.keys.values()
        ),
    )


def _panel(node: Node, shades: Mapping[str, int]) -> NodePanel:
    status = node.status
    problem = None if node.healthy else node.failure
    if status is None:
        return NodePanel(node.url, node.pool, node.healthy, problem, heard=False, in_flight=node.in_flight)
    return NodePanel(
        url=node.url,
        pool=node.pool,
        healthy=node.healthy,
        problem=problem,
        heard=True,
        device=status.device,
        memory_used=status.memory_used,
        memory_budget=status.memory_budget,
        segments=_segments(node, shades),
        failed_models=tuple((model.id, model.failure or "") for model in status.models if model.state == "failed"),
        waiting_tokens=status.waiting_tokens,
        waiting_requests=status.waiting_requests,
        in_flight=node.in_flight,
        tokens_per_second=status.tokens_per_second,
    )


def _segments(node: Node, shades: Mapping[str, int]) -> tuple[MemorySegment, ...]:
    if node.status is None:
        return ()
    on_device = [model for model in node.status.models if model.tier != "host" and model.state != "failed"]
    models = sorted(on_device, key=lambda model: -model.bytes)
    whole = max(node.status.memory_budget, sum(model.bytes for model in models), 1)
    segments, start = [], 0.0
    for model in models:
        width = 100 * model.bytes / whole
        segments.append(
            MemorySegment(
                model.id, model.state, model.bytes, start, width, shades[model.id], model.pinned, model.in_use
            )
        )
        start += width
    return tuple(segments)


def _shades(nodes: Sequence[Node]) -> dict[str, int]:
    ids = sorted({model.id for node in nodes if node.status for model in node.status.models})
    return {id_: place % SHADES for place, id_ in enumerate(ids)}


def _holders(panels: Sequence[NodePanel], model_id: str) -> int:
    return sum(any(s.model == model_id and s.state == "resident" for s in panel.segments) for panel in panels)
