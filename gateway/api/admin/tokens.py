"""Operator tokens: what programs send to this API."""

from datetime import datetime

import msgspec

from gateway.api.admin.lists import Listed, Piece, listed, shown_as
from gateway.api.admin.operation import Ask, operation
from gateway.api.admin.words import Moment, Name
from gateway.services.access import operator_tokens
from gateway.services.access.operator_tokens import TokenInfo
from gateway.services.access.operators import Role


class NewToken(msgspec.Struct, forbid_unknown_fields=True):
    """A token to be made."""

    operator: Name
    """Whom it stands for: it may what this operator may."""
    name: Name = "default"
    expires_at: Moment | None = None
    read_only: bool = False


class Token(msgspec.Struct, frozen=True):
    """A token without its secret."""

    id: str
    operator: str
    name: str
    read_only: bool
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class CreatedToken(msgspec.Struct, frozen=True):
    """A new token with its text, which is in this reply and nowhere else."""

    id: str
    token: str
    operator: str
    name: str
    read_only: bool
    expires_at: datetime | None


class Self(msgspec.Struct, frozen=True):
    """Who asks."""

    operator: str
    role: Role
    tenant_id: str | None
    tenant: str | None
    """The name of the one tenant that a tenant_admin may see."""
    token: Token


shown = shown_as(Token)


@operation("GET", "/self", right="own.look")
async def show_self(ask: Ask) -> Self:
    """Who you are to this API, and by which token."""
    operator = ask.bearer.operator
    return Self(operator.name, operator.role, operator.tenant_id, ask.bearer.tenant_name, shown(ask.bearer.token))


@operation("POST", "/tokens", right="fleet.change", status=201)
async def create_token(ask: Ask, body: NewToken) -> CreatedToken:
    """Make a token. Its text is in the reply, once; only a hash of it is kept."""
    async with ask.changing() as session:
        made = await operator_tokens.create_token(
            session,
            ask.actor,
            body.operator,
            name=body.name,
            expires_at=body.expires_at,
            read_only=body.read_only,
        )
    ask.location = f"/tokens/{made.id}"
    return shown_as(CreatedToken)(made)


@operation("GET", "/tokens", right="fleet.look")
async def list_tokens(ask: Ask, query: Piece) -> Listed[Token]:
    """Every operator's tokens, oldest first, revoked ones included."""
    async with ask.looking() as session:
        found = await operator_tokens.list_tokens(session)
    return listed(found, query, position=_position, shown=shown)


@operation("GET", "/tokens/{token:str}", right="fleet.look")
async def show_token(ask: Ask, token: str) -> Token:
    """One token, by its id."""
    async with ask.looking() as session:
        return shown(await operator_tokens.find_token(session, token))


@operation("DELETE", "/tokens/{token:str}", right="fleet.change", status=204)
async def revoke_token(ask: Ask, token: str) -> None:
    """Refuse a token from now on, for ever. It stays in the list as revoked. Again: nothing changes."""
    async with ask.changing() as session:
        await operator_tokens.revoke_token(session, ask.actor, token)


def _position(token: TokenInfo) -> str:
    return f"{token.created_at.isoformat(timespec='microseconds')} {token.id}"


OPERATIONS = (show_self, create_token, list_tokens, show_token, revoke_token)
