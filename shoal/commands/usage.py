"""`shoal usage`: export."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from gateway.services.usage_export import Format, export_usage, parse_moment, start_of_month
from shoal.database import opened
from shoal.options import DATA_DIR, DatabaseUrl, DataDir, TenantName, database_at

app = typer.Typer(no_args_is_help=True, add_completion=False, help="What tenants used.")


@app.callback()
def usage() -> None:
    """What tenants used."""


@app.command()
def export(
    tenant: TenantName,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="DATE", help="The first day (UTC); without it, the first of this month."),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="The day before which it ends (UTC); without it, now.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="What to write.")] = "csv",
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Write a tenant's usage to standard output, one line per request, oldest first."""
    now = datetime.now(UTC)
    start = start_of_month(now.date()) if from_ is None else parse_moment(from_)
    end = now + timedelta(seconds=1) if to is None else parse_moment(to)
    asyncio.run(_write(database_at(data_dir, database_url), tenant, start, end, form))


async def _write(url: str, tenant: str, start: datetime, end: datetime, form: Format) -> None:
    lines = -1 if form == "csv" else 0  # the names of the columns are no record
    async with opened(url) as database:
        async for text in export_usage(database, tenant, start=start, end=end, form=form):
            sys.stdout.write(text)
            lines += text.count("\n")
            _show_progress(f"\r{lines:,} records")
    _show_progress("\n")


def _show_progress(text: str) -> None:
    """Only to a person who does not see the records themselves."""
    if sys.stderr.isatty() and not sys.stdout.isatty():
        sys.stderr.write(text)
