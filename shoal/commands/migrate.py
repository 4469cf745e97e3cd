"""`shoal migrate`: the database as this version needs it."""

import asyncio

from gateway.db.errors import place
from gateway.db.schema import upgrade
from gateway.db.session import parse_url
from shoal.options.shared import DATA_DIR, DatabaseUrl, DataDir
from shoal.options.values import database_at


def migrate(data_dir: DataDir = DATA_DIR, database_url: DatabaseUrl = None) -> None:
    """Create the database, or bring it up to this version. Harmless to repeat, and while servers run."""
    url = database_at(data_dir, database_url)
    asyncio.run(upgrade(url))
    print(f"The database {place(parse_url(url))} is ready.")
