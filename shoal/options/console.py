"""Options of the console: where browsers find it, and what signs their sessions."""

from typing import Annotated

import typer

from shoal.options.values import parse_network, parse_public_url, parse_session_key

PublicUrl = Annotated[
    str | None,
    typer.Option(
        "--public-url",
        envvar="SHOAL_PUBLIC_URL",
        parser=parse_public_url,
        metavar="URL",
        help="Where browsers find the console, if behind a proxy: https://shoal.example.org.",
    ),
]
ConsoleHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--console-host",
        envvar="SHOAL_CONSOLE_HOSTS",
        metavar="NAME",
        help="A host name at which the console answers; several by repeating it; without it, at any.",
    ),
]
TrustedProxies = Annotated[
    list[str] | None,
    typer.Option(
        "--trusted-proxy",
        envvar="SHOAL_TRUSTED_PROXIES",
        parser=parse_network,
        metavar="NETWORK",
        help="A proxy that is believed in whom it forwards for, where sign-ins are counted; several by repeating it.",
    ),
]
SessionKey = Annotated[
    str | None,
    typer.Option(
        "--session-key",
        envvar="SHOAL_SESSION_KEY",
        parser=parse_session_key,
        metavar="SECRET",
        help="What signs console sessions, the same on every gateway; without it, each data folder has its own.",
    ),
]
