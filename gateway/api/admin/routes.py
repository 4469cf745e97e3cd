"""Every route of the admin API, and the document that describes them."""

from itertools import chain

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler

from gateway.api.admin import (
    adapters,
    aliases,
    audit,
    grants,
    keys,
    models,
    nodes,
    operators,
    quotas,
    tenants,
    tokens,
    upstreams,
    usage,
)
from gateway.api.admin.document import describe
from gateway.api.admin.operation import Operation, route
from gateway.api.answers import Answer
from gateway.services.opened import Services

NOUNS = (tenants, keys, grants, quotas, aliases, usage, models, adapters, upstreams, nodes, operators, tokens, audit)
OPERATIONS: tuple[Operation, ...] = tuple(chain.from_iterable(noun.OPERATIONS for noun in NOUNS))


def admin_routes(services: Services) -> list[HTTPRouteHandler]:
    """The routes, below their prefix. The document is open: it names no secret, and tools read it without a token."""
    document = msgspec.json.encode(describe(OPERATIONS))

    @get("/openapi.json", opt={"endpoint": "/admin/api"})
    async def show_admin_openapi() -> Answer:
        return Answer(document)

    by_path: dict[str, list[Operation]] = {}
    for made in OPERATIONS:
        by_path.setdefault(made.path, []).append(made)
    return [show_admin_openapi, *(route(path, made, services) for path, made in by_path.items())]
