"""Objects of a bucket that speaks S3, by the library obstore, which the extra `s3` installs.

    s3://bucket/prefix?endpoint=https://minio.example.org&region=eu-central-1
    s3://KEY:SECRET@bucket/prefix

Without a key in the address AWS's own chain decides: its variables, a web identity, or the machine's role.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import IO, Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from gateway.errors import StorageUnusable, Unavailable
from gateway.services.bulk.storage import PIECE, ObjectMissing, trouble

FORM = "s3://[KEY:SECRET@]bucket[/prefix][?endpoint=URL&region=NAME]"
TRIES = 3
PATIENCE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class S3Address:
    """Where a bucket is."""

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    key: str | None = None
    secret: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises StorageUnusable, which repeats no secret."""
        parts = urlsplit(text)
        options = dict(parse_qsl(parts.query))
        key, secret = parts.username, parts.password
        known = options.keys() <= {"endpoint", "region"}
        if parts.scheme != "s3" or not parts.hostname or not known or (key is None) != (secret is None):
            raise StorageUnusable(f"The address of the bucket can not be read; write it like {FORM}.")
        return cls(
            parts.netloc.rpartition("@")[2],
            parts.path.strip("/"),
            options.get("endpoint"),
            options.get("region"),
            None if key is None else unquote(key),
            None if secret is None else unquote(secret),
        )

    @property
    def name(self) -> str:
        """What tells it from other buckets."""
        return "/".join(part for part in ("s3:/", self.endpoint or "", self.bucket, self.prefix) if part)


class S3Storage:
    """A `FileStorage` in a bucket."""

    shared = True

    def __init__(self, address: S3Address, bucket: Any, library: Any) -> None:
        self.id = address.name
        self._bucket = bucket
        self._library = library
        self._missing = library.exceptions.NotFoundError, FileNotFoundError
        self._errors = library.exceptions.BaseError, OSError

    @classmethod
    def open(cls, text: str) -> Self:
        """Connects on first use, so this fails on a wrong address only. Raises StorageUnusable."""
        address = S3Address.parse(text)
        try:
            import obstore  # noqa: PLC0415 (an extra: most installations keep files on their own disk)
            from obstore.store import S3Store  # noqa: PLC0415
        except ImportError:
            raise StorageUnusable("Files in a bucket need the extra `s3`: pip install 'shoal-server[s3]'.") from None
        stated = {
            "endpoint": address.endpoint,
            "region": address.region or ("us-east-1" if address.endpoint else None),
            "access_key_id": address.key,
            "secret_access_key": address.secret,
            "prefix": address.prefix or None,
        }
        plain = (address.endpoint or "").startswith("http://")
        bucket = S3Store(
            address.bucket,
            **{name: value for name, value in stated.items() if value is not None},  # type: ignore[arg-type]
            client_options={"allow_http": plain, "timeout": PATIENCE},
            retry_config={"max_retries": TRIES, "retry_timeout": PATIENCE},
        )
        return cls(address, bucket, obstore)

    @asynccontextmanager
    async def incoming(self) -> AsyncIterator["IncomingObject"]:
        """A file without a name, so that nothing is left of it however this process ends."""
        try:
            coming = await asyncio.to_thread(tempfile.TemporaryFile)
        except OSError as error:
            raise trouble(error, tempfile.gettempdir()) from error
        try:
            yield IncomingObject(self, coming)
        finally:
            await asyncio.to_thread(coming.close)

    async def put(self, key: str, content: bytes | IO[bytes]) -> None:
        """Send; large ones in several parts."""
        try:
            await self._library.put_async(self._bucket, key, content)
        except self._errors as error:
            raise away(error) from error

    async def read(self, key: str, start: int = 0) -> AsyncIterator[bytes]:
        """As it comes."""
        try:
            found = await self._library.get_async(self._bucket, key, options={"range": {"offset": start}})
            async for piece in found.stream(min_chunk_size=PIECE):
                yield bytes(piece)
        except self._missing:
            raise ObjectMissing(key) from None
        except self._errors as error:
            raise away(error) from error

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete, many at once."""
        wanted = list(keys)
        if not wanted:
            return
        try:
            await self._library.delete_async(self._bucket, wanted)
        except self._missing:
            return
        except self._errors as error:
            raise away(error) from error

    async def keys(self, prefix: str) -> list[str]:
        """List the bucket."""
        found = []
        try:
            async for some in self._library.list(self._bucket, prefix):
                found += [one["path"] for one in some]
        except self._errors as error:
            raise away(error) from error
        return found

    async def tidy(self) -> None:
        """Nothing is ever left."""

    async def close(self) -> None:
        """Nothing is open."""


class IncomingObject:
    """Bytes on their way to the bucket."""

    def __init__(self, storage: S3Storage, coming: IO[bytes]) -> None:
        self.size = 0
        self._storage = storage
        self._coming = coming

    async def write(self, content: bytes) -> None:
        """Add some, off the event loop."""
        try:
            await asyncio.to_thread(self._coming.write, content)
        except OSError as error:
            raise trouble(error, tempfile.gettempdir()) from error
        self.size += len(content)

    async def keep(self, key: str) -> None:
        """Send all of it."""
        await asyncio.to_thread(self._coming.seek, 0)
        await self._storage.put(key, self._coming)


def away(error: Exception) -> Unavailable:
    """What a failure of the bucket means to a caller; what it said is in the cause."""
    return Unavailable(
        f"The storage of files does not answer as it should ({type(error).__name__}); please try again later.",
        code="storage_unavailable",
        retry_after=5.0,
    )
