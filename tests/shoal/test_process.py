"""Serving until a stop: what is in flight is finished, and a failure beside the app is not swallowed."""

import asyncio

import httpx
import pytest

from shoal import process
from shoal.failures import StartFailure


class GatedApp:
    """Answers when its gate is opened, and says when it was asked."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()

    async def __call__(self, scope, receive, send) -> None:
        self.asked.set()
        await self.gate.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


def test_a_stop_lets_the_request_in_flight_finish() -> None:
    async def run() -> str:
        app = GatedApp()
        sock = process.listen("127.0.0.1", 0)
        stop = process.StopSignal()

        async def open_the_gate() -> None:
            app.gate.set()

        serving = asyncio.create_task(process.serve(app, sock, stop, grace_period=5, before_stop=open_the_gate))
        async with httpx.AsyncClient() as client:
            request = asyncio.create_task(client.get(process.address(sock)))
            await app.asked.wait()
            stop.set()
            reply = await request
        await serving
        sock.close()
        return reply.text

    assert asyncio.run(run()) == "done"


def test_a_failure_beside_the_app_stops_it_and_is_raised() -> None:
    async def fails() -> None:
        raise StartFailure("something beside")

    async def run() -> None:
        sock = process.listen("127.0.0.1", 0)
        try:
            await process.serve(GatedApp(), sock, process.StopSignal(), grace_period=1, beside=fails())
        finally:
            sock.close()

    with pytest.raises(StartFailure, match="something beside"):
        asyncio.run(run())


def test_a_taken_port_and_a_foreign_address_are_said() -> None:
    with process.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartFailure, match=f"Port {port} .* is in use.*--port"):
            process.listen("127.0.0.1", port)
    with pytest.raises(StartFailure, match=r"Can not listen on 192\.0\.2\.1"):
        process.listen("192.0.2.1", 0)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", "http://127.0.0.1:"), ("0.0.0.0", "http://127.0.0.1:"), ("::1", "http://[::1]:")],
)
def test_the_address_is_one_that_this_machine_can_open(host, expected) -> None:
    with process.listen(host, 0) as sock:
        assert process.address(sock).startswith(expected)
