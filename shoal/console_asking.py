"""Questions of the console to the API: asked within this process, in the name of a tenant or of one of its keys."""

import asyncio
from time import perf_counter
from typing import Any

from litestar.types import ASGIApp

from admin_ui.ports import ApiAnswer, ApiQuestion, AsksApi
from gateway.auth import VOUCHED, Vouched


def asking(api: ASGIApp) -> AsksApi:
    """Puts questions to this app, as a server would that had read them from a connection."""

    async def ask(question: ApiQuestion) -> ApiAnswer:
        # A task of its own: what the API notes for the log and for traces is not the console's.
        return await asyncio.create_task(_ask(api, question))

    return ask


async def _ask(api: ASGIApp, question: ApiQuestion) -> ApiAnswer:
    began = perf_counter()
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": question.path,
        "raw_path": question.path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(question.body)).encode()),
        ],
        "client": None,
        "server": None,
        VOUCHED: Vouched(question.tenant_id, question.key_id),
    }
    unread = [question.body]
    status, headers, pieces = 0, {}, []

    async def receive() -> dict[str, Any]:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        await asyncio.Event().wait()  # nobody hangs up: who waits for that is cancelled when the answer is there
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            pieces.append(message.get("body", b""))

    await api(scope, receive, send)  # type: ignore[arg-type]
    return ApiAnswer(status, headers, b"".join(pieces), perf_counter() - began)
