"""TLS at our doors and towards our nodes: who is taken, who is refused, and certificates that are renewed meanwhile."""

import asyncio
import contextlib
import math
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.certificates import CertificateFiles, Certificates, CertificatesUnusable
from gateway.transport import AsyncioTransport
from shoal import process
from shoal.door import ListeningDoor
from shoal.doorkeeper import Limits
from shoal.failures import StartFailure
from shoal.server import Server
from shoal.tls import door_tls

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
def ours(new_authority):
    return new_authority("ours")


@pytest.fixture
def theirs(new_authority):
    return new_authority("theirs")


async def app(scope, receive, send) -> None:
    body = scope["scheme"].encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def serving(context: ssl.SSLContext | None) -> AsyncIterator[str]:
    stop, sock = process.StopSignal(), process.listen("127.0.0.1", 0)
    server = asyncio.create_task(process.serve(app, sock, stop, grace_period=20, tls=context))
    yield process.address(sock, Path("certificate"))
    stop.set()
    await server


async def ask(url: str, context: ssl.SSLContext) -> str:
    async with httpx.AsyncClient(transport=AsyncioTransport(ssl_context=context)) as client:
        return (await client.get(url)).text


async def test_both_sides_that_show_a_certificate_of_the_same_authority_speak(ours) -> None:
    node = Certificates.of_server(CertificateFiles(**ours.issue("node"), trusted=ours.path))
    gateway = Certificates.of_client(CertificateFiles(**ours.issue("gateway"), trusted=ours.path))
    async with serving(node.context) as url:
        assert await ask(url, gateway.context) == "https"


@pytest.mark.parametrize("shown", ["nothing", "a stranger's"])
async def test_a_node_takes_nobody_who_shows_nothing_or_what_a_stranger_signed(ours, theirs, shown) -> None:
    node = Certificates.of_server(CertificateFiles(**ours.issue("node"), trusted=ours.path))
    own = {} if shown == "nothing" else theirs.issue("gateway")
    gateway = Certificates.of_client(CertificateFiles(**own, trusted=ours.path))
    async with serving(node.context) as url:
        with pytest.raises(httpx.TransportError):
            await ask(url, gateway.context)


async def test_a_gateway_believes_no_node_of_a_strangers_or_of_another_name(ours, theirs) -> None:
    gateway = Certificates.of_client(CertificateFiles(trusted=ours.path))
    async with serving(Certificates.of_server(CertificateFiles(**theirs.issue("node"))).context) as url:
        with pytest.raises(httpx.ConnectError):
            await ask(url, gateway.context)
    async with serving(Certificates.of_server(CertificateFiles(**ours.issue("node"))).context) as url:
        with pytest.raises(httpx.ConnectError):
            await ask(url.replace("127.0.0.1", "localhost"), gateway.context)


async def test_a_kept_connection_that_nobody_uses_does_not_hold_the_end_up(ours) -> None:
    """Its client would have to answer that TLS ends, and does not even look."""
    node = Certificates.of_server(CertificateFiles(**ours.issue("node")))
    trusted = Certificates.of_client(CertificateFiles(trusted=ours.path)).context

    def ask_and_keep(address) -> ssl.SSLSocket:
        connection = trusted.wrap_socket(socket.create_connection(address), server_hostname="127.0.0.1")
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        return connection

    async with asyncio.timeout(5), serving(node.context) as url:
        kept = await asyncio.to_thread(ask_and_keep, ("127.0.0.1", int(url.rpartition(":")[2])))
    kept.close()


async def test_an_end_passes_by_a_connection_that_is_just_being_cut_off(ours) -> None:
    """For a moment it is there still, and its socket is not."""
    node = Certificates.of_server(CertificateFiles(**ours.issue("node")))
    trusted = Certificates.of_client(CertificateFiles(trusted=ours.path)).context
    sock = process.listen("127.0.0.1", 0)
    server = Server(app, ListeningDoor(sock), Limits(), node.context)
    await server.open()
    _, writer = await asyncio.open_connection(*sock.getsockname(), ssl=trusted, server_hostname="127.0.0.1")
    while not server._connections:
        await asyncio.sleep(0.01)
    [connection] = server._connections
    connection.cut_off()
    try:
        async with asyncio.timeout(5):
            while server._connections:
                connection.close_if_idle(math.inf)
                await asyncio.sleep(0)
    finally:
        writer.close()
        await server.close(1.0)


async def test_renewed_certificates_hold_for_the_next_connection_and_bad_ones_change_nothing(ours, theirs) -> None:
    node = Certificates.of_server(CertificateFiles(**ours.issue("old", "node")))
    old = Certificates.of_client(CertificateFiles(trusted=ours.path)).context
    new = Certificates.of_client(CertificateFiles(trusted=theirs.path)).context
    async with serving(node.context) as url:
        assert await ask(url, old) == "https"
        (ours.folder / "node.crt").write_text("half a certificate")
        await node.renew()
        assert await ask(url, old) == "https"
        for path in theirs.issue("new", "node").values():
            path.rename(ours.folder / path.name)
        await node.renew()
        assert await ask(url, new) == "https"
        with pytest.raises(httpx.ConnectError):
            await ask(url, old)


async def test_an_authority_that_is_added_is_believed(ours, theirs) -> None:
    gateway = Certificates.of_client(CertificateFiles(trusted=ours.path))
    async with serving(Certificates.of_server(CertificateFiles(**theirs.issue("node"))).context) as url:
        ours.path.write_text(ours.path.read_text() + theirs.path.read_text())
        await gateway.renew()
        assert await ask(url, gateway.context) == "https"


async def test_what_can_not_be_used_is_said(ours, tmp_path) -> None:
    mixed = CertificateFiles(certificate=ours.issue("a")["certificate"], key=ours.issue("b")["key"])
    with pytest.raises(CertificatesUnusable, match=r"a\.crt.*b\.key"):
        Certificates.of_server(mixed)
    with pytest.raises(CertificatesUnusable, match="nowhere"):
        Certificates.of_client(CertificateFiles(trusted=tmp_path / "nowhere"))
    with pytest.raises(StartFailure, match="--tls-cert"):
        async with door_tls(CertificateFiles(trusted=ours.path)):
            pass


async def test_who_speaks_no_tls_is_hung_up_on_and_others_are_served(ours) -> None:
    node = Certificates.of_server(CertificateFiles(**ours.issue("node")))
    gateway = Certificates.of_client(CertificateFiles(trusted=ours.path))
    async with serving(node.context) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"HTTP/1.1" not in await reader.read()
        writer.close()
        assert await ask(url, gateway.context) == "https"
