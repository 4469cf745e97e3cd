"""`shoal usage`: export, show, recount."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from gateway.db.recount import recount as make_sums_anew
from gateway.services.usage.export import Format, Grain, export_usage, parse_moment, start_of_month
from gateway.services.usage.summary import By, UsageRow, summarize_usage
from shoal.database import change, opened, read
from shoal.options.shared import DATA_DIR, AsJson, DatabaseUrl, DataDir, TenantName
from shoal.options.values import database_at
from shoal.printing import print_json, print_table

app = typer.Typer(no_args_is_help=True, add_completion=False, help="What tenants used.")

From = Annotated[
    str | None,
    typer.Option("--from", metavar="DATE", help="The first day (UTC); without it, the first of this month."),
]
To = Annotated[
    str | None, typer.Option("--to", metavar="DATE", help="The day before which it ends (UTC); without it, now.")
]


@app.callback()
def usage() -> None:
    """What tenants used."""


@app.command()
def export(
    tenant: TenantName,
    from_: From = None,
    to: To = None,
    form: Annotated[Format, typer.Option("--format", help="What to write.")] = "csv",
    by: Annotated[
        Grain, typer.Option("--by", help="A line for every request, or sums of each key, model and route by time.")
    ] = "record",
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Write a tenant's usage to standard output, oldest first: one line per request, or sums."""
    start, end = between(from_, to)
    asyncio.run(_write(database_at(data_dir, database_url), tenant, start, end, form, by))


@app.command()
def show(
    tenant: TenantName,
    by: Annotated[By, typer.Option("--by", help="What makes a line.")] = "day",
    from_: From = None,
    to: To = None,
    as_json: AsJson = False,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Show what a tenant used, by day, model or key."""
    start, end = between(from_, to)
    rows: Sequence[UsageRow] = read(
        database_at(data_dir, database_url),
        lambda session: summarize_usage(session, tenant, start=start, end=end, by=by),
    )
    if as_json:
        print_json(rows)
        return
    print_table(
        (by.upper(), "REQUESTS", "FAILED", "REFUSED", "INPUTS", "TOKENS", "BYTES IN", "BYTES OUT"),
        [(r.name, r.requests, r.failed, r.refused, r.inputs, r.tokens, r.bytes_in, r.bytes_out) for r in rows],
    )


@app.command()
def recount(data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None) -> None:
    """Make the sums per day and over all tenants anew from those per hour. Harmless to repeat, and while servers run.

    Gateways of an older version that still ran after `shoal migrate` added to hours alone.
    """
    change(database_at(data_dir, database_url), lambda session, _: make_sums_anew(session))
    print("All sums agree with those per hour.")


def between(from_: str | None, to: str | None) -> tuple[datetime, datetime]:
    """From when to when, by what was typed."""
    now = datetime.now(UTC)
    start = start_of_month(now.date()) if from_ is None else parse_moment(from_)
    return start, now + timedelta(seconds=1) if to is None else parse_moment(to)


async def _write(url: str, tenant: str, start: datetime, end: datetime, form: Format, by: Grain) -> None:
    lines = -1 if form == "csv" else 0  # the names of the columns are no record
    async with opened(url) as database:
        async for text in export_usage(database, tenant, start=start, end=end, form=form, by=by):
            sys.stdout.write(text)
            lines += text.count("\n")
            _show_progress(f"\r{lines:,} records")
    _show_progress("\n")


def _show_progress(text: str) -> None:
    """Only to a person who does not see the records themselves."""
    if sys.stderr.isatty() and not sys.stdout.isatty():
        sys.stderr.write(text)
