"""The OpenAPI 3.1 document of the admin API, from the very operations that serve it."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from gateway.api.admin.operation import PREFIX, Operation
from gateway.api.admin.words import PARAMETERS, Text
from gateway.errors import ErrorBody
from gateway.version import VERSION

REF = "#/components/schemas/{name}"
DESCRIPTION = """
Everything that an operator may do, for programs.

Send an operator token: `Authorization: Bearer op-shoal-…` (`shoal operator token create`). What it may do follows from
the role of its operator: `admin` changes everything, `viewer` looks at everything, `tenant_admin` runs one tenant, and
every other tenant is one that does not exist. A read-only token changes nothing.

Lists come in parts: send the `next` of one reply as `after` for the next part.

What can be changed has a version, which is its ETag. PATCH and PUT of settings need it as `If-Match`, so that nobody
undoes what somebody else did meanwhile: a version that has passed is a 409. `*` changes whatever is there. Grants,
quotas and aliases go by the version of the tenant or key that they belong to.

DELETE of what does not exist is a 404. DELETE that ends a state (a suspension, a pin) or revokes a key or token is a
204 however often it is sent.

Names and ids with a slash come as they are or percent-encoded where they end the path; a tenant whose name has one is
found by its id.
""".strip()
ERRORS = {
    400: "The request is at fault; the message says where.",
    401: "No operator token, or none that is in force.",
    403: "The operator's role, or a read-only token, does not allow this.",
    404: "There is no such thing for this operator.",
    409: "It contradicts what is there: a name is taken, or somebody else changed the thing first.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    428: "`If-Match` is missing.",
    500: "The server failed.",
    503: "The database or an engine node can not be used now.",
}
ERROR_HEADERS = {
    401: {"www-authenticate": "How to sign in."},
    503: {"retry-after": "Seconds to wait, where that is known."},
}


def describe(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document."""
    types = {kind for made in operations for kind in (made.body, made.reply) if is_schema(kind)}
    ordered = [ErrorBody, *sorted(types, key=str)]
    schemas, components = msgspec.json.schema_components(ordered, ref_template=REF)
    known = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for made in operations:
        paths.setdefault(public_path(made), {})[made.method.lower()] = _operation(made, known)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Shoal administration", "version": VERSION, "description": DESCRIPTION},
        "servers": [{"url": PREFIX}],
        "security": [{"operatorToken": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"operatorToken": {"type": "http", "scheme": "bearer", "bearerFormat": "op-shoal-…"}},
        },
    }


def public_path(made: Operation) -> str:
    """The path in OpenAPI's spelling, below the prefix."""
    return "/".join(part.partition(":")[0] + "}" if part.startswith("{") else part for part in made.path.split("/"))


def is_schema(kind: Any) -> bool:
    """Whether a type stands for a JSON body."""
    return isinstance(getattr(kind, "__origin__", kind), type(msgspec.Struct))


def _operation(made: Operation, known: dict[Any, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": made.work.__name__,
        "summary": (made.work.__doc__ or "").partition("\n")[0],
        "description": f"Needs the right `{made.right}`.",
        "parameters": [*_path_parameters(made), *_query_parameters(made), *_version_parameter(made)],
        "responses": _responses(made, known),
    }
    if made.body is not None:
        told["requestBody"] = {"required": True} | _json(known[made.body])
    return told


def _path_parameters(made: Operation) -> Iterable[dict[str, Any]]:
    for name in made.parameters:
        schema = msgspec.json.schema(PARAMETERS.get(name, Text))
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(made: Operation) -> Iterable[dict[str, Any]]:
    _, components = msgspec.json.schema_components([made.query])
    fields = components[made.query.__name__]["properties"]
    for name, field in fields.items():
        yield {"name": name, "in": "query", "required": False, "schema": field}


def _version_parameter(made: Operation) -> Iterable[dict[str, Any]]:
    if made.takes_version:
        yield {
            "name": "If-Match",
            "in": "header",
            "required": made.guarded,
            "description": 'The ETag of what is to be changed, such as `"7"`, or `*` for whatever is there.',
            "schema": {"type": "string", "pattern": r'^(\*|"[0-9]{1,9}")$'},
        }


def _responses(made: Operation, known: dict[Any, Any]) -> dict[str, Any]:
    done: dict[str, Any] = {"description": "Done."}
    if made.media:
        done["content"] = {media: {"schema": {"type": "string"}} for media in made.media}
    elif made.status != 204:
        done |= _json(known[made.reply])
    headers = {}
    if made.tagged:
        headers["ETag"] = _header("The version.", r'^"[0-9]+"$')
    if made.status == 201:
        headers["Location"] = _header("Where it is now.", "^" + PREFIX)
    if headers:
        done["headers"] = headers
    return {str(made.status): done} | {str(status): _error(status, known) for status in sorted(_errors(made))}


def _errors(made: Operation) -> set[int]:
    statuses = {400, 401, 403, 500, 503}
    if made.parameters or made.body is not None:
        statuses.add(404)
    if made.method != "GET":
        statuses.add(409)
    if made.body is not None:
        statuses |= {413, 415}
    if made.guarded:
        statuses.add(428)
    return statuses


def _error(status: int, known: dict[Any, Any]) -> dict[str, Any]:
    told = {"description": ERRORS[status]} | _json(known[ErrorBody])
    if headers := ERROR_HEADERS.get(status):
        told["headers"] = {name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()}
    return told


def _header(text: str, pattern: str) -> dict[str, Any]:
    return {"description": text, "required": True, "schema": {"type": "string", "pattern": pattern}}


def _json(schema: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}
