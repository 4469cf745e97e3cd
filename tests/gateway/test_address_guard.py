"""Addresses are looked at when they are connected to, and what was looked at is what is connected to."""

import asyncio
import socket
import ssl
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
    loop = asyncio.get_running_loop()
    reached, connect = [], loop.create_connection
    loop.getaddrinfo = names["look"]

    async def connected(made, host, port, **options):
        reached.append((host, options.get("server_hostname")))
        return await connect(made, host, port, **options)

    loop.create_connection = connected
    try:
        async with AsyncioTransport(guard=guard) as transport:
            response = await transport.handle_async_request(
                httpx.Request("GET", url, extensions={"timeout": {"connect": 2, "read": 2, "pool": 2}})
            )
            return response.status_code, reached
    finally:
        del loop.getaddrinfo, loop.create_connection


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
    status, reached = await ask(f"http://upstream.example:{port}/", names, AddressGuard(LOOPBACK))
    server.close()
    assert (status, reached) == (200, [("127.0.0.1", None)])
    assert names["looks"] == ["upstream.example"]  # one look: a name that changes meanwhile changes nothing
    assert b"host: upstream.example" in heads[0].lower()


async def test_the_certificate_is_asked_for_by_the_name_not_by_the_address(names):
    names["upstream.example"] = [["127.0.0.1"]]
    loop = asyncio.get_running_loop()
    seen, connect = [], loop.create_connection

    async def connected(made, host, port, **options):
        seen.append((host, options["server_hostname"], isinstance(options["ssl"], ssl.SSLContext)))
        return await connect(made, host, port, **options)

    loop.getaddrinfo, loop.create_connection = names["look"], connected
    try:
        async with AsyncioTransport(guard=AddressGuard(LOOPBACK)) as transport:
            with pytest.raises(httpx.ConnectError):
                await transport.handle_async_request(httpx.Request("GET", "https://upstream.example:9/"))
    finally:
        del loop.getaddrinfo, loop.create_connection
    assert seen == [("127.0.0.1", "upstream.example", True)]


async def test_an_address_in_place_of_a_name_is_looked_at_too():
    async with AsyncioTransport(guard=AddressGuard()) as transport:
        for host in ("127.0.0.1", "[::1]", "2130706433", "0x7f.1", "localhost"):
            with pytest.raises(httpx.ConnectError):
                await transport.handle_async_request(httpx.Request("GET", f"http://{host}:1/"))


async def test_the_next_address_is_tried_where_one_does_not_answer(names):
    heads = []
    server = await serve(heads)
    port = server.sockets[0].getsockname()[1]
    names["upstream.example"] = [["127.0.0.2", "127.0.0.1"]]
    status, reached = await ask(f"http://upstream.example:{port}/", names, AddressGuard([ip_network("127.0.0.0/8")]))
    server.close()
    assert (status, [host for host, _ in reached]) == (200, ["127.0.0.2", "127.0.0.1"])
