"""Real requests to the demo's gateway, so that there is something under way whenever somebody looks."""

import asyncio
import contextlib
from collections.abc import Mapping
from itertools import count

import httpx

from demo.customers import NORTHWIND, RERANKS, Registered

AT_ONCE = 9
"""Requests of the bulk lane that are under way at one time."""
SPENT = 0.7
"""Of a limit per minute, what is used of it all the time."""


async def keep_asking(url: str, registered: Registered) -> None:
    """Real requests: of the bulk lane, so that something is under way, and of tenants who are near a limit."""
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client, asyncio.TaskGroup() as group:

        async def ask(tenant: str, key: str, path: str, body: Mapping[str, object]) -> None:
            authorization = {"authorization": f"Bearer {registered.secrets[tenant, key]}"}
            with contextlib.suppress(httpx.TransportError):  # the demo ends
                await client.post(path, json=body, headers=authorization)

        async def embed(tenant: str, key: str, model: str, pause: float) -> None:
            while True:
                await ask(tenant, key, "/v1/embeddings", {"model": model, "input": ["Small fish swim in shoals."]})
                await asyncio.sleep(pause)

        async def rerank() -> None:
            body = {"model": "rerank", "query": "Who swims?", "documents": ["Small fish swim.", "Cats sleep."]}
            for begun in count():
                await ask(NORTHWIND, "production", "/v1/rerank", body)
                await asyncio.sleep(60 / RERANKS if begun > RERANKS * SPENT else 0)

        for place in range(AT_ONCE):
            model = "intfloat/multilingual-e5-large" if place % 3 else "intfloat/e5-base-v2"
            group.create_task(embed("Nightly Index", "batch", model, 0.05))
        group.create_task(embed("Zenith", "pilot", "BAAI/bge-m3", 2.0))
        group.create_task(rerank())
