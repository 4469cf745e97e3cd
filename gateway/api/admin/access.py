"""Who may do what on the admin API: the one place that decides, deny by default.

Only an operator token in `Authorization: Bearer` counts: no API key, no cookie, no other spelling. A route states the
right that it needs; a role is a set of rights; a token that is read-only has those that change nothing. An operator of
one tenant meets only routes that name the tenant, and every other tenant is one that does not exist.
"""

from collections.abc import Mapping
from contextlib import suppress

from gateway.call import Call
from gateway.db.errors import DatabaseUnusable
from gateway.db.session import Database
from gateway.errors import AuthenticationFailed, PermissionDenied, Unavailable
from gateway.services.access.operator_tokens import Bearer, is_use_due, note_token_use, verify_token
from gateway.services.access.roles import LOOKS, RIGHTS, Right
from gateway.services.register.names import known_spelling
from gateway.services.register.tenants import no_tenant

CHALLENGE = {"www-authenticate": 'Bearer realm="shoal admin"'}


async def authenticate(call: Call, database: Database) -> Bearer:
    """The operator and token behind a request. Raises AuthenticationFailed."""
    scheme, _, text = call.headers.get(b"authorization", b"").strip().decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise AuthenticationFailed(
            "An operator token is needed: Authorization: Bearer op-shoal-… (see: shoal operator token create).",
            headers=CHALLENGE,
        )
    try:
        async with database.reading() as session:
            bearer = await verify_token(session, text.strip())
    except DatabaseUnusable as error:  # whose reason names machines and folders, which is no stranger's business
        raise Unavailable("Operators can not be checked now; please try again.", retry_after=1.0) from error
    if bearer is None:
        raise AuthenticationFailed(
            "This is no operator token that is in force: unknown, revoked or expired.",
            code="invalid_operator_token",
            headers=CHALLENGE,
        )
    if is_use_due(bearer.token):
        with suppress(DatabaseUnusable):  # a database that can only be read must not lock operators out
            async with database.transaction() as session:
                await note_token_use(session, bearer.token)
    return bearer


def authorize(bearer: Bearer, right: Right, path: Mapping[str, str]) -> dict[str, str]:
    """The path's parameters, once the operator may do what the route needs.

    Raises PermissionDenied, or NotFound for a tenant that is not the operator's own.
    """
    operator, rights = bearer.operator, RIGHTS[bearer.operator.role]
    if right not in (rights & LOOKS if bearer.token.read_only else rights):
        limited = " with a read-only token" if bearer.token.read_only and right in rights else ""
        raise PermissionDenied(
            f"The operator '{operator.name}' ({operator.role}) may not do this{limited}.", code="missing_right"
        )
    if operator.tenant_id is None or "tenant" not in path:
        return dict(path)
    if known_spelling(path["tenant"]) not in {operator.tenant_id, bearer.tenant_name}:
        raise no_tenant(path["tenant"])
    # By its id from here on: a name of this tenant might look like the id of another.
    return {**path, "tenant": operator.tenant_id}
