"""A server of somebody else, in front of which the demo's gateway stands: it says which models it has, and no more."""

import asyncio
import json

MODELS = ("Qwen/Qwen3-8B", "mistralai/Mistral-Small-3.2-24B-Instruct-2506")


async def serve_upstream() -> asyncio.Server:
    """Listen on loopback; the caller closes the server."""
    return await asyncio.start_server(_answer, "127.0.0.1", 0)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]}).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close"
        writer.write(head.encode() + b"\r\n\r\n" + body)
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()
