"""What was asked for in each of the last minutes, summed over all tenants, by how long it took."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "usage_minute",
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("requests", "failed", "refused", "inputs", "tokens")
        ),
        *(sa.Column(name, sa.Float(), nullable=False) for name in ("latency_ms", "upstream_ms")),
        sa.PrimaryKeyConstraint("minute", "lane", "bucket", name="pk_usage_minute"),
    )


def downgrade() -> None:
    op.drop_table("usage_minute")
