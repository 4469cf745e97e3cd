"""`/v1/batches`: create, list, look, cancel."""

import msgspec
from litestar.handlers import HTTPRouteHandler

from gateway.api.answers import Answer
from gateway.api.bodies import decode_body, missing, read_body
from gateway.api.bulk.lines import ENDPOINT
from gateway.api.bulk.paging import limit_of, query_of
from gateway.api.bulk.resource import AnyRequest, resource
from gateway.api.bulk.schemas import BatchBody, Batches, shown_batch
from gateway.api.model_choice import key_of
from gateway.call import call_of
from gateway.errors import RequestError
from gateway.services.bulk import batches
from gateway.services.opened import Services

DECODE = msgspec.json.Decoder(BatchBody).decode
ENCODE = msgspec.json.Encoder().encode
USUAL, MOST = 20, 100
PATHS = ["/v1/batches", "/batches"]
ONE = [f"{path}/{{batch_id:str}}" for path in PATHS]
CANCEL = [f"{path}/cancel" for path in ONE]


def batch_routes(services: Services) -> list[HTTPRouteHandler]:
    """All of them. Whose batch it is goes by the caller's key alone: another tenant's is as one that does not exist."""
    database, settings, bulk = services.database, services.settings, services.bulk

    async def create_batch(request: AnyRequest) -> Answer:
        call = call_of(request.scope)
        body = decode_body(DECODE, await read_body(request.receive, call, settings.max_body_bytes))
        key = key_of(call)
        lasting = body.output_expires_after
        row = await batches.create_batch(
            database,
            key.tenant.id,
            key.id,
            endpoint=checked_endpoint(body),
            input_file_id=body.input_file_id or "",
            labels=body.metadata,
            output_lifetime=None if lasting is None else lasting.seconds,
            most_stored=settings.max_stored_bytes,
        )
        bulk.worker.hurry()
        return Answer(ENCODE(shown_batch(row)))

    async def list_batches(request: AnyRequest) -> Answer:
        query = query_of(request)
        found, more = await batches.list_batches(
            database,
            key_of(call_of(request.scope)).tenant.id,
            after=query.get("after"),
            limit=limit_of(query, usual=USUAL, most=MOST),
        )
        data = [shown_batch(row) for row in found]
        return Answer(ENCODE(Batches(data, data[0].id if data else None, data[-1].id if data else None, more)))

    async def show_batch(request: AnyRequest) -> Answer:
        tenant_id = key_of(call_of(request.scope)).tenant.id
        return Answer(
            ENCODE(shown_batch(await batches.find_batch(database, tenant_id, request.path_params["batch_id"])))
        )

    async def cancel_batch(request: AnyRequest) -> Answer:
        tenant_id = key_of(call_of(request.scope)).tenant.id
        row = await batches.cancel_batch(database, tenant_id, request.path_params["batch_id"])
        bulk.worker.hurry()
        return Answer(ENCODE(shown_batch(row)))

    return [
        resource(PATHS, {"POST": create_batch, "GET": list_batches}, endpoint=PATHS[0]),
        resource(ONE, {"GET": show_batch}, endpoint=PATHS[0]),
        resource(CANCEL, {"POST": cancel_batch}, endpoint=PATHS[0]),
    ]


def checked_endpoint(body: BatchBody) -> str:
    """The endpoint of a good body. Raises RequestError."""
    for name in ("input_file_id", "endpoint", "completion_window"):
        if not getattr(body, name):
            raise missing(name)
    if body.endpoint != ENDPOINT:
        raise RequestError(f"Batches are served for {ENDPOINT} only.", param="endpoint", code="unsupported_endpoint")
    if body.completion_window != batches.WINDOW:
        raise RequestError(f"completion_window must be '{batches.WINDOW}'.", param="completion_window")
    return ENDPOINT
