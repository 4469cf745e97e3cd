"""Batches by real processes: taken over when one dies, and as the SDKs of Python and Node use them."""

import asyncio
import contextlib
import json
import logging
import sys

import httpx
import pytest

from benchmarks.batches.command import DONE, start
from benchmarks.batches.outcome import judge
from benchmarks.crashes.gateways import Gateway, answers
from benchmarks.crashes.tenants import prepare
from benchmarks.processes import free_port, running
from benchmarks.served import MODEL
from gateway.settings import sqlite_url

LINES = 3000


@pytest.fixture
def engine():
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.fake_engine", "--port", str(port), "--delay-ms", "100"]
    with running(command, ready=f"http://127.0.0.1:{port}/status"):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def bucket():
    """The address of a bucket, on a server that speaks S3."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    own = {"region_name": "us-east-1", "aws_access_key_id": "k", "aws_secret_access_key": "s"}
    client = boto3.client("s3", endpoint_url=endpoint, **own)
    client.create_bucket(Bucket="files")
    client.close()
    yield f"s3://k:s@files?endpoint={endpoint}"
    server.stop()


def gateway(folder, node, name, files):
    """One on a data folder of its own, but for the database; with `files`, on storage that others reach."""
    port = free_port()
    own = folder / name if files else folder
    place = ["--port", str(port), "--data-dir", str(own), "--database-url", sqlite_url(folder), "--node", node]
    place += ["--files", files] if files else []
    command = [sys.executable, "-m", "shoal", "gateway", *place]
    return Gateway(f"http://127.0.0.1:{port}", command, folder / f"{name}.log")


@contextlib.asynccontextmanager
async def alive(one):
    """A gateway that is not started again when it is killed."""
    with one.log.open("ab") as said:
        one._start(said)
    try:
        async with asyncio.timeout(60):
            while not await answers(one.url):
                await asyncio.sleep(0.05)
        yield
    finally:
        if one.process.poll() is None:
            one.stop()


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["disk", "bucket"])
def test_another_gateway_takes_over_from_one_that_was_killed_and_nothing_counts_twice(
    tmp_path, engine, request, storage
):
    files = request.getfixturevalue("bucket") if storage == "bucket" else None
    database_url = sqlite_url(tmp_path)
    names = [f"r{number}" for number in range(LINES)]

    async def play():
        key, *_ = await prepare(database_url, MODEL)
        first, second = (gateway(tmp_path, engine, name, files) for name in ("first", "second"))
        headers = {"authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(headers=headers, timeout=60) as client:

            async def look(url):
                return (await client.get(f"{url}/v1/batches/{batch_id}")).json()

            async with alive(first), alive(second):
                client.base_url = first.url
                batch_id = await start(client, names, [f"text {name}" for name in names])
                async with asyncio.timeout(60):
                    while (await look(second.url))["request_counts"]["completed"] < LINES // 4:
                        await asyncio.sleep(0.02)
                holder = first if b"is worked on" in first.log.read_bytes() else second
                other = second if holder is first else first
                holder.kill()
                async with asyncio.timeout(60):
                    while (batch := await look(other.url))["status"] not in DONE:
                        await asyncio.sleep(0.1)
                output = await client.get(f"{other.url}/v1/files/{batch['output_file_id']}/content")
        assert b"is worked on" in other.log.read_bytes()
        return await judge(database_url, batch, names, output.content)

    outcome = asyncio.run(play())
    assert outcome.holds, outcome


def test_the_sdk_for_node_makes_and_reads_a_batch(server, run_node):
    told = json.loads(run_node("batches.mjs", server.url, server.api_key, "all-minilm-l6-v2"))
    assert told["status"] == "completed"
    assert told["counts"] == {"total": 3, "completed": 3, "failed": 0}
    assert [line["custom_id"] for line in told["lines"]] == ["a", "b", "c"]
    assert told["same"] is True
    assert told["listed"] is True
    assert told["deleted"] is True
