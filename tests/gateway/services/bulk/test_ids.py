"""What a caller sends for an id is not there, whatever is in it, in either kind of database."""

import pytest

from gateway.errors import BatchNotThere, FileNotThere
from gateway.services.bulk import batches, files
from gateway.services.register.tenants import create_tenant

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("wrong", ["\0", "file-\0", "\ud800", "é", ""])
async def test_what_can_be_no_id_is_not_there(database, actor, wrong):
    async with database.transaction() as session:
        tenant = (await create_tenant(session, actor, "acme")).id
    options = {"endpoint": "e", "labels": None, "output_lifetime": None, "most_stored": 9}
    with pytest.raises(FileNotThere):
        await files.find_file(database, tenant, wrong)
    with pytest.raises(FileNotThere):
        await files.delete_file(database, tenant, wrong)
    with pytest.raises(FileNotThere):
        await batches.create_batch(database, tenant, "key", input_file_id=wrong, **options)
    for asked in (batches.find_batch, batches.cancel_batch):
        with pytest.raises(BatchNotThere):
            await asked(database, tenant, wrong)
    assert await files.list_files(database, tenant, purpose=wrong, after=None, limit=9, newest=True) == ([], False)
