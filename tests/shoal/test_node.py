import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from engine.protocol import PROTOCOL_VERSION, NodeStatus
from gateway.certificates import CertificateFiles, Certificates

STARTER = "sentence-transformers/all-MiniLM-L6-v2"
STATUS = NodeStatus(
    protocol=PROTOCOL_VERSION, version="0", device="cpu", ready=True, memory_budget=500 * 2**20,
    memory_used=87 * 2**20, waiting_requests=0, waiting_tokens=12, tokens_per_second=0, models=[],
)  # fmt: skip


class Node(ThreadingHTTPServer):
    """An engine node that only says how it is."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = STATUS


class Handler(BaseHTTPRequestHandler):
    server: Node

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

    def do_GET(self) -> None:
        body = msgspec.msgpack.encode(self.server.status)
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving(server: Node) -> Iterator[Node]:
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def node() -> Iterator[Node]:
    with serving(Node()) as server:
        yield server


@pytest.fixture
def authority(new_authority):
    return new_authority("ours")


@pytest.fixture
def tls_node(authority) -> Iterator[Node]:
    """One that takes only who shows a certificate of the authority."""
    server, files = Node(), CertificateFiles(**authority.issue("node"), trusted=authority.path)
    server.socket = Certificates.of_server(files).context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # of callers who are refused
    with serving(server):
        yield server


def shown(certificate: dict[str, Path]) -> tuple[str, ...]:
    return ("--engine-cert", str(certificate["certificate"]), "--engine-key", str(certificate["key"]))


def test_a_node_that_asks_for_certificates_is_shown_one_and_believed_by_its_authority(
    shoal, tls_node, authority
) -> None:
    node = ("--node", f"https://127.0.0.1:{tls_node.server_port}", "--engine-ca", str(authority.path))
    own = shown(authority.issue("operator"))
    assert shoal("node", "list", *node, *own, "--json").json[0]["status"]["ready"] is True
    shoal("model", "add", STARTER, "--unchecked")
    for verb in ("load", "unload", "pin", "unpin"):
        assert "models take 87 of 500 MiB" in shoal("model", verb, STARTER, *node, *own).out
    assert shoal("model", "list", *node, *own).rows[1][0] == STARTER


def test_where_certificates_are_refused_it_is_said_that_they_may_be_why(
    run, tls_node, authority, new_authority
) -> None:
    node = ("node", "list", "--node", f"https://127.0.0.1:{tls_node.server_port}")
    own, strangers = shown(authority.issue("operator")), shown(new_authority("theirs").issue("operator"))
    believed = ("--engine-ca", str(authority.path))
    for words in (own, believed, (*believed, *strangers)):
        listed = run(*node, *words)
        assert (listed.code, "ready" in listed.out) == (1, False)
        assert "Certificates may be why: " in " ".join(listed.out.split()), listed.out


def test_certificates_that_can_not_be_used_are_refused_in_one_sentence(refused, run, authority) -> None:
    key = str(authority.issue("operator")["key"])
    node = ("node", "list", "--node", "https://127.0.0.1:1")
    assert key in refused(*node, "--engine-ca", key)
    asked = run(*node, "--engine-key", key)
    assert (asked.code, "--engine-cert" in asked.err) == (2, True)


def test_every_address_of_a_name_is_listed_as_a_node(shoal, node) -> None:
    listed = shoal("node", "list", "--node", f"gpu=dns+http://localhost:{node.server_port}", "--json").json
    assert {"pool": "gpu", "url": f"http://127.0.0.1:{node.server_port}"}.items() <= listed[0].items()
    assert listed[0]["status"]["waiting_tokens"] == 12


def test_a_name_without_addresses_has_no_nodes(refused) -> None:
    assert "No engine node" in refused("node", "list", "--node", "dns+http://nowhere.invalid:9000")


@pytest.mark.parametrize("protocol", [PROTOCOL_VERSION - 1, PROTOCOL_VERSION + 1])
def test_a_node_of_the_next_version_is_ready(shoal, node, protocol) -> None:
    node.status = msgspec.structs.replace(STATUS, protocol=protocol)
    assert "ready" in shoal("node", "list", "--node", f"http://127.0.0.1:{node.server_port}").out


@pytest.mark.parametrize(
    ("protocol", "who"), [(PROTOCOL_VERSION - 2, "the node"), (PROTOCOL_VERSION + 2, "the gateway")]
)
def test_a_node_two_versions_apart_says_who_is_to_be_updated(run, node, protocol, who) -> None:
    node.status = msgspec.structs.replace(STATUS, protocol=protocol)
    listed = run("node", "list", "--node", f"http://127.0.0.1:{node.server_port}")
    assert listed.code == 1
    assert f"speaks version {protocol} of the protocol" in " ".join(listed.out.split())
    assert f"update {who}" in " ".join(listed.out.split())
