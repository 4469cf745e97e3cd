"""Operators: the people who run the fleet, or one tenant of it. Passwords are argon2id, checked off the event loop."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, get_args

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import console_rows, queries
from gateway.db.tables import Operator
from gateway.errors import Conflict, NotFound, RequestError
from gateway.services.ids import ALPHABET
from gateway.services.register.audit import Actor, begin_change, record
from gateway.services.register.names import checked_name, known_spelling
from gateway.services.register.tenants import tenant_row
from gateway.services.register.versions import check_version, count_change

Role = Literal["admin", "viewer", "tenant_admin"]
"""`admin` changes everything, `viewer` looks at everything, `tenant_admin` runs one tenant and knows of no other."""
ROLES: tuple[Role, ...] = get_args(Role)

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 1000

# What verifying costs when there is no such operator, so that the time tells nobody which names exist.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$c2hvYWwtbm9ib2R5LTAwMA$NmTMiI/y3mfMTDxKGnvTZ9GTwuNsADIzgoCdMIjbnAQ"


@dataclass(frozen=True, slots=True)
class OperatorInfo:
    """An operator without the password."""

    name: str
    role: Role
    created_at: datetime
    tenant_id: str | None = None
    """The one tenant that this operator may see; None: all."""
    version: int = 1
    outside: bool = False
    """Signs in elsewhere, and has no password here."""


@dataclass(frozen=True, slots=True)
class CreatedOperator:
    """A new operator, or an old one with a new password: the only time that it is known."""

    name: str
    role: Role
    password: str = field(repr=False)
    tenant_id: str | None = None
    version: int = 1


async def create_operator(
    session: AsyncSession,
    actor: Actor,
    name: str,
    *,
    role: str = "admin",
    tenant: str | None = None,
    password: str | None = None,
) -> CreatedOperator:
    """A new operator; without a `password` a random one is made. A `tenant` (name or id) confines a tenant_admin."""
    name = checked_operator_name(name)
    checked_role = _checked_role(role, tenant)
    password, password_hash = await _password(password)
    await begin_change(session)
    if await queries.operator(session, name) is not None:
        raise Conflict(f"There is already an operator called '{name}'.", param="name")
    tenant_id = None if tenant is None else (await tenant_row(session, tenant)).id
    row = Operator(
        name=name, password_hash=password_hash, role=checked_role, tenant_id=tenant_id, created_at=datetime.now(UTC)
    )
    session.add(row)
    record(session, actor, "operator.create", name, after={"role": checked_role, "tenant": tenant_id})
    await session.flush()
    return CreatedOperator(name, checked_role, password, tenant_id, row.version)


async def set_role(
    session: AsyncSession, actor: Actor, name: str, *, role: str, tenant: str | None = None, version: int | None = None
) -> OperatorInfo:
    """What an operator may do from now on, with tokens, too. `tenant` is that of a tenant_admin.

    Sessions at the console end: one that somebody got hold of must not grow with its operator.
    """
    checked_role = _checked_role(role, tenant)
    await begin_change(session)
    row = await operator_row(session, name)
    check_version(row, version)
    tenant_id = None if tenant is None else (await tenant_row(session, tenant)).id
    if (row.role, row.tenant_id) != (checked_role, tenant_id):
        if checked_role != "admin":
            await _check_other_admin(session, row)
        before = {"role": row.role, "tenant": row.tenant_id}
        row.role, row.tenant_id = checked_role, tenant_id
        count_change(row)
        await console_rows.end_sessions_of(session, row.name)
        record(session, actor, "operator.role", row.name, before=before, after={"role": role, "tenant": tenant_id})
        await session.flush()
    return operator_info(row)


async def set_password(
    session: AsyncSession,
    actor: Actor,
    name: str,
    *,
    password: str | None = None,
    version: int | None = None,
) -> CreatedOperator:
    """Another password, in place of one that is lost or known to others; without a `password` a random one is made.

    Whoever signed in by the old one is out at once: every session at the console ends.
    """
    password, password_hash = await _password(password)
    await begin_change(session)
    row = await operator_row(session, name)
    check_version(row, version)
    if row.subject is not None:
        raise Conflict(f"'{row.name}' signs in elsewhere and has no password here.", param="operator")
    row.password_hash = password_hash
    count_change(row)
    await console_rows.end_sessions_of(session, row.name)
    record(session, actor, "operator.password", row.name)
    await session.flush()
    return CreatedOperator(row.name, _role(row.role), password, row.tenant_id, row.version)


async def remove_operator(
    session: AsyncSession, actor: Actor, name: str, *, version: int | None = None
) -> OperatorInfo:
    """Forget an operator and all tokens; who signed in is out at once. Raises Conflict for the last admin."""
    await begin_change(session)
    row = await operator_row(session, name)
    check_version(row, version)
    await _check_other_admin(session, row)
    await session.delete(row)  # the database takes the tokens along
    record(session, actor, "operator.remove", row.name, before={"role": row.role, "tenant": row.tenant_id})
    await session.flush()
    return operator_info(row)


async def verify_operator(session: AsyncSession, name: str, password: str) -> OperatorInfo | None:
    """The operator whose name and password these are, or None. Takes as long for a name that nobody has."""
    spelling = known_spelling(name)
    row = None if spelling is None else await queries.operator(session, spelling)
    if row is not None and row.subject is not None:  # by a password nobody is let in who has none
        row = None
    kept = _NOBODY if row is None else row.password_hash
    right = len(password) <= LONGEST_PASSWORD and await asyncio.to_thread(_matches, kept, password)
    return operator_info(row) if row is not None and right else None


async def find_operator(session: AsyncSession, name: str) -> OperatorInfo | None:
    """The operator of this name, or None."""
    row = await queries.operator(session, name)
    return None if row is None else operator_info(row)


async def list_operators(session: AsyncSession) -> Sequence[OperatorInfo]:
    """Everybody who may sign in, by name."""
    return [operator_info(row) for row in await queries.operators(session)]


async def operator_row(session: AsyncSession, name: str) -> Operator:
    """The row itself, for the services beside this one."""
    spelling = known_spelling(name)
    row = None if spelling is None else await queries.operator(session, spelling)
    if row is None:
        raise NotFound(f"No operator is called {name!r}; see: shoal operator list.", param="operator")
    return row


def checked_operator_name(name: str) -> str:
    """A name that an address can end in: no slash, and neither of the two that mean a place above."""
    name = checked_name(name, "operator")
    if "/" in name:
        raise RequestError(f"The operator name {name!r} has a slash, which no address could name.", param="name")
    if name in {".", ".."}:
        raise RequestError(f"The operator name {name!r} is no part of an address; add a letter.", param="name")
    return name


def new_password() -> str:
    """Twenty random letters and digits in groups of five: 103 bits, and easy to type."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(5)) for _ in range(4))


