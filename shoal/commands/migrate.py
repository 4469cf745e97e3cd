"""`shoal migrate`: the database as this version needs it."""

import asyncio

from gateway.db.errors import place
from gateway.db.schema import upgrade
from gateway.db.session import parse_url
from shoal.option_values import database_at
from shoal.options import DATA_DIR, DatabaseUrl, DataDir


def migrate(data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None) -> None:
    """Create the database, or bring it up to this version. Harmless to repeat, and while servers run."""
    url = database_at(data_dir, database_url)
    asyncio.run(upgrade(url))
    print(f"The database {place(parse_url(url))} is ready.")
