"""What somebody should look at, the worst first: from what the gateway knows of itself, its nodes and its tenants."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from admin_ui.contexts.overview import Concern
from admin_ui.fleet import node_name, node_url
from admin_ui.navigation import PREFIX
from admin_ui.paging import address
from admin_ui.wording import ago_text, compact_text, number_text, plural_text, span_text
from gateway.services.pools.node import Node
from gateway.services.snapshot.entries import KeyEntry, PolicySnapshot
from gateway.services.usage.limits_reached import BudgetPassed, Refused

EXPIRING = timedelta(days=14)
BEHIND = 60.0
"""Seconds after which usage that waits for the database is worth a word."""
FEWEST_REFUSED = 10
"""Requests of a tenant, in an hour; fewer are somebody who tries something."""
MOST_ALIKE = 3
"""Concerns of one kind that are named; more are counted."""


def of_gateway(reasons: Sequence[str], waiting: int, oldest: float) -> Iterator[Concern]:
    """What /health/ready gives as reasons, and usage that does not reach the database."""
    for reason in reasons:
        if not reason.startswith("No node of the pool"):
            yield Concern("bad", reason.rstrip("."), "This gateway says so of itself in /health/ready.")
    if oldest > BEHIND:
        yield Concern(
            "warn",
            f"{plural_text(waiting, 'usage record')} not in the database yet",
            f"The oldest has waited for {span_text(oldest)}. They are safe on disk and are written once it answers.",
        )


def of_nodes(nodes: Sequence[Node]) -> Iterator[Concern]:
    """Nodes that are away, and models that could not be loaded."""
    for node in nodes:
        if not node.healthy and not (node.status is None and node.failure == "not asked yet"):
            why = f"{(node.failure or 'It does not answer').rstrip('.')}. Pool {node.pool}."
            yield Concern("bad", f"Node {node_name(node)} takes no requests", why[:1].upper() + why[1:], node_url(node))
    failures: dict[tuple[str, str], list[str]] = {}
    for node in nodes:
        for model in node.status.models if node.status else ():
            if model.failure:
                failures.setdefault((model.id, model.failure), []).append(node_name(node))
    for (model_id, why), where in failures.items():
        place = where[0] if len(where) == 1 else plural_text(len(where), "node")
        yield Concern(
            "bad", f"{model_id} could not be loaded", f"On {place}: {why}", address(f"{PREFIX}/models", {"q": model_id})
        )


def of_tenants(
    budgets: Sequence[BudgetPassed], refused: Sequence[Refused], policies: PolicySnapshot
) -> Iterator[Concern]:
    """Tenants at a limit."""
    for budget in budgets:
        tenant = policies.tenants.get(budget.tenant_id)
        if tenant is None:
            continue
        whose = "A key of " if budget.of_key else ""
        models = "all models" if budget.model_pattern == "*" else budget.model_pattern
        spent = "has spent its" if budget.percent >= 100 else f"has spent {budget.percent} % of its"
        yield Concern(
            "bad" if budget.percent >= 100 else "warn",
            f"{whose}{tenant.name} {spent} monthly tokens",
            f"{compact_text(budget.amount)} for {models}.",
            f"{PREFIX}/tenants/{budget.tenant_id}",
        )
    for one in (one for one in refused if one.requests >= FEWEST_REFUSED):
        yield Concern(
            "warn",
            f"Requests of {one.name} are refused",
            f"{number_text(one.requests)} since the hour began: by a limit, or for models that it may not use.",
            f"{PREFIX}/tenants/{one.tenant_id}",
        )


def of_keys(keys: Mapping[str, KeyEntry], now: datetime) -> Iterator[Concern]:
    """Keys that end soon."""
    soon = sorted(
        (
            (key.expires_at, key)
            for key in keys.values()
            if key.expires_at is not None
            and now < key.expires_at <= now + EXPIRING
            and not key.revoked
            and not key.tenant.suspended
        ),
        key=lambda pair: pair[0],
    )
    for moment, key in soon[:MOST_ALIKE]:
        what = f"The key {key.name} of {key.tenant.name} expires {ago_text(moment, now)}"
        yield Concern("warn", what, "Rotate it while both can work.", f"{PREFIX}/tenants/{key.tenant.id}")
    if len(soon) > MOST_ALIKE:
        rest = len(soon) - MOST_ALIKE
        yield Concern("warn", f"{plural_text(rest, 'more key expires', 'more keys expire')} within two weeks", "")
