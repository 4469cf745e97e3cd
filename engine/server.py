"""The node over HTTP: msgpack in, msgpack out, a shared secret on every route but /health/live.

A caller that disconnects cancels its work: what it has waiting is dropped when the scheduler would take it.
"""

import asyncio
import hmac
import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Literal, TypeVar

import msgspec
import structlog
from litestar import Litestar, Request, Response, get, post
from litestar.connection import ASGIConnection
from litestar.exceptions import ClientException, HTTPException, NotAuthorizedException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from engine.errors import BadRequest, BodyTooLarge, EngineError, InferenceFailed, RouteNotFound, Unauthorized
from engine.protocol import (
    MEDIA_TYPE,
    ClassifyRequest,
    EmbedRequest,
    ExtractRequest,
    ModelRequest,
    NodeStatus,
    RerankRequest,
    TokenizeRequest,
)
from engine.runtime import Runtime
from engine.tracing import Span, serving

log = structlog.get_logger("engine")

T = TypeVar("T", bound=msgspec.Struct)
R = TypeVar("R")
Connection = ASGIConnection[Any, Any, Any, Any]
HttpRequest = Request[Any, Any, Any]

MAX_BODY_BYTES = 34 * 1024 * 1024
"""32 MiB of text and its frame."""

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9._:/+=-]{0,127}")
"""What a gateway sends on; anything else is not logged."""

FAILED = 500
"""From this status on, the node is at fault or overtaxed."""

CLIENT_GONE = 499
"""Nobody reads it; nginx's number for logs."""

PUBLIC = {"public": True}
"""Routes marked so ask for no secret."""


def create_engine_app(runtime: Runtime) -> Litestar:
    """The node's HTTP application."""
    app = Litestar(
        route_handlers=[
            embed,
            rerank,
            classify,
            extract,
            tokenize,
            *(model_route(verb) for verb in ("load", "unload", "pin", "unpin")),
            status,
            metrics,
            live,
            ready,
        ],
        guards=[require_secret],
        exception_handlers={Exception: answer_error},
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=None,
        logging_config=None,
    )
    app.state["runtime"] = runtime
    return app


@post("/embed", status_code=200)
async def embed(request: HttpRequest) -> Response[bytes]:
    """One vector per input."""
    return await _call(request, "embed", EmbedRequest, _runtime(request).embed)


@post("/rerank", status_code=200)
async def rerank(request: HttpRequest) -> Response[bytes]:
    """One score per document."""
    return await _call(request, "rerank", RerankRequest, _runtime(request).rerank)


@post("/classify", status_code=200)
async def classify(request: HttpRequest) -> Response[bytes]:
    """Labels and their scores for each input."""
    return await _call(request, "classify", ClassifyRequest, _runtime(request).classify)


@post("/extract", status_code=200)
async def extract(request: HttpRequest) -> Response[bytes]:
    """The spans of each input that labels fit."""
    return await _call(request, "extract", ExtractRequest, _runtime(request).extract)


@post("/tokenize", status_code=200)
async def tokenize(request: HttpRequest) -> Response[bytes]:
    """The tokens of each input."""
    return await _call(request, "tokenize", TokenizeRequest, _runtime(request).tokenize)


def model_route(verb: Literal["load", "unload", "pin", "unpin"]) -> HTTPRouteHandler:
    """`POST /<verb>`: what the runtime's method of that name does to one model; answers with the node's status then."""

    @post(f"/{verb}", status_code=200)
    async def change(request: HttpRequest) -> Response[bytes]:
        runtime = _runtime(request)
        acts = {"load": runtime.load, "unload": runtime.unload, "pin": runtime.pin, "unpin": runtime.unpin}

        async def act(wanted: ModelRequest) -> NodeStatus:
            return await acts[verb](wanted.model)

        return await _call(request, verb, ModelRequest, act)

    return change


@get("/status")
async def status(request: HttpRequest) -> Response[bytes]:
    """What a gateway must know to route here."""
    return _packed(_runtime(request).status())


@get("/metrics")
async def metrics(request: HttpRequest) -> Response[bytes]:
    """Prometheus' exposition format."""
    return Response(_runtime(request).metrics.render(), media_type="text/plain; version=0.0.4")


@get("/health/live", opt=PUBLIC)
async def live() -> Response[bytes]:
    """Answer while the process lives."""
    return Response(b"ok", media_type="text/plain")


