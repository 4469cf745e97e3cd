"""Operators who prove elsewhere who they are."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("operator", sa.Column("subject", sa.String(), nullable=True))
    op.create_index("ix_operator_subject", "operator", ["subject"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_operator_subject", "operator")
    op.drop_column("operator", "subject")
