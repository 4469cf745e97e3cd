"""What the routes of files and batches take and give, for the document of the wires."""

from typing import Any

from gateway.api.bulk import batches, files, schemas
from gateway.api.described import TEXT, Described, ref

BULK_TYPES: list[Any] = [
    schemas.File,
    schemas.Files,
    schemas.DeletedFile,
    schemas.BatchBody,
    schemas.Batch,
    schemas.Batches,
]
FORM = {
    "type": "object",
    "required": ["file", "purpose"],
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "JSON lines, one request in each."},
        "purpose": {"enum": [files.PURPOSE]},
    },
}
AFTER = {"name": "after", "in": "query", "description": "The last id of the page before.", "schema": TEXT}
ORDER = {"name": "order", "in": "query", "schema": {"enum": ["asc", "desc"]}}
PURPOSE = {"name": "purpose", "in": "query", "schema": TEXT}
LOOK, CHANGE = (401, 403, 404, 500, 503), (401, 403, 404, 409, 500, 503)


def _limit(most: int) -> dict[str, Any]:
    return {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": most}}


def _one(paths: list[str]) -> list[str]:
    return [path.replace("{file_id:str}", "{id}").replace("{batch_id:str}", "{id}") for path in paths]


BULK_ROUTES = (
    Described(
        "post",
        files.PATHS,
        "create_file",
        "Upload the requests of a batch",
        (ref("File"),),
        errors=(400, 401, 403, 413, 415, 500, 503, 507),
        form=FORM,
    ),
    Described(
        "get",
        files.PATHS,
        "list_files",
        "List the files of this tenant",
        (ref("Files"),),
        errors=(400, *LOOK),
        query=(_limit(files.MOST), AFTER, ORDER, PURPOSE),
    ),
    Described("get", _one(files.ONE), "show_file", "Show one file", (ref("File"),), errors=LOOK),
    Described("delete", _one(files.ONE), "delete_file", "Delete a file", (ref("DeletedFile"),), errors=CHANGE),
    Described(
        "get",
        _one(files.CONTENT),
        "read_file",
        "Read a file",
        ({"type": "string", "format": "binary"},),
        errors=LOOK,
        media="application/octet-stream",
    ),
    Described(
        "post",
        batches.PATHS,
        "create_batch",
        "Have the requests of a file answered within a day",
        (ref("Batch"),),
        "BatchBody",
        (400, 401, 403, 404, 413, 500, 503),
    ),
    Described(
        "get",
        batches.PATHS,
        "list_batches",
        "List the batches of this tenant",
        (ref("Batches"),),
        errors=(400, *LOOK),
        query=(_limit(batches.MOST), AFTER),
    ),
    Described("get", _one(batches.ONE), "show_batch", "Show one batch", (ref("Batch"),), errors=LOOK),
    Described("post", _one(batches.CANCEL), "cancel_batch", "Cancel a batch", (ref("Batch"),), errors=CHANGE),
)
