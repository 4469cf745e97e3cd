"""The same contract for objects on a disk and in a bucket; the bucket is moto's server, which speaks S3 over HTTP."""

import asyncio
import logging
import os

import boto3
import pytest
from moto.server import ThreadedMotoServer

from gateway.errors import StorageUnusable, Unavailable
from gateway.services.bulk.local_storage import LocalStorage
from gateway.services.bulk.s3_storage import S3Address, S3Storage
from gateway.services.bulk.storage import PIECE, ObjectMissing
from gateway.services.bulk.stores import open_storage

pytestmark = pytest.mark.anyio
BUCKET = "shoal-files"


@pytest.fixture(scope="module")
def s3():
    """The address of a server that speaks S3, with an empty bucket."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    client.create_bucket(Bucket=BUCKET)
    client.close()
    yield f"s3://k:s@{BUCKET}/some/prefix?endpoint={endpoint}"
    server.stop()


@pytest.fixture(params=["disk", "bucket"])
def storage(request, tmp_path):
    if request.param == "disk":
        return LocalStorage.open(tmp_path / "files")
    return S3Storage.open(request.getfixturevalue("s3"))


async def read(storage, key, start=0):
    return b"".join([piece async for piece in storage.read(key, start)])


async def test_what_is_put_is_read_from_any_place_on(storage):
    content = os.urandom(3 * PIECE + 7)
    await storage.put("file-a/0", content)
    assert await read(storage, "file-a/0") == content
    for start in (1, PIECE, 3 * PIECE):
        assert await read(storage, "file-a/0", start) == content[start:]


async def test_what_comes_is_an_object_once_it_is_kept(storage):
    content = os.urandom(6 * 1024 * 1024)
    async with storage.incoming() as coming:
        for start in range(0, len(content), 1_000_000):
            await coming.write(content[start : start + 1_000_000])
        assert coming.size == len(content)
        assert await storage.keys("file-b") == []
        await coming.keep("file-b/0")
    assert await read(storage, "file-b/0") == content


async def test_what_is_not_kept_leaves_nothing(storage, tmp_path):
    async with storage.incoming() as coming:
        await coming.write(b"x" * 1000)
    assert await storage.keys("file-c") == []
    assert not list(tmp_path.rglob("incoming/*"))


async def test_keys_are_those_of_one_file_and_go_when_they_are_deleted(storage):
    for key in ("file-d/1", "file-d/2", "file-dd/1"):
        await storage.put(key, b"x")
    assert sorted(await storage.keys("file-d")) == ["file-d/1", "file-d/2"]
    await storage.delete(["file-d/1", "file-d/2", "file-d/3"])
    assert await storage.keys("file-d") == []
    assert await storage.keys("file-dd") == ["file-dd/1"]
    await storage.delete([])
    with pytest.raises(ObjectMissing):
        await read(storage, "file-d/1")


async def test_many_are_written_at_a_time(storage):
    await asyncio.gather(*(storage.put(f"file-e/{number}", b"%d" % number) for number in range(40)))
    assert len(await storage.keys("file-e")) == 40
    assert await read(storage, "file-e/17") == b"17"


async def test_a_bucket_that_is_away_is_said(s3):
    gone = S3Storage.open("s3://k:s@bucket?endpoint=http://127.0.0.1:9")
    for ask in (gone.put("a", b"x"), gone.delete(["a"]), gone.keys("a"), read(gone, "a")):
        with pytest.raises(Unavailable, match="does not answer") as error:
            await ask
        assert error.value.code == "storage_unavailable"


async def test_a_folder_has_one_name_for_whoever_opens_it(tmp_path):
    names = await asyncio.gather(*(asyncio.to_thread(LocalStorage.open, tmp_path / "files") for _ in range(8)))
    assert len({one.id for one in names}) == 1
    assert LocalStorage.open(tmp_path / "other").id != names[0].id


async def test_what_a_process_left_that_died_is_deleted_after_hours(tmp_path):
    storage = LocalStorage.open(tmp_path)
    for name, age in (("old", 7 * 3600), ("new", 60)):
        path = tmp_path / "incoming" / name
        path.write_bytes(b"x")
        os.utime(path, (path.stat().st_atime - age, path.stat().st_mtime - age))
    await storage.tidy()
    assert [path.name for path in (tmp_path / "incoming").iterdir()] == ["new"]


async def test_a_temporary_folder_goes_with_the_process():
    storage = open_storage(None)
    await storage.put("file-a/0", b"x")
    assert storage.folder.is_dir()
    await storage.close()
    assert not storage.folder.exists()


async def test_a_folder_that_can_not_be_used_is_said_at_the_start(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageUnusable, match="can not be kept in"):
        LocalStorage.open(tmp_path / "file")


def test_addresses_of_buckets():
    address = S3Address.parse("s3://KEY:SE%2FCRET@bucket/a/b/?endpoint=https://minio.example.org&region=eu")
    assert (address.bucket, address.prefix, address.key, address.secret) == ("bucket", "a/b", "KEY", "SE/CRET")
    assert (address.endpoint, address.region) == ("https://minio.example.org", "eu")
    assert address.name == "s3://https://minio.example.org/bucket/a/b"
    assert "SE/CRET" not in repr(address)
    assert S3Address.parse("s3://bucket").name == "s3://bucket"
    for wrong in ("http://bucket", "s3://", "s3://bucket?acl=public", "s3://KEY@bucket"):
        with pytest.raises(StorageUnusable, match=r"write it like s3://"):
            S3Address.parse(wrong)
