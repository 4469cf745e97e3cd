"""Options about requests that wait for a node, and about those that name no model."""

from typing import Annotated

import typer

PoolPatience = Annotated[
    list[str] | None,
    typer.Option(
        "--pool-patience",
        envvar="SHOAL_POOL_PATIENCE",
        metavar="[POOL=]SECONDS",
        help="How long a request waits for a node while its pool has none; with a pool's name, for that one.",
    ),
]
PoolWaiting = Annotated[
    int,
    typer.Option(
        "--pool-waiting",
        envvar="SHOAL_POOL_WAITING",
        min=0,
        help="How many requests may wait so for one pool; more are told at once to come back.",
    ),
]
DefaultModel = Annotated[
    str | None,
    typer.Option("--default-model", envvar="SHOAL_DEFAULT_MODEL", help="Serves requests that name no model."),
]
