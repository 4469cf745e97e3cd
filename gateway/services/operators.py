"""Operators: the people who sign in to the console. Passwords are kept as argon2id, and checked off the event loop."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, get_args

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import queries
from gateway.db.tables import Operator
from gateway.errors import Conflict, RequestError
from gateway.services.audit import Actor, begin_change, record
from gateway.services.ids import ALPHABET
from gateway.services.names import checked_name, known_spelling

Role = Literal["admin", "viewer"]
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


@dataclass(frozen=True, slots=True)
class CreatedOperator:
    """A new operator and the password to sign in with: the only time that it is known."""

    name: str
    role: Role
    password: str = field(repr=False)


async def create_operator(
    session: AsyncSession, actor: Actor, name: str, *, role: str = "admin", password: str | None = None
) -> CreatedOperator:
    """A new operator; without a `password` a random one is made."""
    name = checked_name(name, "operator")
    checked_role = _role(role)
    if password is None:
        password = new_password()
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise RequestError(f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.", param="password")
    password_hash = await asyncio.to_thread(PasswordHasher().hash, password)  # before the database is locked
    await begin_change(session)
    if await queries.operator(session, name) is not None:
        raise Conflict(f"There is already an operator called '{name}'.", param="name")
    session.add(Operator(name=name, password_hash=password_hash, role=checked_role, created_at=datetime.now(UTC)))
    record(session, actor, "operator.create", name, after={"role": checked_role})
    await session.flush()
    return CreatedOperator(name, checked_role, password)


async def verify_operator(session: AsyncSession, name: str, password: str) -> OperatorInfo | None:
    """The operator whose name and password these are, or None. Takes as long for a name that nobody has."""
    spelling = known_spelling(name)
    row = None if spelling is None else await queries.operator(session, spelling)
    kept = _NOBODY if row is None else row.password_hash
    right = len(password) <= LONGEST_PASSWORD and await asyncio.to_thread(_matches, kept, password)
    return OperatorInfo(row.name, _role(row.role), row.created_at) if row is not None and right else None


async def find_operator(session: AsyncSession, name: str) -> OperatorInfo | None:
    """The operator of this name, or None."""
    row = await queries.operator(session, name)
    return None if row is None else OperatorInfo(row.name, _role(row.role), row.created_at)


async def list_operators(session: AsyncSession) -> Sequence[OperatorInfo]:
    """Everybody who may sign in, by name."""
    return [OperatorInfo(row.name, _role(row.role), row.created_at) for row in await queries.operators(session)]


def new_password() -> str:
    """Twenty random letters and digits in groups of five: 103 bits, and easy to type."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(5)) for _ in range(4))


def _matches(password_hash: str, password: str) -> bool:
    try:
        return PasswordHasher().verify(password_hash, password)
    except (Argon2Error, UnicodeEncodeError):  # wrong, or no text at all (a lone surrogate)
        return False


def _role(text: str) -> Role:
    for role in ROLES:
        if role == text:
            return role
    raise RequestError(f"{text!r} is no role of an operator; use {' or '.join(ROLES)}.", param="role")
