"""`shoal quota`: set, show."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from gateway.services.register import quotas
from policies.quota import Kind
from shoal.database import change, read
from shoal.options.shared import DATA_DIR, AsJson, DatabaseUrl, DataDir, KeyId, TenantName
from shoal.options.values import database_at
from shoal.printing import print_json, print_table

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="How much a tenant may use. All limits that match a request count."
)

REMOVE = "none"
UNITS: Mapping[Kind, str] = {
    "requests": "requests/min",
    "tokens": "tokens/min",
    "tokens_per_month": "tokens/month",
    "concurrency": "requests at once",
}


def parse_amount(text: str | int) -> int:
    """A limit as typed: a number, or `none` to take it away (0 inside, which no limit can be)."""
    if str(text).lower() == REMOVE:
        return 0
    try:
        amount = int(str(text).replace("_", ""))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no number; use one, or {REMOVE!r} to remove the limit.") from None
    if amount < 1:
        raise typer.BadParameter(f"{amount} would stop everything: use 1 or more, or {REMOVE!r} to remove the limit.")
    return amount


@app.command("set")
def set_(
    tenant: TenantName,
    rpm: Annotated[int | None, typer.Option(parser=parse_amount, metavar="N|none", help="Requests per minute.")] = None,
    tpm: Annotated[int | None, typer.Option(parser=parse_amount, metavar="N|none", help="Tokens per minute.")] = None,
    tokens_per_month: Annotated[
        int | None, typer.Option(parser=parse_amount, metavar="N|none", help="Tokens per calendar month, in UTC.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(parser=parse_amount, metavar="N|none", help="Requests under way at one time.")
    ] = None,
    model: Annotated[str, typer.Option("--model", metavar="PATTERN", help="Count these models only, together.")] = "*",
    key: KeyId = None,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
) -> None:
    """Limit a tenant, or with --key one of its keys; `none` takes a limit away, what is not named stays."""
    named: dict[Kind, int | None] = {
        "requests": rpm,
        "tokens": tpm,
        "tokens_per_month": tokens_per_month,
        "concurrency": concurrency,
    }
    amounts = {kind: amount or None for kind, amount in named.items() if amount is not None}
    if not amounts:
        raise typer.BadParameter("say which limit to set: --rpm, --tpm, --tokens-per-month, --concurrency.")
    found = change(
        database_at(data_dir, database_url),
        lambda session, actor: quotas.set_quota(session, actor, tenant, amounts, key=key, model_pattern=model),
    )
    print_limits(found)


@app.command()
def show(
    tenant: TenantName, as_json: AsJson = False, data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None
) -> None:
    """Show the limits of a tenant and its keys, and what is used of this month's."""
    found = read(database_at(data_dir, database_url), lambda session: quotas.list_quotas(session, tenant))
    if as_json:
        print_json(found)
        return
    print_limits(found)


def print_limits(found: Sequence[quotas.QuotaInfo]) -> None:
    """The limits, or that there are none."""
    if not found:
        print("No limits.")
        return
    rows = [
        (
            row.model_pattern,
            UNITS[row.kind],
            f"{row.amount:,}",
            used_of(row),
            row.key_id or "all together",
            note_on(row),
        )
        for row in found
    ]
    print_table(("models", "limit", "amount", "used", "key", "note"), rows)


def used_of(quota: quotas.QuotaInfo) -> str:
    """What is used of a monthly limit; of the others only gateways know, and say so in each answer."""
    return "" if quota.used is None else f"{quota.used:,} ({quota.percent} %)"


def note_on(quota: quotas.QuotaInfo) -> str:
    """What an operator should know of a limit."""
    if quota.capped_by is not None:
        return f"never reached: a wider limit is {quota.capped_by:,}"
    if quota.used is not None and quota.used >= quota.amount:
        return "used up: requests are refused until the month ends"
    return ""
