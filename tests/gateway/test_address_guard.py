"""Addresses are looked at when they are connected to, and what was looked at is what is connected to."""

import asyncio
import socket
import ssl
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network

import httpx
import pytest

from gateway.address_guard import AddressGuard, AddressRefused
from gateway.transport import AsyncioTransport

pytestmark = pytest.mark.anyio
LOOPBACK = [ip_network("127.0.0.1/32")]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture
def names():
    """Names and their addresses; of several lists each look gets the next."""
    known, looks = {}, []

    async def look(host, port, **options):
        looks.append(host)
        answers = known[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        return [(kind, socket.SOCK_STREAM, 6, "", (a, port)) for kind, a in zip(families, addresses, strict=True)]

    known["looks"] = looks
    known["look"] = look
    return known


async def ask(url, names, guard):
    """The status, and every address that was tried."""
    loop = asyncio.get_running_loop()
    tried, connect = [], loop.sock_connect
    loop.getaddrinfo = names["look"]

    async def watched(connection, address):
        tried.append(address[0])
        return await connect(connection, address)

    loop.sock_connect = watched
    try:
        async with AsyncioTransport(guard=guard) as transport:
            response = await transport.handle_async_request(
                httpx.Request("GET", url, extensions={"timeout": {"connect": 2, "read": 2, "pool": 2}})
            )
            return response.status_code, tried
    finally:
        del loop.getaddrinfo, loop.sock_connect


async def serve(heads):
    async def answer(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["::1"], ["10.0.0.1"], ["169.254.169.254"], ["::ffff:127.0.0.1"], ["8.8.8.8", "10.0.0.1"]],
    ids=" ".join,
)
async def test_a_name_that_means_a_private_place_is_never_connected_to(names, addresses):
    names["inside.example"] = [addresses]
    with pytest.raises(AddressRefused, match="--allow-upstream"):
        await ask("http://inside.example:1/", names, AddressGuard())


async def test_the_address_that_was_looked_at_is_the_one_that_is_reached_and_the_host_stays(names):
    heads = []
    server = await serve(heads)
    port = server.sockets[0].getsockname()[1]
    names["upstream.example"] = [["127.0.0.1"], ["169.254.169.254"]]
    status, tried = await ask(f"http://upstream.example:{port}/", names, AddressGuard(LOOPBACK))
    server.close()
    assert (status, tried) == (200, ["127.0.0.1"])
    assert names["looks"] == ["upstream.example"]  # one look: a name that changes meanwhile changes nothing
    assert b"host: upstream.example" in heads[0].lower()


async def test_the_certificate_is_asked_for_by_the_name_not_by_the_address(names):
    names["upstream.example"] = [["127.0.0.1"]]
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    seen, connect = [], loop.create_connection

    async def connected(made, *, sock, **options):
        seen.append((sock.getpeername(), options["server_hostname"], isinstance(options["ssl"], ssl.SSLContext)))
        return await connect(made, sock=sock, **options)

    loop.getaddrinfo, loop.create_connection = names["look"], connected
    try:
        async with AsyncioTransport(guard=AddressGuard(LOOPBACK)) as transport:
            with pytest.raises(httpx.ConnectError):
                await transport.handle_async_request(httpx.Request("GET", f"https://upstream.example:{port}/"))
    finally:
        del loop.getaddrinfo, loop.create_connection
        server.close()
    assert seen == [(("127.0.0.1", port), "upstream.example", True)]


async def test_an_address_in_place_of_a_name_is_looked_at_too():
    async with AsyncioTransport(guard=AddressGuard()) as transport:
        for host in ("127.0.0.1", "[::1]", "2130706433", "0x7f.1", "localhost"):
            with pytest.raises(httpx.ConnectError):
                await transport.handle_async_request(httpx.Request("GET", f"http://{host}:1/"))


async def test_the_next_address_is_tried_where_one_refuses(names):
    heads = []
    server = await serve(heads)
    port = server.sockets[0].getsockname()[1]
    names["upstream.example"] = [["127.0.0.2", "127.0.0.1"]]
    status, tried = await ask(f"http://upstream.example:{port}/", names, AddressGuard([ip_network("127.0.0.0/8")]))
    server.close()
    assert (status, tried) == (200, ["127.0.0.2", "127.0.0.1"])


@contextmanager
def silence(address):
    """At this address and port nobody answers: whoever connects there waits, as behind a route that is dead."""
    with ExitStack() as stack:
        stack.enter_context(socket.create_server(address, backlog=0))
        for _ in range(3):  # what the system takes for a program that does not; it drops whatever comes after
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(address)
        yield


async def test_an_address_that_says_nothing_holds_up_the_next_for_a_moment_only(names):
    server = await serve([])
    port = server.sockets[0].getsockname()[1]
    names["upstream.example"] = [["127.0.0.3", "127.0.0.1"]]
    with silence(("127.0.0.3", port)):
        status, tried = await ask(f"http://upstream.example:{port}/", names, AddressGuard([ip_network("127.0.0.0/8")]))
    server.close()
    assert (status, tried) == (200, ["127.0.0.3", "127.0.0.1"])  # within the two seconds that a connection may take
