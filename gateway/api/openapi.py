"""`GET /openapi.json`: the wires as they are, from the very types that decode requests and encode replies."""

from typing import Any

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler

from gateway.api import schemas
from gateway.api.answers import Answer
from gateway.auth import PUBLIC
from gateway.errors import ErrorBody

VERSION = "0.1.0"
REF = "#/components/schemas/{name}"
TYPES = [
    schemas.EmbeddingsBody,
    schemas.Embeddings,
    schemas.RerankBody,
    schemas.Ranking,
    schemas.Model,
    schemas.Models,
    ErrorBody,
]
ERRORS = {
    "400": "The request is at fault; the message says where.",
    "401": "No API key, or none that is valid.",
    "403": "The tenant is suspended.",
    "404": "No such model for this key.",
    "413": "The body is too large.",
    "429": "A quota is used up or the engine is overloaded; see `retry-after`.",
    "500": "The engine failed.",
    "503": "No engine node now; see `retry-after`.",
}


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
    return {
        "openapi": "3.1.0",
        "info": {"title": "Shoal", "version": VERSION, "description": "Embeddings and rerank behind OpenAI's wires."},
        "security": [{"apiKey": []}],
        "paths": {
            "/v1/embeddings": {"post": _operation("Embed texts", "EmbeddingsBody", "Embeddings")},
            "/v1/rerank": {"post": _operation("Rank documents by relevance to a query", "RerankBody", "Ranking")},
            "/v1/models": {"get": _operation("List the models that this key may use", None, "Models")},
            "/v1/models/{id}": {"get": _operation("Show one model", None, "Model") | {"parameters": [_ID]}},
        },
        "components": {
            "schemas": components,
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": "sk-shoal-…"}},
        },
    }


_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "Slashes as they are or percent-encoded.",
    "schema": {"type": "string"},
}


def _operation(summary: str, body: str | None, reply: str) -> dict[str, Any]:
    responses = {"200": {"description": "Done."} | _json(reply)}
    responses |= {status: {"description": text} | _json("ErrorBody") for status, text in ERRORS.items()}
    operation: dict[str, Any] = {"summary": summary, "responses": responses}
    if body is not None:
        operation["requestBody"] = {"required": True} | _json(body)
    return operation


def _json(name: str) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": {"$ref": REF.format(name=name)}}}}
