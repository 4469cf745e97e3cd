"""One route for all methods of a path: Litestar tells which there are by the first route on it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, cast

from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive, Scope, Send

AnyRequest = Request[Any, Any, Any]
Method = Literal["GET", "POST", "DELETE"]


class Sendable(Protocol):
    """An ASGI response."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""


def resource(
    paths: Sequence[str], by_method: Mapping[Method, Callable[[AnyRequest], Awaitable[Sendable]]], *, endpoint: str
) -> HTTPRouteHandler:
    """The route. A key needs the scope `batches` for it."""

    async def handle(request: Request[Any, Any, Any]) -> Sendable:
        return await by_method[cast(Method, request.scope["method"])](request)

    return HTTPRouteHandler(
        list(paths),
        http_method=list(by_method),
        status_code=200,  # what Litestar would say; answers bring their own
        opt={"endpoint": endpoint, "scope": "batches"},
    )(handle)
