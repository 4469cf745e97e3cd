"""`/v1/files`: upload, list, look, read, delete."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from typing import Any, cast

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive, Scope, Send

from gateway.api.answers import Answer
from gateway.api.bodies import missing
from gateway.api.bulk.paging import is_newest_first, limit_of, query_of
from gateway.api.bulk.resource import AnyRequest, resource
from gateway.api.bulk.schemas import LEAST_LIFETIME, MOST_LIFETIME, DeletedFile, Files, shown_file
from gateway.api.bulk.uploads import receive_form
from gateway.api.model_choice import key_of
from gateway.call import call_of
from gateway.db.tables import File
from gateway.errors import FileContentGone, RequestError
from gateway.scope import FILE_KEY
from gateway.services.bulk import files
from gateway.services.bulk.storage import ObjectMissing
from gateway.services.opened import Services

ENCODE = msgspec.json.Encoder().encode
PURPOSE = "batch"
USUAL, MOST = 100, 10_000
PATHS = ["/v1/files", "/files"]
ONE = [f"{path}/{{file_id:str}}" for path in PATHS]
CONTENT = [f"{path}/content" for path in ONE]


def file_routes(services: Services) -> list[HTTPRouteHandler]:
    """All of them. Whose file it is goes by the caller's key alone: another tenant's is as one that does not exist."""
    database, settings, bulk = services.database, services.settings, services.bulk

    async def create_file(request: AnyRequest) -> Answer:
        call = call_of(request.scope)
        cast(dict[str, Any], request.scope)[FILE_KEY] = True
        async with bulk.storage.incoming() as incoming:
            form = await receive_form(request.receive, call, incoming, settings.max_file_bytes)
            check_purpose(form.fields.get("purpose"))
            row = await files.add_file(
                database,
                bulk.storage,
                key_of(call).tenant.id,
                incoming,
                filename=form.filename or "",
                lifetime=lifetime_of(form.fields),
                most_stored=settings.max_stored_bytes,
            )
        return Answer(ENCODE(shown_file(row)))

    async def list_files(request: AnyRequest) -> Answer:
        query = query_of(request)
        found, more = await files.list_files(
            database,
            key_of(call_of(request.scope)).tenant.id,
            purpose=query.get("purpose"),
            after=query.get("after"),
            limit=limit_of(query, usual=USUAL, most=MOST),
            newest=is_newest_first(query),
        )
        data = [shown_file(row) for row in found]
        return Answer(ENCODE(Files(data, data[0].id if data else None, data[-1].id if data else None, more)))

    async def show_file(request: AnyRequest) -> Answer:
        return Answer(ENCODE(shown_file(await _asked(request))))

    async def delete_file(request: AnyRequest) -> Answer:
        file_id = request.path_params["file_id"]
        await files.delete_file(database, key_of(call_of(request.scope)).tenant.id, file_id)
        bulk.sweeper.hurry()
        return Answer(ENCODE(DeletedFile(file_id, deleted=True)))

    async def read_file(request: AnyRequest) -> FileContent:
        row = await _asked(request)
        cast(dict[str, Any], request.scope)[FILE_KEY] = True
        parts = await files.parts_here(database, bulk.storage, row)
        return FileContent(row, files.content_of(bulk.storage, parts))

    async def _asked(request: AnyRequest) -> File:
        tenant_id = key_of(call_of(request.scope)).tenant.id
        return await files.find_file(database, tenant_id, request.path_params["file_id"])

    return [
        resource(PATHS, {"POST": create_file, "GET": list_files}, endpoint=PATHS[0]),
        resource(ONE, {"GET": show_file, "DELETE": delete_file}, endpoint=PATHS[0]),
        resource(CONTENT, {"GET": read_file}, endpoint=PATHS[0]),
    ]


def check_purpose(purpose: str | None) -> None:
    """Raise RequestError unless the file is for a batch."""
    if purpose is None:
        raise missing("purpose")
    if purpose != PURPOSE:
        raise RequestError(
            f"Files are kept for batches only: purpose must be '{PURPOSE}', not {purpose[:40]!r}.", param="purpose"
        )


def lifetime_of(fields: dict[str, str]) -> timedelta | None:
    """What `expires_after` says, in the spelling of forms. Raises RequestError."""
    seconds, anchor = fields.get("expires_after[seconds]"), fields.get("expires_after[anchor]")
    if seconds is None and anchor is None:
        return None
    if anchor != "created_at":
        raise RequestError("expires_after[anchor] must be 'created_at'.", param="expires_after")
    if not (seconds and seconds.isascii() and seconds.isdigit() and len(seconds) <= 9) or not (
        LEAST_LIFETIME <= int(seconds) <= MOST_LIFETIME
    ):
        raise RequestError(
            f"expires_after[seconds] must be a number from {LEAST_LIFETIME} to {MOST_LIFETIME}.", param="expires_after"
        )
    return timedelta(seconds=int(seconds))


class FileContent:
    """An ASGI response of a file's bytes, as they are read."""

    def __init__(self, row: File, content: AsyncGenerator[bytes]) -> None:
        self._file_id = row.id
        self._content = content
        self._headers = [
            (b"content-type", b"application/octet-stream"),
            (b"content-length", b"%d" % row.bytes),
            (b"content-disposition", b"attachment"),  # with no name: it is the tenant's own, and may be anything
            (b"x-content-type-options", b"nosniff"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send it. Raises FileContentGone. What ends too early is cut off, which every client notices by its length."""
        async with aclosing(self._content) as pieces:
            try:
                first = await anext(pieces, b"")  # what is not there at all is an error that can still be told
            except ObjectMissing as error:
                raise FileContentGone(self._file_id) from error
            start: Any = {"type": "http.response.start", "status": 200, "headers": self._headers}
            await send(start)
            await send({"type": "http.response.body", "body": first, "more_body": True})
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
