"""Files by OpenAI's SDK and by whoever sends what no SDK would."""

import errno
import io
import os
import socket
from pathlib import Path

import openai
import pytest

from gateway.services.bulk.local_storage import IncomingFile
from gateway.services.register import keys

LINE = b'{"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": {"input": "x"}}\n'


def kept(gateway):
    """Everything that the storage holds, which the sweeper may be about to delete."""
    folders = os.walk(gateway.services.bulk.storage.folder)
    return sorted(Path(folder, name) for folder, _, names in folders for name in names)


def form(content=LINE, *, name="in.jsonl", **fields):
    return {"data": {"purpose": "batch", **fields}, "files": {"file": (name, content)}}


def test_what_is_uploaded_can_be_seen_listed_read_and_deleted(gateway_under_test, client):
    before = kept(gateway_under_test)
    made = client.files.create(file=("requests.jsonl", io.BytesIO(LINE * 3)), purpose="batch")
    assert made.id.startswith("file-")
    assert (made.object, made.bytes, made.filename) == ("file", 3 * len(LINE), "requests.jsonl")
    assert (made.purpose, made.status) == ("batch", "processed")
    assert made.expires_at - made.created_at == 30 * 86400
    assert client.files.retrieve(made.id) == made
    assert client.files.list().data == [made]
    assert client.files.content(made.id).read() == LINE * 3
    gone = client.files.delete(made.id)
    assert (gone.id, gone.deleted, gone.object) == (made.id, True, "file")
    for ask in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError, match="No such File object"):
            ask(made.id)
    assert client.files.list().data == []
    gateway_under_test.wait_until(lambda: kept(gateway_under_test) == before)


def test_a_large_file_comes_back_as_it_was(client):
    content = b"".join(b"%d %d\n" % (number, number**3) for number in range(150_000))
    made = client.files.create(file=("big.jsonl", content), purpose="batch")
    assert made.bytes == len(content) > 2_000_000
    assert client.files.content(made.id).read() == content


def test_pages_follow_each_other_in_either_order(client):
    names = [client.files.create(file=(f"{number}.jsonl", LINE), purpose="batch").id for number in range(5)]
    assert [one.id for one in client.files.list(limit=2)] == names[::-1]
    assert [one.id for one in client.files.list(limit=2, order="asc")] == names
    page = client.files.list(limit=2, order="asc", after=names[1])
    assert ([one.id for one in page.data], page.has_more) == (names[2:4], True)
    assert client.files.list(purpose="batch_output").data == []
    assert len(client.files.list(purpose="batch").data) == 5
    for wrong in ({"limit": 0}, {"limit": 10_001}, {"order": "up"}):
        with pytest.raises(openai.BadRequestError):
            client.files.list(**wrong)


def test_a_file_says_how_long_it_is_kept(gateway_under_test, client, caller):
    made = client.files.create(
        file=("a", LINE), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert made.expires_at - made.created_at == 3600
    for wrong in ({"expires_after[anchor]": "created_at"}, {"expires_after[seconds]": "3600"}):
        assert gateway_under_test.post("/v1/files", caller, **form(**wrong)).status_code == 400
    seconds = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "59"}
    assert gateway_under_test.post("/v1/files", caller, **form(**seconds)).status_code == 400


@pytest.mark.parametrize("path", ["/v1/files", "/files"])
def test_the_paths_that_clients_build(gateway_under_test, caller, path):
    made = gateway_under_test.post(path, caller, **form()).json()
    assert gateway_under_test.request("GET", f"{path}/{made['id']}", caller).json() == made
    content = gateway_under_test.request("GET", f"{path}/{made['id']}/content", caller)
    assert (content.content, content.headers["content-type"]) == (LINE, "application/octet-stream")
    assert content.headers["x-content-type-options"] == "nosniff"
    assert gateway_under_test.request("DELETE", f"{path}/{made['id']}", caller).status_code == 200


