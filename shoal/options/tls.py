"""Options of whoever listens with TLS."""

from pathlib import Path
from typing import Annotated

import typer

TlsCert = Annotated[
    Path | None,
    typer.Option(
        "--tls-cert",
        envvar="SHOAL_TLS_CERT",
        exists=True,
        dir_okay=False,
        metavar="FILE",
        help="Certificate to show, in PEM; callers must speak TLS then.",
    ),
]
TlsKey = Annotated[
    Path | None,
    typer.Option("--tls-key", envvar="SHOAL_TLS_KEY", exists=True, dir_okay=False, metavar="FILE", help="Its key."),
]
TlsClientCa = Annotated[
    Path | None,
    typer.Option(
        "--tls-client-ca",
        envvar="SHOAL_TLS_CLIENT_CA",
        exists=True,
        dir_okay=False,
        metavar="FILE",
        help="Take only callers who show a certificate of this authority.",
    ),
]
