import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from engine.protocol import PROTOCOL_VERSION, NodeStatus

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

    def do_GET(self) -> None:
        body = msgspec.msgpack.encode(self.server.status)
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def node() -> Iterator[Node]:
    with Node() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


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
