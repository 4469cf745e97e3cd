"""Operators: the people who run the fleet, or one tenant of it."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.api.admin.lists import Listed, Piece, listed, shown_as
from gateway.api.admin.operation import Ask, operation
from gateway.services.access import operators
from gateway.services.access.operators import LONGEST_PASSWORD, SHORTEST_PASSWORD, Role

OperatorName = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[^/]+$")]
Password = Annotated[str, Meta(min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD)]


class NewOperator(msgspec.Struct, forbid_unknown_fields=True):
    """An operator to be made."""

    name: OperatorName
    role: Role
    tenant: str | None = None
    """Of a tenant_admin, and of no other: the one tenant, by id or name."""
    password: Password | None = None
    """Null: a random one is made."""


class NewPassword(msgspec.Struct, forbid_unknown_fields=True):
    """Another password."""

    password: Password | None = None
    """Null: a random one is made."""


class NewRole(msgspec.Struct, forbid_unknown_fields=True):
    """Another role."""

    role: Role
    tenant: str | None = None
    """Of a tenant_admin, and of no other: the one tenant, by id or name."""


class Operator(msgspec.Struct, frozen=True):
    """An operator without the password."""

    name: str
    role: Role
    tenant_id: str | None
    created_at: datetime
    version: int


class OperatorWithPassword(msgspec.Struct, frozen=True):
    """An operator with the password, which is in this reply and nowhere else."""

    name: str
    role: Role
    tenant_id: str | None
    password: str
    version: int


shown = shown_as(Operator)


@operation("POST", "/operators", right="fleet.change", status=201, tagged=True)
async def create_operator(ask: Ask, body: NewOperator) -> OperatorWithPassword:
    """Make an operator who may sign in to the console. The password is in the reply, once."""
    async with ask.changing() as session:
        made = await operators.create_operator(
            session, ask.actor, body.name, role=body.role, tenant=body.tenant, password=body.password
        )
    ask.version, ask.location = made.version, f"/operators/{made.name}"
    return shown_as(OperatorWithPassword)(made)


@operation("GET", "/operators", right="fleet.look")
async def list_operators(ask: Ask, query: Piece) -> Listed[Operator]:
    """Everybody who may sign in, by name."""
    async with ask.looking() as session:
        found = await operators.list_operators(session)
    return listed(found, query, position=lambda operator: operator.name, shown=shown)


@operation("GET", "/operators/{operator:str}", right="fleet.look", tagged=True)
async def show_operator(ask: Ask, operator: str) -> Operator:
    """One operator."""
    async with ask.looking() as session:
        found = operators.operator_info(await operators.operator_row(session, operator))
    ask.version = found.version
    return shown(found)


@operation("PUT", "/operators/{operator:str}/role", right="fleet.change", tagged=True, guarded=True)
async def set_role(ask: Ask, operator: str, body: NewRole) -> Operator:
    """Give an operator another role, which holds for tokens at once and ends sessions at the console."""
    async with ask.changing() as session:
        changed = await operators.set_role(
            session, ask.actor, operator, role=body.role, tenant=body.tenant, version=ask.seen
        )
    ask.version = changed.version
    return shown(changed)


@operation("PUT", "/operators/{operator:str}/password", right="fleet.change", tagged=True, guarded=True)
async def set_password(ask: Ask, operator: str, body: NewPassword) -> OperatorWithPassword:
    """Give an operator another password. It is in the reply, once."""
    async with ask.changing() as session:
        made = await operators.set_password(session, ask.actor, operator, password=body.password, version=ask.seen)
    ask.version = made.version
    return shown_as(OperatorWithPassword)(made)


@operation("DELETE", "/operators/{operator:str}", right="fleet.change", status=204)
async def remove_operator(ask: Ask, operator: str) -> None:
    """Forget an operator and all tokens."""
    async with ask.changing() as session:
        await operators.remove_operator(session, ask.actor, operator, version=ask.seen)


OPERATIONS = (create_operator, list_operators, show_operator, set_role, set_password, remove_operator)
