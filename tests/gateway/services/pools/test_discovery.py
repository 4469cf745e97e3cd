"""Nodes behind a name: looked up by a resolver of the test's own, and once by the system's."""

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import structs

from benchmarks.fake_engine import FakeEngine, FakeEngineProtocol, serve
from gateway.errors import Unavailable
from gateway.services.pools import discovery
from gateway.services.pools.discovery import Service
from gateway.transport import AsyncioTransport


class Zone:
    """What DNS says now: addresses, or the error of the lookup."""

    def __init__(self, *addresses):
        self.addresses = list(addresses)
        self.failure = None
        self.lookups = 0

    async def resolve(self, host, port):
        assert host == "engines.test"
        self.lookups += 1
        if self.failure is not None:
            raise self.failure
        return self.addresses

    async def looked_up(self, times=2):
        """Until so many further lookups are over."""
        wanted = self.lookups + times
        async with asyncio.timeout(5):
            while self.lookups < wanted:
                await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def quick_lookups(monkeypatch):
    monkeypatch.setattr(discovery, "INTERVAL", 0.03)
    monkeypatch.setattr(discovery, "EAGER_INTERVAL", 0.01)


@pytest.fixture
def at_port(following):
    def follow(zone, port, **options):
        return following(f"dns+http://engines.test:{port}", resolve=zone.resolve, **options)

    return follow


@pytest.mark.parametrize(
    ("text", "service"),
    [
        ("dns+http://engines:9000", Service("http", "engines", 9000)),
        (
            "dns+https://engines.shoal.svc:9000/",
            Service("https", "engines.shoal.svc", 9000),
        ),
        ("dns+http://engines", Service("http", "engines", 80)),
        ("dns+https://engines", Service("https", "engines", 443)),
        ("http://engines:9000", None),
        ("dns+http://engines:9000/path", None),
        ("dns+http://:9000", None),
    ],
)
def test_a_service_is_a_name_and_a_port(text, service):
    assert Service.parse(text) == service


def test_addresses_of_both_kinds_make_urls():
    service = Service("http", "engines", 9000)
    assert service.url("10.0.0.7") == "http://10.0.0.7:9000"
    assert service.url("fd00::7") == "http://[fd00::7]:9000"


def test_every_address_is_a_node_and_those_that_come_later_too(at_port, fake_engine, until):
    async def run():
        async with fake_engine(holding="m") as one, fake_engine(one.port, "127.0.0.2", holding="m") as two:
            zone = Zone("127.0.0.1")
            async with at_port(zone, one.port) as fleet:
                await until(lambda: fleet.pool.healthy == 1)
                zone.addresses = ["127.0.0.1", "127.0.0.2"]
                await until(lambda: fleet.pool.healthy == 2)
                assert sorted(node.url for node in fleet.pool) == sorted([one.url, two.url])
                await asyncio.gather(*(fleet.embed("__sleep 0.05__") for _ in range(40)))
                assert one.calls
                assert two.calls

    asyncio.run(run())


@pytest.mark.parametrize("failure", [socket.gaierror(socket.EAI_AGAIN, "again"), TimeoutError(), OSError("no route")])
def test_a_lookup_that_fails_loses_no_node(at_port, fake_engine, until, failure):
    async def run():
        async with fake_engine() as engine:
            zone = Zone("127.0.0.1")
            async with at_port(zone, engine.port) as fleet:
                await until(lambda: fleet.pool.healthy == 1)
                zone.failure = failure
                await zone.looked_up(4)
                assert (await fleet.embed()).token_counts == [3]

    asyncio.run(run())


def test_a_name_that_is_gone_loses_no_node_before_it_goes_itself(at_port, fake_engine, until):
    async def run():
        async with fake_engine() as engine:
            zone = Zone("127.0.0.1")
            async with at_port(zone, engine.port) as fleet:
                await until(lambda: fleet.pool.healthy == 1)
                zone.addresses = []
                await zone.looked_up(4)
                assert (await fleet.embed()).token_counts == [3]
                engine.ready = False
                await until(lambda: len(fleet.pool) == 0)
                assert "default" in fleet.nodes.pools, "scaled to zero, and still a pool"

    asyncio.run(run())


