"""Which storage an operator named."""

from pathlib import Path

from gateway.services.bulk.local_storage import LocalStorage
from gateway.services.bulk.s3_storage import S3Storage
from gateway.services.bulk.storage import FileStorage


def open_storage(where: str | None) -> FileStorage:
    """A bucket by its `s3://…` address, a folder by its path, or a temporary one where nothing is said.

    Raises StorageUnusable.
    """
    if where is None:
        return LocalStorage.temporary()
    return S3Storage.open(where) if where.startswith("s3://") else LocalStorage.open(Path(where))
