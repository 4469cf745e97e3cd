"""Operator tokens: `op-shoal-<id>-<secret>`, with which a program acts for an operator, on the admin API alone.

Built like API keys: the id finds the row; the secret, 256 random bits, is kept as SHA-256 and compared in constant
time. A token never may more than its operator may now, and less if it is `read_only`.
"""

import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import queries
from gateway.db.tables import OperatorToken
from gateway.errors import NotFound, RequestError
from gateway.services.access.operators import OperatorInfo, operator_info, operator_row
from gateway.services.ids import new_id
from gateway.services.register.audit import Actor, begin_change, record
from gateway.services.register.keys import hash_secret
from gateway.services.register.names import checked_name

TOKEN = re.compile(r"op-shoal-([a-z0-9]{12})-([A-Za-z0-9_-]{43})")
TOKEN_ID = re.compile(r"[a-z0-9]{12}")
USE_INTERVAL = timedelta(minutes=1)
"""Between two writes of when a token was last used."""


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A token without its secret."""

    id: str
    operator: str
    name: str
    read_only: bool
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    def state(self, now: datetime) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


@dataclass(frozen=True, slots=True)
class CreatedToken:
    """A new token: the only time that its text exists outside the caller's hands."""

    id: str
    token: str = field(repr=False)
    operator: str
    name: str
    read_only: bool
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who a token stands for."""

    operator: OperatorInfo
    tenant_name: str | None
    """The name of the operator's one tenant."""
    token: TokenInfo


async def create_token(
    session: AsyncSession,
    actor: Actor,
    operator: str,
    *,
    name: str = "default",
    expires_at: datetime | None = None,
    read_only: bool = False,
) -> CreatedToken:
    """A new token of the operator. The text in the reply is not kept anywhere."""
    name = checked_name(name, "token")
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise RequestError("The token would be expired from the start; choose a later time.", param="expires_at")
    await begin_change(session)
    owner = await operator_row(session, operator)
    token_id, secret = new_id(), secrets.token_urlsafe(32)
    row = OperatorToken(
        id=token_id,
        operator=owner.name,
        name=name,
        secret_sha256=hash_secret(secret),
        read_only=read_only,
        created_at=datetime.now(UTC),
        expires_at=expires_at,
    )
    session.add(row)
    expires = expires_at.isoformat() if expires_at else None
    after = {"operator": owner.name, "name": name, "read_only": read_only, "expires_at": expires}
    record(session, actor, "token.create", token_id, after=after)
    await session.flush()
    return CreatedToken(token_id, f"op-shoal-{token_id}-{secret}", owner.name, name, read_only, expires_at)


async def list_tokens(session: AsyncSession, operator: str | None = None) -> Sequence[TokenInfo]:
    """The tokens of an operator, or of all; oldest first, revoked ones included."""
    owner = None if operator is None else (await operator_row(session, operator)).name
    return [_info(row) for row in await queries.operator_tokens(session, owner)]


async def find_token(session: AsyncSession, token_id: str) -> TokenInfo:
    """The token of this id, else NotFound."""
    return _info(await _row(session, token_id))


async def revoke_token(session: AsyncSession, actor: Actor, token: str) -> TokenInfo:
    """Refuse the token from now on, for ever. `token` is its id or the whole token. Again: nothing changes."""
    await begin_change(session)
    row = await _row(session, token)
    if row.revoked_at is None:
        row.revoked_at = datetime.now(UTC)
        record(session, actor, "token.revoke", row.id, before={"revoked": False}, after={"revoked": True})
        await session.flush()
    return _info(row)


async def verify_token(session: AsyncSession, text: str) -> Bearer | None:
    """Who the token stands for; None for one that is malformed, unknown, revoked or expired."""
    match = TOKEN.fullmatch(text)
    if match is None:
        return None
    row = await queries.operator_token(session, match[1])
    # An unknown token is compared too, so that time does not tell it from a known one.
    right = hmac.compare_digest(hash_secret(match[2]), bytes(32) if row is None else row.secret_sha256)
    operator = None if row is None else await queries.operator(session, row.operator)
    if row is None or operator is None or not right or _info(row).state(datetime.now(UTC)) != "active":
        return None
    tenant = None if operator.tenant_id is None else await queries.tenant(session, operator.tenant_id)
    return Bearer(operator_info(operator), None if tenant is None else tenant.name, _info(row))


async def note_token_use(session: AsyncSession, token: TokenInfo) -> None:
    """Remember that the token was used now. Worth a call only where `is_use_due`."""
    row = await queries.operator_token(session, token.id)
    if row is not None:
        row.last_used_at = datetime.now(UTC)


def is_use_due(token: TokenInfo) -> bool:
    """Whether the last use that was noted is long enough ago."""
    return token.last_used_at is None or datetime.now(UTC) - token.last_used_at >= USE_INTERVAL


async def _row(session: AsyncSession, token: str) -> OperatorToken:
    token_id = token.removeprefix("op-shoal-").partition("-")[0]
    row = await queries.operator_token(session, token_id) if TOKEN_ID.fullmatch(token_id) else None
    if row is None:  # not repeated: it may be a secret that was pasted
        raise NotFound("No operator token has this id; see: shoal operator token list.", param="token")
    return row


def _info(row: OperatorToken) -> TokenInfo:
    return TokenInfo(
        id=row.id,
        operator=row.operator,
        name=row.name,
        read_only=row.read_only,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
