"""Options about servers that somebody else runs."""

from typing import Annotated

import typer

from shoal.options.values import parse_network, parse_session_key

SecretKey = Annotated[
    str | None,
    typer.Option(
        "--secret-key",
        envvar="SHOAL_SECRET_KEY",
        parser=parse_session_key,
        metavar="SECRET",
        help="What credentials of upstreams are encrypted with, the same on every gateway; without it, each data "
        "folder has its own.",
    ),
]
AllowedUpstreams = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-upstream",
        envvar="SHOAL_ALLOWED_UPSTREAMS",
        parser=parse_network,
        metavar="NETWORK",
        help="Where upstreams may be called although it is not public, such as 10.0.0.0/8; several by repeating it.",
    ),
]
