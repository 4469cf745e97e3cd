"""`GET /openapi.json`: the wires as they are, from the very types that decode requests and encode replies.

A test holds it against the routes of the app, so that none is left out, and schemathesis holds the app against it.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler

from gateway.api.answers import Answer
from gateway.api.bulk.described import BULK_ROUTES, BULK_TYPES
from gateway.api.described import NARROWED, REF, TEXT, TYPES, Described, ref
from gateway.api.described_routes import ROUTES
from gateway.api.rate_headers import NAMES
from gateway.auth import PUBLIC
from gateway.version import VERSION

TYPED = re.compile(r":\w+(?=\})")
WORDS = re.compile(r"\{(\w+)")
"""Of paths as routes have them."""
ERRORS = {
    400: "The request is at fault; the message says where.",
    401: "No API key, or none that is valid.",
    403: "The tenant is suspended, or the key has no scope for this.",
    404: "No such thing for this key.",
    409: "Not as it is now.",
    413: "The body is too large.",
    415: "The body is of another kind.",
    429: "A quota is used up or the engine is overloaded.",
    500: "The engine failed.",
    503: "Not now.",
    507: "No room.",
}
TRY_AGAIN = {
    "retry-after": "Seconds to wait; absent where waiting does not help.",
    "retry-after-ms": "The same in milliseconds.",
    "x-should-retry": "`false`: the same request would be refused again.",
}
HEADERS = {401: {"www-authenticate": "How to sign in."}, 429: TRY_AGAIN, 500: TRY_AGAIN, 503: TRY_AGAIN}


def openapi_route() -> HTTPRouteHandler:
    """The route; the document is made once."""
    document = msgspec.json.encode(describe())

    @get("/openapi.json", opt={**PUBLIC, "endpoint": "/openapi.json"})
    async def show_openapi() -> Answer:
        return Answer(document)

    return show_openapi


def describe() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    _, components = msgspec.json.schema_components([*TYPES, *BULK_TYPES], ref_template=REF)
    for name, narrowed in NARROWED.items():
        components[name]["properties"] |= narrowed["properties"]
        components[name] |= {word: value for word, value in narrowed.items() if word != "properties"}
    paths: dict[str, dict[str, Any]] = {}
    for route in (*ROUTES, *BULK_ROUTES):
        for path, told in _operations(route):
            paths.setdefault(path, {})[route.method] = told
    return {
        "openapi": "3.1.0",
        "info": {"title": "Shoal", "version": VERSION, "description": "Embeddings, rerank, labels and spans."},
        "security": [{"apiKey": []}],
        "paths": paths,
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
        if "{" in path or route.query:
            told["parameters"] = [*(_IN_PATH[word] for word in WORDS.findall(path)), *route.query]
        if route.form is not None:
            told["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": route.form}}}
        if route.body is not None:
            schema = ref(route.body) if isinstance(route.body, str) else route.body
            told["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
        yield TYPED.sub("", path), told


def _in_path(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


_IN_PATH = {
    "id": _in_path("id", "Slashes as they are or percent-encoded."),
    "model": _in_path("model", "The model's name; or, where it has an owner, what comes after that."),
    "owner": _in_path("owner", "What comes before the slash of the model's name."),
}


def _responses(route: Described) -> dict[str, Any]:
    by_key = route.security is None
    schema, error = _any_of(route.replies), _any_of([ref(kind) for kind in route.wrong])
    told = {"200": _response("Done.", schema, _headers({}, limits=by_key), route.media)}
    if route.streams:
        told["200"]["content"]["text/event-stream"] = {"schema": TEXT}
    if route.name == "show_readiness":
        told["503"] = _response("Not now.", schema, _headers({}), route.media)
    for status in route.errors:
        headers = _headers(HEADERS.get(status, {}), limits=by_key and status != 401)
        told[str(status)] = _response(ERRORS[status], error, headers)
    return told


def _any_of(kinds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"anyOf": list(kinds)} if len(kinds) > 1 else kinds[0] if kinds else {}


def _headers(some: dict[str, str], *, limits: bool = False) -> dict[str, Any]:
    told: dict[str, Any] = {name: {"description": text, "schema": TEXT} for name, text in some.items()}
    told["x-request-id"] = {"description": "The caller's own, or a new one.", "required": True, "schema": TEXT}
    for name in (name.decode() for names in NAMES.values() for name in names) if limits else ():
        told[name] = {"description": "How the tightest limit stands.", "required": True, "schema": TEXT}
    return told


def _response(text: str, schema: Any, headers: Any, media: str = "application/json") -> dict[str, Any]:
    return {"description": text, "headers": headers, "content": {media: {"schema": schema}}}
