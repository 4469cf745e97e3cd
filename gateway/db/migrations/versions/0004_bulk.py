"""Files, the parts that they are kept in, and batches with their progress."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "file",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("filename", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("storage", sa.String(), nullable=False),
        sa.Column("ready", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME),
        sa.Column("deleted_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_file"),
    )
    op.create_index("ix_file_tenant_id", "file", ["tenant_id", "created_at", "id"])
    op.create_index("ix_file_expires_at", "file", ["expires_at"])
    op.create_index("ix_file_deleted_at", "file", ["deleted_at"])
    op.create_table(
        "file_part",
        sa.Column("file_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("file_id", "number", name="pk_file_part"),
        sa.ForeignKeyConstraint(["file_id"], ["file.id"], ondelete="CASCADE", name="fk_file_part_file_id"),
    )
    op.create_table(
        "batch",
        *(
            sa.Column(name, sa.String(), nullable=False)
            for name in ("id", "tenant_id", "key_id", "endpoint", "completion_window", "input_file_id", "storage")
        ),
        sa.Column("labels", sa.JSON()),
        sa.Column("output_lifetime", sa.Integer()),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("model", sa.String()),
        sa.Column("errors", sa.JSON()),
        sa.Column("output_file_id", sa.String(), nullable=False),
        sa.Column("error_file_id", sa.String(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        *(sa.Column(name, TIME) for name in ("in_progress_at", "finalizing_at", "cancelling_at", "ended_at")),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("total", "completed", "failed")),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("chunks", "line")),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("worker", sa.String()),
        sa.Column("lease_until", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_batch"),
    )
    op.create_index("ix_batch_tenant_id", "batch", ["tenant_id", "created_at", "id"])
    op.create_index("ix_batch_input_file_id", "batch", ["input_file_id"])
    op.create_index("ix_batch_status", "batch", ["status"])


def downgrade() -> None:
    for name in ("batch", "file_part", "file"):
        op.drop_table(name)