@get("/health/ready", opt=PUBLIC)
async def ready(request: HttpRequest) -> Response[bytes]:
    """Whether the node takes requests, and why not."""
    if _runtime(request).draining:
        report, status_code = {"status": "draining", "reasons": ["This node is stopping."]}, 503
    else:
        report, status_code = {"status": "ready", "reasons": []}, 200
    return Response(msgspec.json.encode(report), status_code=status_code, media_type="application/json")


def require_secret(connection: Connection, handler: BaseRouteHandler) -> None:
    """Refuse every caller that does not show this node's secret, compared in constant time.

    A node without one is for this machine's programs; a page in a browser on it, which says where it comes from, is
    none of them.
    """
    secret = _runtime(connection).settings.secret
    if handler.opt.get("public"):
        return
    if not secret:
        if "origin" in connection.headers:
            raise Unauthorized("This node takes no requests of web pages.")
        return
    scheme, _, credential = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(credential.encode(), secret.encode()):
        raise Unauthorized("This node asks for the secret that its gateways share with it.")


def answer_error(request: HttpRequest, error: Exception) -> Response[bytes]:
    """Every error, Litestar's own included, as an `ErrorReply`."""
    typed = _typed(error)
    headers = {"x-request-id": request_id} if (request_id := request_id_of(request)) else {}
    if isinstance(typed, InferenceFailed) and typed is not error:
        structlog.get_logger().error("request_failed", path=request.url.path, exc_info=error)
    return _packed(typed.reply, typed.status, headers)


def _typed(error: Exception) -> EngineError:
    match error:
        case EngineError():
            return error
        case NotAuthorizedException():
            return Unauthorized(error.detail)
        case HTTPException(status_code=404 | 405):
            return RouteNotFound("A node has no such call.")
        case HTTPException(status_code=413):
            return BodyTooLarge(f"The body is larger than the {MAX_BODY_BYTES} bytes that a node reads.")
        case ClientException():
            return BadRequest(error.detail)
        case _:
            return InferenceFailed("The call failed; the node's log says why.")


async def _call(
    request: HttpRequest, name: str, wanted: type[T], serve: Callable[[T], Coroutine[Any, Any, msgspec.Struct]]
) -> Response[bytes]:
    """Read a call, serve it while its caller stays, and count how it ended."""
    runtime = _runtime(request)
    structlog.contextvars.bind_contextvars(request_id=request_id_of(request))
    started = time.perf_counter()
    code, failed = "disconnected", False
    with serving(_span_of(request, runtime, name)):
        try:
            reply = await _while_connected(request, serve(_read(await request.body(), wanted)))
            if reply is None:
                return Response(b"", status_code=CLIENT_GONE)
            code = "ok"
            return _packed(reply)
        except Exception as error:
            code, failed = _typed(error).code, _typed(error).status >= FAILED
            raise
        finally:
            seconds = time.perf_counter() - started
            runtime.metrics.requests.labels(name, code).inc()
            runtime.metrics.request_seconds.labels(name).observe(seconds)
            if failed:
                log.warning("call failed", call=name, code=code, seconds=round(seconds, 3))


def request_id_of(request: HttpRequest) -> str:
    """What the gateway calls the request that this call is made for; empty where it does not say, or not sanely."""
    given = request.headers.get("x-request-id", "")
    return given if SANE_REQUEST_ID.fullmatch(given) else ""


def _span_of(request: HttpRequest, runtime: Runtime, name: str) -> Span | None:
    if runtime.tracing is None:
        return None
    span = runtime.tracing.request(f"POST /{name}", request.headers.get("traceparent", ""))
    if span is not None:
        facts = {"http.request.method": "POST", "http.route": f"/{name}", "shoal.request_id": request_id_of(request)}
        span.tell(facts)
    return span


def _read(body: bytes, wanted: type[T]) -> T:
    try:
        return msgspec.msgpack.decode(body, type=wanted)
    except msgspec.MsgspecError as error:
        raise BadRequest(f"The body is no {wanted.__name__}: {error}.") from error
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is no {wanted.__name__}: a text is not UTF-8.") from error


async def _while_connected(request: HttpRequest, work: Coroutine[Any, Any, R]) -> R | None:
    """The work's result; None, and the work cancelled, when the client leaves first."""
    working = asyncio.create_task(work)
    watching = asyncio.create_task(_disconnected(request.receive))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        watching.cancel()


async def _disconnected(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _packed(reply: msgspec.Struct, status_code: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    return Response(msgspec.msgpack.encode(reply), status_code=status_code, media_type=MEDIA_TYPE, headers=headers)


def _runtime(connection: Connection) -> Runtime:
    runtime: Runtime = connection.app.state["runtime"]
    return runtime
