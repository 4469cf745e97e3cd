"""From a typed function to a route: what its signature says is what is decoded, checked, encoded and documented.

    @operation("POST", "/tenants", right="fleet.change", status=201)
    async def create_tenant(ask: Ask, body: NewTenant) -> Tenant:
        \"\"\"Make a tenant.\"\"\"

Parameters named like those of the path get their text; `query` is a struct of query parameters, `body` one of the JSON
body. Both refuse what they do not know.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_type_hints
from urllib.parse import quote

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.api.admin.access import authenticate, authorize
from gateway.api.admin.decoding import check_is_json, decode_json, decode_query, expected_version
from gateway.api.answers import Answer, Sendable
from gateway.api.bodies import read_body
from gateway.call import call_of
from gateway.services.access.operator_tokens import Bearer
from gateway.services.access.roles import Right
from gateway.services.opened import Services
from gateway.services.register.audit import Actor

PREFIX = "/admin/api/v1"
MOST_BODY = 64 * 1024
"""Bytes that a body may have."""
ENCODE = msgspec.json.Encoder().encode
UNSEEN = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
"""Carried by every answer that succeeds: replies may hold secrets."""

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """No query parameters."""


@dataclass(slots=True)
class Ask:
    """One request of an operator, on its way through a handler."""

    services: Services
    bearer: Bearer
    actor: Actor
    seen: int | None
    """The version that the change was meant for; None: whatever it is now."""
    version: int | None = None
    """Set by handlers of tagged operations: the version of what they reply with."""
    location: str = ""
    """Set by handlers that create: the path of what they made, below the prefix and not yet percent-encoded."""

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[AsyncSession]:
        """A session on one consistent state."""
        async with self.services.database.reading() as session:
            yield session

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[AsyncSession]:
        """A transaction; when it has ended, this gateway already goes by what changed."""
        async with self.services.database.transaction() as session:
            yield session
        await self.services.feed.refresh()


@dataclass(frozen=True, slots=True)
class Operation:
    """A function that answers operators, and what its route promises."""

    work: Callable[..., Awaitable[Any]]
    method: Method
    path: str
    """Below the prefix, in Litestar's spelling."""
    right: Right
    status: int
    tagged: bool
    """The answer has an ETag."""
    guarded: bool
    """The request must have If-Match."""
    media: tuple[str, ...]
    """Content types of the answer; JSON unless the handler writes its own."""
    body: Any = None
    query: type[msgspec.Struct] = Nothing
    reply: Any = None
    parameters: tuple[str, ...] = ()
    """Of the path, in order."""
    decode: Callable[[bytes], Any] | None = field(default=None, repr=False)

    @property
    def takes_version(self) -> bool:
        """Whether If-Match means something."""
        return self.guarded or (self.tagged and self.method != "GET") or self.method == "DELETE"


def operation(
    method: Method,
    path: str,
    *,
    right: Right,
    status: int = 200,
    tagged: bool = False,
    guarded: bool = False,
    media: tuple[str, ...] = (),
) -> Callable[[Callable[..., Awaitable[Any]]], Operation]:
    """Make a function an operation. Without a stated right there is none: the argument has no default."""

    def made(work: Callable[..., Awaitable[Any]]) -> Operation:
        hints = get_type_hints(work, include_extras=True)
        parameters = tuple(name for name in inspect.signature(work).parameters if name not in {"ask", "body", "query"})
        stated = tuple(part[1:].partition(":")[0] for part in path.split("/") if part.startswith("{"))
        if parameters != stated:
            raise TypeError(f"{work.__name__} takes {parameters}, its path names {stated}")
        body = hints.get("body")
        return Operation(
            work,
            method,
            path,
            right,
            status,
            tagged,
            guarded,
            media,
            body=body,
            query=hints.get("query", Nothing),
            reply=hints["return"],
            parameters=parameters,
            decode=None if body is None else msgspec.json.Decoder(body).decode,
        )

    return made


def route(path: str, operations: Sequence[Operation], services: Services) -> HTTPRouteHandler:
    """All operations of one path as one route: Litestar tells the methods of a path by the first route on it."""
    by_method = {made.method: made for made in operations}

    async def handle(request: Request[Any, Any, Any]) -> Sendable:
        return await perform(by_method[cast(Method, request.scope["method"])], services, request)

    return HTTPRouteHandler(
        path,
        http_method=list(by_method),
        status_code=200,  # what Litestar would say; answers bring their own
        opt={"endpoint": "/admin/api"},
    )(handle)


async def perform(made: Operation, services: Services, request: Request[Any, Any, Any]) -> Sendable:
    """The story of every operation: who, whether, what, done, said."""
    call = call_of(request.scope)
    call.endpoint = request.scope["route_handler"].opt["endpoint"]
    bearer = await authenticate(call, services.database)
    path = {name: str(value).removeprefix("/") for name, value in request.path_params.items()}
    arguments: dict[str, Any] = dict(authorize(bearer, made.right, path))
    if made.query is not Nothing or request.scope["query_string"]:
        query = decode_query(made.query, request.scope["query_string"])
        arguments |= {} if made.query is Nothing else {"query": query}
    seen = expected_version(call.headers.get(b"if-match"), needed=made.guarded) if made.takes_version else None
    if made.decode is not None:
        check_is_json(call.headers.get(b"content-type", b""))
        arguments["body"] = decode_json(made.decode, await read_body(request.receive, call, MOST_BODY))
    ask = Ask(services, bearer, acting(bearer, request.scope.get("client")), seen)
    reply = await made.work(ask, **arguments)
    return cast(Sendable, reply) if made.media else render(made, ask, reply)


def render(made: Operation, ask: Ask, reply: Any) -> Answer:
    """The reply's bytes, and the headers that the operation promised."""
    headers = dict(UNSEEN)
    if made.tagged:
        headers["etag"] = f'"{ask.version}"'
    if ask.location:
        headers["location"] = quote(PREFIX + ask.location)
    return Answer(b"" if made.status == 204 else ENCODE(reply), status=made.status, headers=headers)


def acting(bearer: Bearer, client: tuple[str, int] | None) -> Actor:
    """What the audit log says: the operator, the token, and the peer's address as the socket has it."""
    return Actor(f"{bearer.operator.name} (token {bearer.token.id})", client[0] if client else "")
