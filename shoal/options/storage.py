"""Options of where a gateway keeps what it counts and what it is given: quotas, usage, files."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.redis_address import FORM
from gateway.settings import QuotaOutage
from shoal.options.values import checked_files, checked_redis_url, parse_bytes

RedisUrl = Annotated[
    str | None,
    typer.Option(
        "--redis-url",
        envvar="SHOAL_REDIS_URL",
        callback=checked_redis_url,
        metavar="URL",
        help=f"A Redis in which several gateways count quotas together: {FORM}.",
    ),
]
QuotaOutageRule = Annotated[
    QuotaOutage,
    typer.Option(
        "--quota-outage",
        envvar="SHOAL_QUOTA_OUTAGE",
        help="What becomes of requests while that Redis is away; quotas are not counted meanwhile.",
    ),
]
UsageSpool = Annotated[
    Path | None,
    typer.Option(
        "--usage-spool",
        envvar="SHOAL_USAGE_SPOOL",
        metavar="FOLDER",
        help="Where usage waits for the database, on a local disk; without it, `usage` in the data folder.",
    ),
]
UsageSpoolLimit = Annotated[
    int,
    typer.Option(
        "--usage-spool-limit",
        envvar="SHOAL_USAGE_SPOOL_LIMIT",
        parser=parse_bytes,
        metavar="SIZE",
        help="How much may wait there; past it, requests that would be billed are refused.",
    ),
]
UsageRetention = Annotated[
    float | None,
    typer.Option(
        "--usage-retention",
        envvar="SHOAL_USAGE_RETENTION",
        min=1,
        metavar="DAYS",
        help="Delete single usage records that are older; sums per hour stay. Without it, nothing is deleted.",
    ),
]
Files = Annotated[
    str | None,
    typer.Option(
        "--files",
        envvar="SHOAL_FILES",
        callback=checked_files,
        metavar="FOLDER|s3://…",
        help="Where files of batches are kept: a folder, or a bucket that all gateways reach, as "
        "s3://\\[KEY:SECRET@]bucket\\[/prefix]\\[?endpoint=URL&region=NAME]; without it, `files` in the data folder.",
    ),
]
MaxFile = Annotated[
    int,
    typer.Option(
        "--max-file-bytes", envvar="SHOAL_MAX_FILE_BYTES", parser=parse_bytes, metavar="SIZE", help="The largest file."
    ),
]
MaxStored = Annotated[
    int,
    typer.Option(
        "--max-stored-bytes",
        envvar="SHOAL_MAX_STORED_BYTES",
        parser=parse_bytes,
        metavar="SIZE",
        help="How much the files of one tenant may take together.",
    ),
]
