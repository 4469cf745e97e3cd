"""Operators who prove elsewhere who they are: made and changed as the settings read their provider's word."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import console_rows, queries
from gateway.db.tables import Operator
from gateway.errors import Conflict
from gateway.services.access.operators import OperatorInfo, Role, checked_operator_name, operator_info
from gateway.services.register.audit import Actor, begin_change, record
from gateway.services.register.tenants import tenant_row


@dataclass(frozen=True, slots=True)
class Outsider:
    """Somebody, as a provider knows them."""

    subject: str
    """Who it is, for good: the provider and its own id for them."""
    name: str
    """What they shall be called here."""
    role: Role
    tenant: str | None = None
    """Of a tenant admin: by name or id."""


async def admit_outsider(session: AsyncSession, actor: Actor, who: Outsider) -> OperatorInfo:
    """The operator whom they are here, with the role that they have by now; made when they come for the first time.

    Raises Conflict where somebody else is called so here: nobody gets at another's place by a name. NotFound where
    there is no such tenant.
    """
    await begin_change(session)
    tenant_id = None if who.tenant is None else (await tenant_row(session, who.tenant)).id
    after = {"role": who.role, "tenant": tenant_id}
    row = await queries.operator_of_subject(session, who.subject)
    if row is None:
        name = checked_operator_name(who.name)
        if await queries.operator(session, name) is not None:
            raise Conflict(
                f"There is already another operator called '{name}' here; ask an admin to remove them first."
            )
        row = Operator(
            name=name,
            password_hash="",
            role=who.role,
            tenant_id=tenant_id,
            created_at=datetime.now(UTC),
            subject=who.subject,
        )
        session.add(row)
        record(session, actor, "operator.create", name, after=after | {"subject": who.subject})
    elif (row.role, row.tenant_id) != (who.role, tenant_id):
        before = {"role": row.role, "tenant": row.tenant_id}
        row.role, row.tenant_id = who.role, tenant_id
        row.version += 1
        await console_rows.end_sessions_of(session, row.name)
        record(session, actor, "operator.role", row.name, before=before, after=after)
    await session.flush()
    return operator_info(row)
