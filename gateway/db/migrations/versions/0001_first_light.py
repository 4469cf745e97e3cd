"""Tenants with their keys, grants and quotas; models; operators; usage; audit."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "tenant",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("suspended_at", TIME),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tenant"),
        sa.UniqueConstraint("name", name="uq_tenant_name"),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("secret_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME),
        sa.Column("revoked_at", TIME),
        sa.Column("last_used_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_api_key"),
        sa.UniqueConstraint("tenant_id", "id", name="uq_api_key_tenant_id"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE", name="fk_api_key_tenant_id"),
    )
    _create_rule_table(
        "model_grant",
        sa.Column("pattern", sa.String(), nullable=False),
        sa.Column("deny", sa.Boolean(), nullable=False),
        unique=["pattern"],
    )
    _create_rule_table(
        "quota_rule",
        sa.Column("model_pattern", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        unique=["model_pattern", "kind"],
    )
    op.create_table(
        "model",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("revision", sa.String()),
        sa.Column("pool", sa.String(), nullable=False),
        sa.Column("dtype", sa.String()),
        sa.Column("max_tokens", sa.Integer()),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("dimensions", sa.Integer()),
        sa.Column("input_limit", sa.Integer()),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_model"),
    )
    op.create_table(
        "model_alias",
        sa.Column("alias", sa.String(), nullable=False),
        sa.Column("model_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("alias", name="pk_model_alias"),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], ondelete="CASCADE", name="fk_model_alias_model_id"),
    )
    op.create_index("ix_model_alias_model_id", "model_alias", ["model_id"])
    op.create_table(
        "operator",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_operator"),
    )
    op.create_table(
        "usage_record",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("tenant_name", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("revision", sa.String()),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("inputs", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("bytes_in", sa.BigInteger(), nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_usage_record"),
    )
    op.create_index("ix_usage_record_tenant_time", "usage_record", ["tenant_id", "time", "id"])
    op.create_table(
        "audit_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("before", sa.JSON()),
        sa.Column("after", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name="pk_audit_event"),
    )
    op.create_index("ix_audit_event_time", "audit_event", ["time"])
    op.create_index("ix_audit_event_target", "audit_event", ["target"])
    revision_table = op.create_table(
        "policy_revision",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_policy_revision"),
    )
    op.bulk_insert(revision_table, [{"id": 1, "revision": 0}])


def downgrade() -> None:
    for table in (
        "policy_revision",
        "audit_event",
        "usage_record",
        "operator",
        "model_alias",
        "model",
        "quota_rule",
        "model_grant",
        "api_key",
        "tenant",
    ):
        op.drop_table(table)


def _create_rule_table(table: str, *columns: sa.Column[Any], unique: list[str]) -> None:
    """A rule belongs to a tenant (`key_id` null) or to one of that tenant's keys, and is unique within its owner."""
    op.create_table(
        table,
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("key_id", sa.String()),
        *columns,
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE", name=f"fk_{table}_tenant_id"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "key_id"], ["api_key.tenant_id", "api_key.id"], ondelete="CASCADE", name=f"fk_{table}_key_id"
        ),
    )
    for owner, columns_of_owner, condition in (
        ("tenant", ["tenant_id"], sa.text("key_id IS NULL")),
        ("key", ["tenant_id", "key_id"], sa.text("key_id IS NOT NULL")),
    ):
        op.create_index(
            f"uq_{table}_{owner}",
            table,
            [*columns_of_owner, *unique],
            unique=True,
            sqlite_where=condition,
            postgresql_where=condition,
        )
