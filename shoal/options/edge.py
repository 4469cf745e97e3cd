"""Options of a gateway's edge: its processes, its connections, and how it stops."""

from typing import Annotated

import typer

from shoal.options.values import parse_bytes

Workers = Annotated[
    int,
    typer.Option(
        "--workers",
        envvar="SHOAL_WORKERS",
        min=1,
        max=256,
        help="Processes that serve requests, one for each core; more than one need --redis-url.",
    ),
]
GracePeriod = Annotated[
    float,
    typer.Option(
        "--grace-period", envvar="SHOAL_GRACE_PERIOD", min=0, help="Seconds to finish what is in flight when stopped."
    ),
]
DrainDelay = Annotated[
    float,
    typer.Option(
        "--drain-delay",
        envvar="SHOAL_DRAIN_DELAY",
        min=0,
        metavar="SECONDS",
        help="Before the grace period: take requests as ever while /health/ready says no, for balancers to notice.",
    ),
]
MaxBody = Annotated[
    int,
    typer.Option(
        "--max-body", envvar="SHOAL_MAX_BODY", parser=parse_bytes, metavar="SIZE", help="The largest body of a request."
    ),
]
MaxHead = Annotated[
    int,
    typer.Option(
        "--max-head",
        envvar="SHOAL_MAX_HEAD",
        parser=parse_bytes,
        metavar="SIZE",
        help="How much the headers of a request may be together.",
    ),
]
MaxHeaders = Annotated[
    int, typer.Option("--max-headers", envvar="SHOAL_MAX_HEADERS", min=1, help="How many headers a request may have.")
]
MaxConnections = Annotated[
    int,
    typer.Option(
        "--max-connections",
        envvar="SHOAL_MAX_CONNECTIONS",
        min=1,
        help="Connections that may be open; more are told to come back.",
    ),
]
ConnectionMemory = Annotated[
    int,
    typer.Option(
        "--connection-memory",
        envvar="SHOAL_CONNECTION_MEMORY",
        parser=parse_bytes,
        metavar="SIZE",
        help="How much requests that are not complete and answers that nobody takes may hold in a process.",
    ),
]
MaxConnectionsPerAddress = Annotated[
    int | None,
    typer.Option(
        "--max-connections-per-address",
        envvar="SHOAL_MAX_CONNECTIONS_PER_ADDRESS",
        min=1,
        help="Of those, from one address that is no trusted proxy; without it, any number.",
    ),
]
MetricsKey = Annotated[
    str | None,
    typer.Option(
        "--metrics-key",
        envvar="SHOAL_METRICS_KEY",
        help="What a scraper of /metrics sends as its bearer credential; without it, only this machine may look.",
    ),
]