async def _password(chosen: str | None) -> tuple[str, str]:
    """The password and what is kept of it. Takes a while, so it comes before the database is locked."""
    password = new_password() if chosen is None else chosen
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise RequestError(f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.", param="password")
    try:
        return password, await asyncio.to_thread(PasswordHasher().hash, password)
    except UnicodeEncodeError:
        raise RequestError("The password is no text: it has half a character.", param="password") from None


def _matches(password_hash: str, password: str) -> bool:
    try:
        return PasswordHasher().verify(password_hash, password)
    except (Argon2Error, UnicodeEncodeError):  # wrong, or no text at all (a lone surrogate)
        return False


async def _check_other_admin(session: AsyncSession, row: Operator) -> None:
    """Somebody must be left who may change everything."""
    others = [one for one in await queries.operators(session) if one.role == "admin" and one.name != row.name]
    if row.role == "admin" and not others:
        raise Conflict(f"'{row.name}' is the last admin; make somebody else one first.", param="operator")


def _checked_role(text: str, tenant: str | None) -> Role:
    role = _role(text)
    if (role == "tenant_admin") != (tenant is not None):
        raise RequestError(
            "An operator with the role tenant_admin is of one tenant, and no other role is; give both or neither.",
            param="tenant",
        )
    return role


def _role(text: str) -> Role:
    for role in ROLES:
        if role == text:
            return role
    raise RequestError(f"{text!r} is no role of an operator; use {', '.join(ROLES)}.", param="role")


def operator_info(row: Operator) -> OperatorInfo:
    """A row as others may see it."""
    return OperatorInfo(row.name, _role(row.role), row.created_at, row.tenant_id, row.version, row.subject is not None)