def test_an_address_that_is_gone_finishes_what_it_does_and_gets_nothing_more(at_port, fake_engine, until, monkeypatch):
    monkeypatch.setattr(discovery, "MISSED", 0.05)

    async def run():
        async with fake_engine() as one, fake_engine(one.port, "127.0.0.2") as two:
            zone = Zone("127.0.0.1")
            async with at_port(zone, one.port) as fleet:
                await until(lambda: fleet.pool.healthy == 1)
                at_one = asyncio.create_task(fleet.embed("__sleep 0.5__"))
                await until(lambda: one.calls == 1)
                zone.addresses = ["127.0.0.2"]
                await until(lambda: [node.url for node in fleet.pool if node.healthy] == [two.url])
                await until(lambda: len(fleet.pool) == 1)
                assert fleet.pool.in_flight == 1
                for _ in range(5):
                    await fleet.embed()
                assert (one.calls, two.calls) == (1, 5)
                assert (await at_one).token_counts
                assert fleet.pool.in_flight == 0

    asyncio.run(run())


def test_lookups_hurry_while_somebody_waits(at_port, fake_engine, until, monkeypatch):
    monkeypatch.setattr(discovery, "INTERVAL", 3600.0)

    async def run():
        async with fake_engine() as engine:
            zone = Zone()
            async with at_port(zone, engine.port) as fleet:
                await until(lambda: zone.lookups == 1)
                waiting = asyncio.create_task(fleet.embed())
                await until(lambda: fleet.pool.waiting == 1)
                assert fleet.pool.waiting + fleet.pool.in_flight == 1
                zone.addresses = ["127.0.0.1"]
                assert (await asyncio.wait_for(waiting, 5)).token_counts == [3]
                assert fleet.pool.waiting + fleet.pool.in_flight == 0

    asyncio.run(run())


def test_one_process_under_two_addresses_counts_once_and_stays_when_one_of_them_goes(at_port, until, monkeypatch):
    monkeypatch.setattr(discovery, "MISSED", 0.05)

    async def run():
        engine = FakeEngine(dimensions=4)
        status = structs.replace(engine.status(), instance="the one")
        engine.status = lambda: status
        zone = Zone("127.0.0.1", "127.0.0.2")
        async with await serve(engine) as first:
            port = first.sockets[0].getsockname()[1]
            async with await serve(engine, host="127.0.0.2", port=port), at_port(zone, port) as fleet:
                await until(lambda: len(fleet.pool) == 2)
                other = next(node for node in fleet.pool if "127.0.0.2" in node.url)
                await until(lambda: fleet.pool.healthy == 1 and "under another address" in (other.failure or ""))
                zone.addresses = ["127.0.0.2"]
                await until(lambda: other.healthy)
                assert (await fleet.embed()).token_counts == [3]

    asyncio.run(run())


def test_localhost_is_looked_up_by_the_system(following, fake_engine, until):
    async def run():
        async with fake_engine() as engine, following(f"dns+http://localhost:{engine.port}") as fleet:
            await until(lambda: engine.url in [node.url for node in fleet.pool if node.healthy])
            assert (await fleet.embed()).token_counts == [3]

    asyncio.run(run())


def test_a_name_that_does_not_exist_is_a_pool_without_nodes(following):
    async def run():
        assert await discovery.resolve("nowhere.invalid", 9000) == []
        async with following("dns+http://nowhere.invalid:9000", pool_patience=0.05) as fleet:
            with pytest.raises(Unavailable) as caught:
                await fleet.embed()
            assert caught.value.retry_after >= 1

    asyncio.run(run())


def certificate(folder, name):
    """A self-signed one for this name: contexts of whoever shows it and of whoever trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(path)
    return SimpleNamespace(shown=shown, trusted=ssl.create_default_context(cafile=path))


@pytest.mark.parametrize(("name", "well"), [("engines.test", True), ("others.test", False)])
def test_nodes_by_tls_must_show_the_certificate_of_the_name(following, until, tmp_path, name, well):
    async def run():
        made = certificate(tmp_path, name)
        engine = FakeEngine(dimensions=4)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: FakeEngineProtocol(engine), "127.0.0.1", 0, ssl=made.shown)
        zone = Zone("127.0.0.1")
        async with server:
            place = f"dns+https://engines.test:{server.sockets[0].getsockname()[1]}"
            transport = AsyncioTransport(ssl_context=made.trusted)
            async with following(place, resolve=zone.resolve, transport=transport) as fleet:
                await until(lambda: len(fleet.pool) == 1 and fleet.node().failure != "not asked yet")
                assert fleet.node().healthy is well
                if well:
                    assert (await fleet.embed()).token_counts == [3]

    asyncio.run(run())
