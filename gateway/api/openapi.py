"""`GET /openapi.json`: the wires as they are, from the very types that decode requests and encode replies.

A test holds it against the routes of the app, so that none is left out, and schemathesis holds the app against it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler

from gateway.api import embeddings, rerank, schemas
from gateway.api.answers import Answer
from gateway.api.cl100k import ORDINARY_TOKENS, SPECIAL_TOKENS
from gateway.api.rate_headers import NAMES
from gateway.auth import PUBLIC
from gateway.errors import ErrorBody, PlainErrorBody

VERSION = "0.1.0"
REF = "#/components/schemas/{name}"
TYPES = [
    schemas.EmbeddingsBody,
    schemas.Embeddings,
    schemas.RerankBody,
    schemas.Ranking,
    schemas.TeiRank,
    schemas.Model,
    schemas.Models,
    schemas.Liveness,
    schemas.Readiness,
    ErrorBody,
    PlainErrorBody,
]


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1}


TEXT: dict[str, Any] = {"type": "string"}
TOKEN = {
    "anyOf": [{"type": "integer", "minimum": 0, "exclusiveMaximum": ORDINARY_TOKENS}, {"enum": sorted(SPECIAL_TOKENS)}]
}
DOCUMENTS, TEXTS = _list({"anyOf": [TEXT, {"type": "object"}]}), _list(TEXT)
NARROWED: dict[str, dict[str, Any]] = {
    "EmbeddingsBody": {
        "required": ["input"],
        "properties": {"input": {"anyOf": [TEXT, TEXTS, _list(TOKEN), _list({"type": "array", "items": TOKEN})]}},
    },
    "RerankBody": {
        "required": ["query"],
        "properties": {"query": TEXT},
        "anyOf": [
            {"required": ["documents"], "properties": {"documents": DOCUMENTS, "texts": {"type": "null"}}},
            {"required": ["texts"], "properties": {"texts": TEXTS}},
        ],
    },
}
"""What handlers ask of bodies beyond their decoders, which leave it to them because they say better what is wrong."""
ERRORS = {
    400: "The request is at fault; the message says where.",
    401: "No API key, or none that is valid.",
    403: "The tenant is suspended, or the key has no scope for this.",
    404: "No such model for this key.",
    413: "The body is too large.",
    429: "A quota is used up or the engine is overloaded.",
    500: "The engine failed.",
    503: "No engine node now.",
}
WORK = (400, 401, 403, 404, 413, 429, 500, 503)
"""What may become of a request with a price."""
TRY_AGAIN = {
    "retry-after": "Seconds to wait; absent where waiting does not help.",
    "retry-after-ms": "The same in milliseconds.",
    "x-should-retry": "`false`: the same request would be refused again.",
}
HEADERS = {401: {"www-authenticate": "How to sign in."}, 429: TRY_AGAIN, 500: TRY_AGAIN, 503: TRY_AGAIN}


@dataclass(frozen=True, slots=True)
class Described:
    """Routes that do the same."""

    method: Literal["get", "post"]
    paths: Sequence[str]
    name: str
    summary: str
    replies: tuple[str, ...]
    """Names of schemas; a TEI one stands for a list of it."""
    body: str | None = None
    errors: tuple[int, ...] = ()
    security: tuple[dict[str, list[str]], ...] | None = None
    """None: an API key."""
    media: str = "application/json"


OPEN: tuple[dict[str, list[str]], ...] = ()
ROUTES = (
    Described("post", embeddings.PATHS, "create_embeddings", "Embed texts", ("Embeddings",), "EmbeddingsBody", WORK),
    Described(
        "post",
        rerank.PATHS,
        "create_ranking",
        "Rank documents by relevance to a query",
        ("Ranking", "TeiRank"),
        "RerankBody",
        WORK,
    ),
    Described(
        "get",
        ("/v1/models", "/models"),
        "list_models",
        "List the models that this key may use",
        ("Models",),
        errors=(401, 403, 500),
    ),
    Described(
        "get",
        ("/v1/models/{id}", "/models/{id}"),
        "show_model",
        "Show one model",
        ("Model",),
        errors=(401, 403, 404, 500),
    ),
    Described("get", ("/health/live",), "show_liveness", "Whether this process runs", ("Liveness",), security=OPEN),
    Described(
        "get", ("/health/ready",), "show_readiness", "Whether requests can be served", ("Readiness",), security=OPEN
    ),
    Described(
        "get",
        ("/metrics",),
        "show_metrics",
        "Prometheus metrics: with the metrics key where one is set, else from this machine only",
        (),
        errors=(401, 404),
        security=({"metricsKey": []}, {}),
        media="text/plain",
    ),
    Described("get", ("/openapi.json",), "show_openapi", "This document", (), security=OPEN),
)


def openapi_route() -> HTTPRouteHandler:
    """The route; the document is made once."""
    document = msgspec.json.encode(describe())

    @get("/openapi.json", opt={**PUBLIC, "endpoint": "/openapi.json"})
    async def show_openapi() -> Answer:
        return Answer(document)

    return show_openapi


def describe() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    _, components = msgspec.json.schema_components(TYPES, ref_template=REF)
    for name, narrowed in NARROWED.items():
        components[name]["properties"] |= narrowed["properties"]
        components[name] |= {word: value for word, value in narrowed.items() if word != "properties"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Shoal", "version": VERSION, "description": "Embeddings and rerank behind OpenAI's wires."},
        "security": [{"apiKey": []}],
        "paths": {path: {route.method: told} for route in ROUTES for path, told in _operations(route)},
        "components": {
            "schemas": components,
            "securitySchemes": {
                "apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": "sk-shoal-…"},
                "metricsKey": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _operations(route: Described) -> Iterable[tuple[str, dict[str, Any]]]:
    for number, path in enumerate(route.paths):
        told: dict[str, Any] = {
            "operationId": f"{route.name}_{number}" if number else route.name,
            "summary": f"The same as {route.paths[0]}" if number else route.summary,
            "responses": _responses(route),
        }
        if route.security is not None:
            told["security"] = list(route.security)
        if "{id}" in path:
            told["parameters"] = [_ID]
        if route.body is not None:
            told["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(route.body)}}}
        yield path, told


_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "Slashes as they are or percent-encoded.",
    "schema": {"type": "string", "minLength": 1},
}


def _responses(route: Described) -> dict[str, Any]:
    by_key = route.security is None
    replies = [{"type": "array", "items": _ref(name)} if name == "TeiRank" else _ref(name) for name in route.replies]
    schema = {"anyOf": replies} if len(replies) > 1 else replies[0] if replies else {}
    errors = [
        _ref(kind) for kind in (("ErrorBody", "PlainErrorBody") if "TeiRank" in route.replies else ("ErrorBody",))
    ]
    error = {"anyOf": errors} if len(errors) > 1 else errors[0]
    told = {"200": _response("Done.", schema, _headers({}, limits=by_key), route.media)}
    if route.name == "show_readiness":
        told["503"] = _response("Not now.", schema, _headers({}), route.media)
    for status in route.errors:
        headers = _headers(HEADERS.get(status, {}), limits=by_key and status != 401)
        told[str(status)] = _response(ERRORS[status], error, headers)
    return told


def _headers(some: dict[str, str], *, limits: bool = False) -> dict[str, Any]:
    told: dict[str, Any] = {name: {"description": text, "schema": TEXT} for name, text in some.items()}
    told["x-request-id"] = {"description": "The caller's own, or a new one.", "required": True, "schema": TEXT}
    for name in (name.decode() for names in NAMES.values() for name in names) if limits else ():
        told[name] = {"description": "How the tightest limit stands.", "required": True, "schema": TEXT}
    return told


def _response(text: str, schema: Any, headers: Any, media: str = "application/json") -> dict[str, Any]:
    return {"description": text, "headers": headers, "content": {media: {"schema": schema}}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": REF.format(name=name)}
