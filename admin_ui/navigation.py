"""The pages that the navigation names, in its order: a line is added with the page."""

from collections.abc import Sequence
from dataclasses import dataclass

from admin_ui.contexts.frame import NavLink
from gateway.services.access.operators import OperatorInfo
from gateway.services.access.roles import RIGHTS, Right

PREFIX = "/admin"


@dataclass(frozen=True, slots=True)
class Entry:
    """A page of the whole fleet and, where there is one, its sister that shows one tenant."""

    label: str
    icon: str
    path: str | None
    """Below the prefix; None: there is only that of a tenant."""
    of_tenant: str | None = None
    """Below the tenant's own page; None: tenant admins have no such page."""
    needs: Right = "fleet.look"


ENTRIES = (
    Entry("Overview", "overview", "", of_tenant=""),
    Entry("Tenants", "tenants", "/tenants"),
    Entry("API keys", "keys", None, of_tenant="/keys"),
    Entry("Models", "models", "/models", of_tenant="/models"),
    Entry("Aliases", "aliases", None, of_tenant="/aliases"),
    Entry("Limits", "limits", None, of_tenant="/limits"),
    Entry("Usage", "usage", "/usage", of_tenant="/usage"),
    Entry("Nodes", "nodes", "/nodes"),
    Entry("Upstreams", "upstreams", "/upstreams"),
    Entry("Playground", "playground", "/playground", of_tenant="/playground"),
    Entry("Audit log", "audit", "/audit", of_tenant="/audit"),
    Entry("Operators", "operators", "/operators"),
)


def links(operator: OperatorInfo, path: str) -> Sequence[NavLink]:
    """What an operator may go to, as seen from the page at `path`."""
    if operator.tenant_id is not None:
        home = f"{PREFIX}/tenants/{operator.tenant_id}"
        found = [(entry, f"{home}{entry.of_tenant}") for entry in ENTRIES if entry.of_tenant is not None]
    else:
        rights = RIGHTS[operator.role]
        found = [
            (entry, f"{PREFIX}{entry.path}") for entry in ENTRIES if entry.path is not None and entry.needs in rights
        ]
    # The deepest address that the page lies below is where one is.
    below = [url for _, url in found if f"{path.rstrip('/')}/".startswith(f"{url}/") and url != PREFIX]
    here = max(below, key=len, default=path.rstrip("/"))
    return [NavLink(entry.label, url, entry.icon, url == here) for entry, url in found]
