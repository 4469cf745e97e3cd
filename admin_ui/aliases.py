"""Where the pages of aliases are, and the fields of their forms, checked as the register checks them."""

from urllib.parse import quote

from sqlalchemy.ext.asyncio import AsyncSession

from admin_ui.forms import Form
from admin_ui.heads import tenant_url
from admin_ui.visit import Visit
from gateway.services.register.aliases import list_aliases
from gateway.services.register.models import find_model
from gateway.services.register.names import checked_model_name

FIELDS = {"id": "alias"}
"""Parameters that the register blames, and the fields of forms that they come from."""


def aliases_url(tenant_id: str) -> str:
    """The aliases of a tenant."""
    return tenant_url(tenant_id, "/aliases")


def alias_url(tenant_id: str, alias: str, what: str = "at") -> str:
    """The form of one of them, or another page of it. Names have slashes, so they come last."""
    return f"{aliases_url(tenant_id)}/{what}/{quote(alias, safe='/:@+')}"


def read_alias(form: Form) -> str:
    """The name."""
    alias = form.text("alias")
    if alias:
        with form.catching(FIELDS):
            checked_model_name(alias, "an alias")
    return alias


async def read_model(visit: Visit, form: Form) -> str:
    """What it shall mean: a registered model, by id or alias."""
    model = form.text("model")
    if model:
        with form.catching():
            async with visit.reading() as session:
                return (await find_model(session, model)).id
    return model


async def meaning_of(session: AsyncSession, tenant_id: str, alias: str) -> str | None:
    """What a tenant calls so by a name of its own now."""
    found = await list_aliases(session, tenant_id)
    return next((one.model_id for one in found if one.alias == alias), None)
