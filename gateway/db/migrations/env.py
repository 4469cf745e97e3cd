"""Alembic's entry: runs on the connection that gateway/db/schema.py hands over, inside its transaction."""

from alembic import context

from gateway.db.tables import Row

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Row.metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
