"""What images ask themselves: whether the program answers."""

import http.server
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

ANSWERS = Path(__file__).parents[3] / "deploy" / "images" / "answers.py"


class Answering(http.server.BaseHTTPRequestHandler):
    """200 for /health/live alone."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health/live" and self.server.well else 500)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[http.server.HTTPServer]:
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    made.well = True
    made.handle_error = lambda *_: None  # a handshake that is given up
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def status(port: int, **more: str) -> int:
    environment = {"PATH": os.environ["PATH"], "SHOAL_PORT": str(port), "https_proxy": "http://127.0.0.1:1", **more}
    return subprocess.run([sys.executable, "-I", ANSWERS], env=environment, timeout=30, check=False).returncode


def test_an_answer_is_told_from_an_error_and_from_none(server) -> None:
    assert status(server.server_port) == 0
    server.well = False
    assert status(server.server_port) == 1
    assert status(1) == 1


@pytest.mark.parametrize("wants_certificate", [False, True])
def test_a_server_with_tls_answers_too(server, new_authority, wants_certificate) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority = new_authority("any")
    issued = authority.issue("localhost")
    context.load_cert_chain(issued["certificate"], issued["key"])
    if wants_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.path)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    assert status(server.server_port, SHOAL_TLS_CERT=str(issued["certificate"])) == 0
    assert status(server.server_port) == 1
