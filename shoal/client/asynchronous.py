"""`AsyncShoal`: ask a server from an event loop."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, NamedTuple, ParamSpec, Self, TypeVar
from weakref import WeakKeyDictionary

import httpx

from shoal import __version__
from shoal.client import calls
from shoal.client.calls import Call
from shoal.client.exchange import Answer, Outcome, Pace, Request, Send, Wait, exchange
from shoal.client.settings import ClientSettings
from shoal.client.transport import connection_options, reopened, settings_of, unreachable

P = ParamSpec("P")
Result = TypeVar("Result")


def asking(
    plan: Callable[P, Call[Result]],
) -> Callable[Concatenate["AsyncShoal", P], Coroutine[Any, Any, Result]]:
    """A method that asks what the plan says."""

    @wraps(plan)
    async def method(self: "AsyncShoal", /, *args: P.args, **kwargs: P.kwargs) -> Result:
        return await self.ask(plan(*args, **kwargs))

    return method


class Opened(NamedTuple):
    """What belongs to one event loop."""

    client: httpx.AsyncClient
    places: asyncio.Semaphore


class AsyncShoal:
    """A server, from event loops; each that it is used in has its own connections.

    Options are those of `ClientSettings`.
    """

    embed = asking(calls.embed)
    rerank = asking(calls.rerank)
    classify = asking(calls.classify)
    extract = asking(calls.extract)
    describe = asking(calls.describe)

    def __init__(self, url: str | None = None, *, settings: ClientSettings | None = None, **options: Any) -> None:
        self.settings = settings_of(url, settings, options)
        self._pace = Pace(time.monotonic, time.time, random.random)
        self._opened: WeakKeyDictionary[asyncio.AbstractEventLoop, Opened] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"AsyncShoal({self.settings!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return reopened, (type(self), self.settings.saved())

    def __deepcopy__(self, _: Any) -> Self:
        return self

    async def ask(self, call: Call[Result]) -> Result:
        """Send what a call takes, several requests at a time; the first failure is raised and ends the others."""
        pieces = call.pieces(self.settings)
        under_way = [asyncio.ensure_future(self._drive(piece.request)) for piece in pieces]
        try:
            replies = await asyncio.gather(*under_way)
        finally:
            for one in under_way:
                one.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        return call.merge([piece.answered(reply) for piece, reply in zip(pieces, replies, strict=True)])

    async def aclose(self) -> None:
        """Close this loop's connections; the next call opens new ones."""
        opened = self._opened.pop(asyncio.get_running_loop(), None)
        if opened is not None:
            await opened.client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _drive(self, request: Request) -> Any:
        steps, outcome = exchange(request, self.settings, self._pace), None
        client, places = self._open()
        async with places:
            while True:
                try:
                    step = steps.send(outcome)
                except StopIteration as end:
                    return end.value
                outcome = await self._send(client, step.request) if isinstance(step, Send) else None
                if isinstance(step, Wait):
                    await asyncio.sleep(step.seconds)

    async def _send(self, client: httpx.AsyncClient, request: Request) -> Outcome:
        headers = self.settings.headers(__version__)
        try:
            reply = await client.request(request.method, request.path, content=request.content, headers=headers)
        except httpx.RequestError as error:
            return unreachable(error, self.settings)
        return Answer(reply.status_code, reply.headers, reply.content)

    def _open(self) -> Opened:
        loop = asyncio.get_running_loop()
        if loop not in self._opened:
            client = httpx.AsyncClient(**connection_options(self.settings))
            self._opened[loop] = Opened(client, asyncio.Semaphore(self.settings.concurrency))
        return self._opened[loop]
