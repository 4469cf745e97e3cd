"""The head of a tenant's pages, and of those of its keys."""

from datetime import UTC, datetime

from admin_ui.contexts.tenant import KeyHead, Tab, TenantHead
from admin_ui.navigation import PREFIX
from admin_ui.visit import Visit
from gateway.services.register.keys import KeyInfo
from gateway.services.register.tenants import TenantInfo

TABS = (
    ("Overview", ""),
    ("API keys", "/keys"),
    ("Models", "/models"),
    ("Aliases", "/aliases"),
    ("Limits", "/limits"),
    ("Usage", "/usage"),
    ("Playground", "/playground"),
    ("Audit log", "/audit"),
)


def tenant_url(tenant_id: str, rest: str = "") -> str:
    """The address of a tenant's page."""
    return f"{PREFIX}/tenants/{tenant_id}{rest}"


def key_url(tenant_id: str, key_id: str, rest: str = "") -> str:
    """The address of a key's page."""
    return tenant_url(tenant_id, f"/keys/{key_id}{rest}")


def head_of(visit: Visit, tenant: TenantInfo, here: str | None = None) -> TenantHead:
    """`here` is the tab that the page is, or lies below."""
    tabs = [Tab(label, tenant_url(tenant.id, rest), rest == here) for label, rest in TABS]
    return TenantHead(
        id=tenant.id,
        name=tenant.name,
        suspended=tenant.suspended_at is not None,
        home=tenant_url(tenant.id),
        tabs=tabs if visit.operator.tenant_id is None else (),
    )


def key_head_of(key: KeyInfo) -> KeyHead:
    """Of the pages about this key."""
    return KeyHead(key.id, key.name, key.state(datetime.now(UTC)), key_url(key.tenant_id, key.id))
