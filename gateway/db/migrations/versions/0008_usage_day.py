"""Usage summed per day of each tenant, and per day and month over all of them: made of the sums per hour.

What was refused lately, which budgets are spent, who changed something and all rules of a tenant get indexes; nothing
asks for hours alone.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COUNTED = ("requests", "failed", "refused", "inputs", "tokens", "bytes_in", "bytes_out", "latency_ms", "upstream_ms")
NAMES = ", ".join(COUNTED)
SUMS = ", ".join(f"sum({name})" for name in COUNTED)
DAY = {"sqlite": "substr(hour, 1, 10)", "postgresql": "(hour AT TIME ZONE 'UTC')::date"}
MONTH = {"sqlite": "substr(day, 1, 7) || '-01'", "postgresql": "date_trunc('month', day)::date"}
RULES = ("model_grant", "quota_rule")
TENANT = "max(tenant_id), max(tenant_name)"


def _counts() -> list[sa.Column[Any]]:
    whole: list[sa.Column[Any]] = [sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTED[:-2]]
    return [*whole, *(sa.Column(name, sa.Float(), nullable=False) for name in COUNTED[-2:])]


def upgrade() -> None:
    op.create_table(
        "usage_day",
        *(sa.Column(name, sa.String(), nullable=False) for name in ("tenant_id", "key_id", "model", "tenant_name")),
        sa.Column("day", sa.Date(), nullable=False),
        *_counts(),
        sa.PrimaryKeyConstraint("tenant_id", "day", "key_id", "model", name="pk_usage_day"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "usage_total",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("start", sa.Date(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("owner_name", sa.String(), nullable=False),
        *_counts(),
        sa.PrimaryKeyConstraint("kind", "start", "name", name="pk_usage_total"),
        sqlite_with_rowid=False,
    )
    _fill(op.get_bind().dialect.name)
    op.create_index("ix_usage_day_day", "usage_day", ["day", "tenant_id", "key_id", "model"])
    op.drop_index("ix_usage_hour_hour", "usage_hour")
    refused = sa.text("refused > 0")
    op.create_index("ix_usage_hour_refused", "usage_hour", ["hour"], sqlite_where=refused, postgresql_where=refused)
    op.create_index("ix_budget_notice_month", "budget_notice", ["month", "percent", "time"])
    op.create_index("ix_audit_event_actor", "audit_event", ["actor", "id"])
    for table in RULES:
        op.create_index(f"ix_{table}_tenant_id", table, ["tenant_id"])


def _fill(dialect: str) -> None:
    day, month = DAY[dialect], MONTH[dialect]
    op.execute(
        f"INSERT INTO usage_day (tenant_id, day, key_id, model, tenant_name, {NAMES}) "  # noqa: S608 (words of ours)
        f"SELECT tenant_id, {day}, key_id, model, max(tenant_name), {SUMS} FROM usage_hour "
        f"GROUP BY tenant_id, {day}, key_id, model"
    )
    kinds = (
        ("day", "day", "''", "NULL, ''"),
        ("model", month, "model", "NULL, ''"),
        ("tenant", month, "tenant_id", TENANT),
        ("key", month, "tenant_id || '/' || key_id", TENANT),
    )
    for kind, start, name, owner in kinds:
        by = start if kind == "day" else f"{start}, {name}"
        op.execute(
            f"INSERT INTO usage_total (kind, start, name, owner, owner_name, {NAMES}) "  # noqa: S608 (words of ours)
            f"SELECT '{kind}', {start}, {name}, {owner}, {SUMS} FROM usage_day GROUP BY {by}"
        )


def downgrade() -> None:
    for table in RULES:
        op.drop_index(f"ix_{table}_tenant_id", table)
    op.drop_index("ix_audit_event_actor", "audit_event")
    op.drop_index("ix_budget_notice_month", "budget_notice")
    op.drop_index("ix_usage_hour_refused", "usage_hour")
    op.create_index("ix_usage_hour_hour", "usage_hour", ["hour"])
    op.drop_table("usage_total")
    op.drop_table("usage_day")
