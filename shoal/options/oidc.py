"""Where operators sign in besides by password: an OpenID provider, and who has which role here."""

import re
from typing import Annotated, get_args

import typer

from gateway.settings import OidcRole, OidcSettings, OperatorRole


def parse_issuer(text: str) -> str:
    """An OpenID provider, by the name that it calls itself: over TLS, or on this machine."""
    if re.fullmatch(r"https://[^\s?#@]+|http://(localhost|127\.0\.0\.1)(:[0-9]+)?(/[^\s?#]*)?", text) is None:
        raise typer.BadParameter(f"{text!r} is no provider; write it like https://login.example.org.")
    return text


def parse_oidc_role(text: str) -> OidcRole:
    """`VALUE=ROLE`, or `VALUE=tenant_admin:TENANT`."""
    value, _, said = text.rpartition("=")
    name, _, tenant = said.partition(":")
    role = next((role for role in get_args(OperatorRole) if role == name), None)
    if not value or role is None or (role == "tenant_admin") != bool(tenant):
        raise typer.BadParameter(
            f"{text!r} gives nobody a role; write it like ops=admin, support=viewer or acme=tenant_admin:TENANT."
        )
    return OidcRole(value, role, tenant or None)


def oidc_of(
    issuer: str | None, client_id: str | None, client_secret: str | None, claim: str, roles: list[OidcRole] | None
) -> OidcSettings | None:
    """Where operators may sign in besides by password. Raises BadParameter where half of it is said."""
    if issuer is None:
        if client_id or client_secret or roles:
            raise typer.BadParameter("--oidc-issuer is missing: it says where operators sign in.")
        return None
    if not client_id:
        raise typer.BadParameter("--oidc-client-id is missing: what the provider calls this console.")
    if not roles:
        raise typer.BadParameter("--oidc-role is missing: nobody who signs in there would have a role here.")
    return OidcSettings(
        issuer=issuer, client_id=client_id, client_secret=client_secret, claim=claim, roles=tuple(roles)
    )


OidcIssuer = Annotated[
    str | None,
    typer.Option(
        "--oidc-issuer",
        envvar="SHOAL_OIDC_ISSUER",
        parser=parse_issuer,
        metavar="URL",
        help="An OpenID provider where operators may sign in besides by password.",
    ),
]
OidcClientId = Annotated[
    str | None,
    typer.Option("--oidc-client-id", envvar="SHOAL_OIDC_CLIENT_ID", metavar="ID", help="What it calls this console."),
]
OidcClientSecret = Annotated[
    str | None,
    typer.Option(
        "--oidc-client-secret",
        envvar="SHOAL_OIDC_CLIENT_SECRET",
        metavar="SECRET",
        help="What proves it; without it, a public client by PKCE alone.",
    ),
]
OidcClaim = Annotated[
    str,
    typer.Option(
        "--oidc-claim",
        envvar="SHOAL_OIDC_CLAIM",
        metavar="NAME",
        help="The claim that roles go by; with dots, one within another: realm_access.roles.",
    ),
]
OidcRoles = Annotated[
    list[OidcRole] | None,
    typer.Option(
        "--oidc-role",
        envvar="SHOAL_OIDC_ROLES",
        parser=parse_oidc_role,
        metavar="VALUE=ROLE",
        help="Who has VALUE there is admin, viewer or tenant_admin:TENANT; the first that fits counts; * is everybody.",
    ),
]
