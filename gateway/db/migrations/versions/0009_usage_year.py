"""Usage summed per year over all tenants: of each model, key and, by all names that it had, tenant."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

COUNTED = ("requests", "failed", "refused", "inputs", "tokens", "bytes_in", "bytes_out", "latency_ms", "upstream_ms")
NAMES = ", ".join(COUNTED)
SUMS = ", ".join(f"sum({name})" for name in COUNTED)
YEAR = {"sqlite": "substr({}, 1, 4) || '-01-01'", "postgresql": "date_trunc('year', {})::date"}


def upgrade() -> None:
    year = YEAR[op.get_bind().dialect.name]
    for kind in ("model", "key"):
        _fill(kind, year.format("start"), "name", "max(owner), max(owner_name)", f"usage_total WHERE kind = '{kind}'")
    tenant = "tenant_id || '/' || tenant_name"
    _fill("tenant", year.format("day"), tenant, "max(tenant_id), max(tenant_name)", "usage_day")


def _fill(kind: str, start: str, name: str, owner: str, source: str) -> None:
    op.execute(
        f"INSERT INTO usage_total (kind, start, name, owner, owner_name, {NAMES}) "  # noqa: S608 (words of ours)
        f"SELECT 'year_{kind}', {start}, {name}, {owner}, {SUMS} FROM {source} GROUP BY {start}, {name}"
    )


def downgrade() -> None:
    op.execute("DELETE FROM usage_total WHERE kind IN ('year_model', 'year_tenant', 'year_key')")
