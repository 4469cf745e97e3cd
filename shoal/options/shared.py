"""Options of commands of all kinds: which data, which tenant, where to listen, what to print."""

from pathlib import Path
from typing import Annotated

import typer

DATA_DIR = Path("data")

DataDir = Annotated[
    Path,
    typer.Option("--data-dir", envvar="SHOAL_DATA_DIR", metavar="FOLDER", help="Where `shoal serve` keeps its data."),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        envvar="SHOAL_DATABASE_URL",
        metavar="URL",
        help="A database elsewhere: postgresql://user:password@host/name.",
    ),
]
Host = Annotated[str, typer.Option("--host", envvar="SHOAL_HOST", help="Address to listen on.")]
Port = Annotated[
    int, typer.Option("--port", envvar="SHOAL_PORT", min=0, max=65535, help="Port to listen on; 0: a free one.")
]
TenantName = Annotated[
    str, typer.Option("--tenant", envvar="SHOAL_TENANT", metavar="NAME", help="The tenant, by name or id.")
]
KeyId = Annotated[
    str | None,
    typer.Option("--key", envvar="SHOAL_KEY_ID", metavar="ID", help="Only this API key of the tenant, by its id."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
