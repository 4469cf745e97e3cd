import asyncio

import httpx
import msgspec
import pytest

from engine.protocol import ErrorReply
from gateway import errand
from gateway.engine_client import EmbedRequest, EngineClient, ModelRef, gateway_error
from gateway.errors import EngineFailed, EngineGone, InputTooLong, Unavailable
from gateway.http1 import Reply
from gateway.tracing import UNRECORDED

REQUEST = EmbedRequest(ModelRef("m", "m"), ["x"])


class Transport:
    """In place of `AsyncioTransport`: shows a handler every request as httpx has it."""

    def __init__(self, handler):
        self.handler = handler

    async def exchange(self, origin, data, patience):
        head, _, body = data.partition(b"\r\n\r\n")
        line, *headers = head.decode().split("\r\n")
        method, path, _ = line.split(" ")
        url = f"{origin.scheme}://{origin.host}:{origin.port}{path}"
        request = httpx.Request(method, url, headers=[tuple(field.split(": ", 1)) for field in headers], content=body)
        response = self.handler(request)
        return Reply(response.status_code, [], response.content)


def call(handler):
    async def run():
        engines = EngineClient(Transport(handler), "secret")
        return await engines.embed("http://node:9000", REQUEST, 1.0)

    return asyncio.run(run())


def test_calls_carry_the_secret_and_the_request_as_msgpack():
    seen = []

    def handler(request):
        seen.append(request)
        return httpx.Response(503, content=msgspec.msgpack.encode(ErrorReply("queue_full", "full")))

    with pytest.raises(Exception, match="overloaded"):
        call(handler)
    assert seen[0].url == "http://node:9000/embed"
    assert seen[0].headers["authorization"] == "Bearer secret"
    sent = msgspec.msgpack.decode(seen[0].content, type=EmbedRequest)
    assert msgspec.structs.replace(sent, patience=None) == REQUEST
    assert 0.9 <= sent.patience < 1.0, "the node must give up before its caller stops listening"


def test_calls_say_for_which_request_and_in_which_trace_they_are_made():
    seen = []

    def handler(request):
        seen.append(
            [(name, value) for name, value in request.headers.items() if name in ("x-request-id", "traceparent")]
        )
        return httpx.Response(500, content=b"")

    async def run():
        engines = EngineClient(Transport(handler), "secret")

        async def ask():
            with pytest.raises(EngineFailed):
                await engines.embed("http://node:9000", REQUEST, 1.0)

        async def serve(number):
            errand.set_out(f"req_{number}", UNRECORDED)
            with errand.Traced(f"trace-{number}"):
                await asyncio.sleep(0)
                await ask()
            await ask()

        await asyncio.gather(serve(1), serve(2))
        await ask()

    asyncio.run(run())
    ids = [("x-request-id", "req_1")], [("x-request-id", "req_2")]
    traced = [[*ids[0], ("traceparent", "trace-1")], [*ids[1], ("traceparent", "trace-2")]]
    assert sorted(seen) == sorted([*ids, *traced, []])


@pytest.mark.parametrize(
    "failure", [httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError, httpx.ConnectTimeout]
)
def test_a_broken_connection_may_be_tried_elsewhere(failure):
    def handler(request):
        raise failure("broken", request=request)

    with pytest.raises(EngineGone):
        call(handler)


def test_a_node_that_is_too_slow_is_not_tried_elsewhere():
    def handler(request):
        raise httpx.ReadTimeout("slow", request=request)

    with pytest.raises(Unavailable) as caught:
        call(handler)
    assert not isinstance(caught.value, EngineGone)


@pytest.mark.parametrize("status", [200, 500])
def test_what_is_not_the_protocol_is_a_failure_of_the_node(status):
    with pytest.raises(EngineFailed, match="had an error") as caught:
        call(lambda _: httpx.Response(status, content=b"<html>"))
    assert "not the protocol" in caught.value.reason


def test_an_error_says_what_the_node_said():
    error = gateway_error(ErrorReply("input_too_long", "too long", index=3, limit=256, actual=300))
    assert isinstance(error, InputTooLong)
    assert "maximum context length is 256 tokens, however you requested 300 tokens" in error.message
    assert error.message.endswith("(input[3])")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_node_can_not_send_the_gateway_elsewhere(status):
    asked = []

    def handler(request):
        asked.append(str(request.url))
        return httpx.Response(status, headers={"location": "http://169.254.169.254/latest/meta-data"})

    with pytest.raises(EngineFailed):
        call(handler)
    assert asked == ["http://node:9000/embed"]