@pytest.mark.parametrize(
    ("sent", "status", "param"),
    [
        ({"files": {"file": ("a", LINE)}}, 400, "purpose"),
        (form(purpose="fine-tune"), 400, "purpose"),
        ({"data": {"purpose": "batch"}, "files": {"other": ("a", LINE)}}, 400, "file"),
        ({"files": [("file", ("a", LINE)), ("file", ("b", LINE))], "data": {"purpose": "batch"}}, 400, "file"),
        (form(purpose="x" * 5000), 400, "purpose"),
        ({"json": {"purpose": "batch"}}, 415, None),
        ({"content": b"", "headers": {"content-type": "multipart/form-data"}}, 400, None),
        ({"content": b"no form", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 400, None),
        ({"content": b"--x\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 400, None),
    ],
)
def test_what_is_no_upload_is_refused_and_leaves_nothing(gateway_under_test, caller, sent, status, param):
    before = kept(gateway_under_test)
    reply = gateway_under_test.post("/v1/files", caller, **sent)
    assert (reply.status_code, reply.json()["error"]["param"]) == (status, param), reply.text
    assert kept(gateway_under_test) == before
    assert gateway_under_test.request("GET", "/v1/files", caller).json()["data"] == []


@pytest.mark.parametrize("announced", [True, False])
def test_a_file_that_is_too_large_is_refused_and_leaves_nothing(gateway_under_test, caller, monkeypatch, announced):
    before = kept(gateway_under_test)
    object.__setattr__(gateway_under_test.services.settings, "max_file_bytes", 100_000)
    try:
        fits = gateway_under_test.post("/v1/files", caller, **form(b"x" * 100_000))
        assert fits.status_code == 200
        gateway_under_test.request("DELETE", f"/v1/files/{fits.json()['id']}", caller)
        request = form(b"x" * 100_001) if announced else chunked(b"x" * 300_000)
        reply = gateway_under_test.post("/v1/files", caller, **request)
    finally:
        object.__setattr__(gateway_under_test.services.settings, "max_file_bytes", 200 * 1024**2)
    assert (reply.status_code, reply.json()["error"]["type"]) == (413, "request_too_large")
    gateway_under_test.wait_until(lambda: kept(gateway_under_test) == before)


def chunked(content):
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    return {
        "content": (part for part in (head, content, b"\r\n--x--\r\n")),
        "headers": {"content-type": "multipart/form-data; boundary=x"},
    }


def test_an_upload_is_on_disk_as_it_comes_and_gone_when_it_breaks_off(gateway_under_test, caller):
    incoming = gateway_under_test.services.bulk.storage.folder / "incoming"
    host, port = gateway_under_test.url.removeprefix("http://").split(":")
    head = f"POST /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {caller.key}\r\ncontent-length: 9000000\r\n"
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + b"x" * 4_000_000
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head.encode() + b"content-type: multipart/form-data; boundary=x\r\n\r\n" + body)
        gateway_under_test.wait_until(lambda: sum(one.stat().st_size for one in incoming.iterdir()) > 3_000_000)
    gateway_under_test.wait_until(lambda: not [*incoming.iterdir()])
    assert gateway_under_test.request("GET", "/v1/files", caller).json()["data"] == []


def test_a_tenant_can_store_so_much_and_no_more(gateway_under_test, client):
    def rows():
        return {row["id"] for row in gateway_under_test.dump()["file"]}

    settings = gateway_under_test.services.settings
    object.__setattr__(settings, "max_stored_bytes", 2500)
    try:
        first = client.files.create(file=("a", b"x" * 1500), purpose="batch")
        before = kept(gateway_under_test)
        with pytest.raises(openai.BadRequestError, match="2,501 bytes together, and 2,500 are the limit") as refused:
            client.files.create(file=("b", b"x" * 1001), purpose="batch")
        assert refused.value.code == "storage_limit_exceeded"
        assert {*kept(gateway_under_test)} <= {*before}
        client.files.create(file=("b", b"x" * 1000), purpose="batch")
        with pytest.raises(openai.BadRequestError, match="delete some first"):
            client.batches.create(input_file_id=first.id, endpoint="/v1/embeddings", completion_window="24h")
        assert first.id in rows()
        client.files.delete(first.id)
        gateway_under_test.wait_until(lambda: first.id not in rows())
        client.files.create(file=("c", b"x" * 1500), purpose="batch")
    finally:
        object.__setattr__(settings, "max_stored_bytes", 10 * 1024**3)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_and_changes_nothing(gateway_under_test, caller, monkeypatch, code):
    def full(*_):
        raise OSError(code, "full")

    before = kept(gateway_under_test)
    monkeypatch.setattr(IncomingFile, "_write", full)
    reply = gateway_under_test.post("/v1/files", caller, **form())
    assert (reply.status_code, reply.json()["error"]["code"]) == (507, "storage_full")
    assert reply.headers["x-should-retry"] == "false"
    assert kept(gateway_under_test) == before
    assert gateway_under_test.request("GET", "/v1/files", caller).json()["data"] == []


def test_a_disk_that_fails_is_said_too(gateway_under_test, caller, monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(IncomingFile, "_keep", broken)
    reply = gateway_under_test.post("/v1/files", caller, **form())
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "storage_unavailable")
    assert "retry-after" in reply.headers


def test_names_are_only_names(gateway_under_test, caller):
    for sent, shown in (
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\a.jsonl", "a.jsonl"),
        ("ü🐟.jsonl", "ü🐟.jsonl"),
        ("x" * 300, "x" * 255),
        ("..", ".."),
    ):
        assert gateway_under_test.post("/v1/files", caller, **form(name=sent)).json()["filename"] == shown


def test_a_file_of_another_machines_disk_is_not_missing_but_elsewhere(gateway_under_test, client, monkeypatch):
    made = client.files.create(file=("a", LINE), purpose="batch")
    monkeypatch.setattr(gateway_under_test.services.bulk.storage, "id", "local:another")
    assert client.files.retrieve(made.id).id == made.id
    with pytest.raises(openai.APIStatusError) as elsewhere:
        client.files.content(made.id)
    assert (elsewhere.value.status_code, elsewhere.value.code) == (503, "file_elsewhere")


def test_a_file_whose_bytes_are_lost_is_said_to_be(gateway_under_test, client):
    made = client.files.create(file=("a", LINE), purpose="batch")
    storage = gateway_under_test.services.bulk.storage
    (key,) = gateway_under_test.run(storage.keys(made.id))
    storage.path(key).unlink()
    with pytest.raises(openai.NotFoundError, match="is lost") as gone:
        client.files.content(made.id)
    assert (gone.value.code, gone.value.param, gone.value.type) == ("file_content_gone", "id", "invalid_request_error")
    client.files.delete(made.id)


def test_a_key_needs_the_scope_for_batches(gateway_under_test, caller):
    gateway_under_test.change(keys.update_key, caller.key_id, scopes=["embeddings"])
    for method, path in (("GET", "/v1/files"), ("POST", "/v1/files"), ("GET", "/v1/batches"), ("POST", "/v1/batches")):
        reply = gateway_under_test.request(method, path, caller)
        assert (reply.status_code, reply.json()["error"]["code"]) == (403, "missing_scope")
    gateway_under_test.change(keys.update_key, caller.key_id, scopes=["batches"])
    assert gateway_under_test.post("/v1/files", caller, **form()).status_code == 200


def test_what_has_expired_is_gone_at_once_and_deleted_soon(gateway_under_test, client):
    before = kept(gateway_under_test)
    made = client.files.create(
        file=("a", LINE), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert len(kept(gateway_under_test)) == len(before) + 1

    async def age():
        from datetime import timedelta

        from gateway.db.tables import File

        async with gateway_under_test.services.database.transaction() as session:
            row = await session.get(File, made.id)
            row.expires_at -= timedelta(seconds=3601)

    gateway_under_test.run(age())
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(made.id)
    gateway_under_test.services.bulk.sweeper.hurry()
    gateway_under_test.wait_until(lambda: kept(gateway_under_test) == before)
