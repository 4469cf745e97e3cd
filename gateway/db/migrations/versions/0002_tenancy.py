"""Lanes, weights, scopes, lineages, tenants' aliases, operator tokens, roll-ups, budget notices; versions of rows."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("tenant") as table:
        table.add_column(sa.Column("lane", sa.String(), nullable=False, server_default="interactive"))
        table.add_column(sa.Column("weight", sa.Float(), nullable=False, server_default="1"))
        table.add_column(_version())
    with op.batch_alter_table("api_key") as table:
        table.add_column(sa.Column("lineage", sa.String(), nullable=False, server_default=""))
        table.add_column(sa.Column("scopes", sa.JSON()))
        table.add_column(_version())
    op.execute("UPDATE api_key SET lineage = id")
    with op.batch_alter_table("model") as table:
        table.add_column(sa.Column("facts", sa.JSON()))
        table.add_column(_version())
    with op.batch_alter_table("operator") as table:
        table.add_column(sa.Column("tenant_id", sa.String()))
        table.add_column(_version())
        table.create_foreign_key("fk_operator_tenant_id", "tenant", ["tenant_id"], ["id"], ondelete="CASCADE")
    op.create_table(
        "tenant_alias",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("alias", sa.String(), nullable=False),
        sa.Column("model_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "alias", name="pk_tenant_alias"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE", name="fk_tenant_alias_tenant_id"),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], ondelete="CASCADE", name="fk_tenant_alias_model_id"),
    )
    op.create_index("ix_tenant_alias_model_id", "tenant_alias", ["model_id"])
    op.create_table(
        "operator_token",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("operator", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("secret_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("read_only", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME),
        sa.Column("revoked_at", TIME),
        sa.Column("last_used_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_operator_token"),
        sa.ForeignKeyConstraint(["operator"], ["operator.name"], ondelete="CASCADE", name="fk_operator_token_operator"),
    )
    op.create_index("ix_operator_token_operator", "operator_token", ["operator"])
    op.create_table(
        "ended_session",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ended_session"),
    )
    op.create_index("ix_ended_session_expires_at", "ended_session", ["expires_at"])
    op.create_table(
        "sign_in_try",
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("drained_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name="pk_sign_in_try"),
    )
    op.create_index("ix_sign_in_try_drained_at", "sign_in_try", ["drained_at"])
    with op.batch_alter_table("usage_record") as table:
        table.add_column(sa.Column("bytes_out", sa.BigInteger(), nullable=False, server_default="0"))
        table.add_column(sa.Column("upstream_ms", sa.Float(), nullable=False, server_default="0"))
        table.add_column(sa.Column("request_id", sa.String(), nullable=False, server_default=""))
    _create_usage_hour()
    op.create_table(
        "budget_notice",
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("model_pattern", sa.String(), nullable=False),
        sa.Column("month", sa.String(), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.PrimaryKeyConstraint("subject", "model_pattern", "month", "percent", name="pk_budget_notice"),
    )
    op.create_index("ix_budget_notice_tenant_id", "budget_notice", ["tenant_id"])
    with op.batch_alter_table("audit_event") as table:
        table.add_column(sa.Column("tenant_id", sa.String()))
        table.add_column(sa.Column("revision", sa.BigInteger()))
        table.create_index("ix_audit_event_tenant_id", ["tenant_id"])
        table.create_index("ix_audit_event_revision", ["revision"])


def downgrade() -> None:
    with op.batch_alter_table("audit_event") as table:
        table.drop_index("ix_audit_event_revision")
        table.drop_index("ix_audit_event_tenant_id")
        table.drop_column("revision")
        table.drop_column("tenant_id")
    for name in ("budget_notice", "usage_hour"):
        op.drop_table(name)
    with op.batch_alter_table("usage_record") as table:
        for column in ("request_id", "upstream_ms", "bytes_out"):
            table.drop_column(column)
    for name in ("sign_in_try", "ended_session", "operator_token", "tenant_alias"):
        op.drop_table(name)
    with op.batch_alter_table("operator") as table:
        table.drop_constraint("fk_operator_tenant_id", type_="foreignkey")
        table.drop_column("version")
        table.drop_column("tenant_id")
    with op.batch_alter_table("model") as table:
        table.drop_column("version")
    with op.batch_alter_table("api_key") as table:
        for column in ("version", "scopes", "lineage"):
            table.drop_column(column)
    with op.batch_alter_table("tenant") as table:
        for column in ("version", "weight", "lane"):
            table.drop_column(column)


def _create_usage_hour() -> None:
    counts = ("requests", "failed", "refused", "inputs", "tokens", "bytes_in", "bytes_out")
    key = ("tenant_id", "hour", "key_id", "model", "endpoint", "lane")
    op.create_table(
        "usage_hour",
        *(sa.Column(name, TIME if name == "hour" else sa.String(), nullable=False) for name in key),
        sa.Column("tenant_name", sa.String(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in counts),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("upstream_ms", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint(*key, name="pk_usage_hour"),
    )
    op.create_index("ix_usage_hour_hour", "usage_hour", ["hour"])


def _version() -> sa.Column[int]:
    return sa.Column("version", sa.Integer(), nullable=False, server_default="1")
