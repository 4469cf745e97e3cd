"""`Shoal`: ask a server, and wait for it."""

import random
import time
import weakref
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import wraps
from threading import BoundedSemaphore, Event, Lock
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from shoal import __version__
from shoal.client import calls
from shoal.client.calls import Call
from shoal.client.errors import Unreachable
from shoal.client.exchange import Answer, Outcome, Pace, Request, Send, Wait, exchange
from shoal.client.settings import ClientSettings
from shoal.client.transport import connection_options, reopened, settings_of, unreachable

P = ParamSpec("P")
Result = TypeVar("Result")


def asking(plan: Callable[P, Call[Result]]) -> Callable[Concatenate["Shoal", P], Result]:
    """A method that asks what the plan says."""

    @wraps(plan)
    def method(self: "Shoal", /, *args: P.args, **kwargs: P.kwargs) -> Result:
        return self.ask(plan(*args, **kwargs))

    return method


class Shoal:
    """A server, from threads: any number of them may share one of these.

    Options are those of `ClientSettings`: `Shoal("http://127.0.0.1:8080", timeout=10)`.
    """

    embed = asking(calls.embed)
    rerank = asking(calls.rerank)
    classify = asking(calls.classify)
    extract = asking(calls.extract)
    describe = asking(calls.describe)

    def __init__(self, url: str | None = None, *, settings: ClientSettings | None = None, **options: Any) -> None:
        self.settings = settings_of(url, settings, options)
        self._pace = Pace(time.monotonic, time.time, random.random)
        self._places = BoundedSemaphore(self.settings.concurrency)
        self._lock = Lock()
        self._client: httpx.Client | None = None

    def __repr__(self) -> str:
        return f"Shoal({self.settings!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return reopened, (type(self), self.settings.saved())

    def __deepcopy__(self, _: Any) -> Self:
        return self

    def ask(self, call: Call[Result]) -> Result:
        """Send what a call takes, several requests at a time; the first failure is raised and ends the others."""
        pieces, ended = call.pieces(self.settings), Event()
        if len(pieces) < 2:
            return call.merge([piece.answered(self._drive(piece.request, ended)) for piece in pieces])
        pool = ThreadPoolExecutor(min(self.settings.concurrency, len(pieces)), "shoal")
        try:
            under_way = [pool.submit(self._drive, piece.request, ended) for piece in pieces]
            done, _ = wait(under_way, return_when=FIRST_EXCEPTION)
            for failure in filter(None, (one.exception() for one in done)):
                raise failure
        finally:
            ended.set()
            pool.shutdown(cancel_futures=True)
        return call.merge([piece.answered(one.result()) for piece, one in zip(pieces, under_way, strict=True)])

    def close(self) -> None:
        """Close its connections; the next call opens new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _drive(self, request: Request, ended: Event) -> Any:
        steps, outcome = exchange(request, self.settings, self._pace), None
        with self._places:
            while True:
                try:
                    step = steps.send(outcome)
                except StopIteration as end:
                    return end.value
                outcome = self._send(step.request) if isinstance(step, Send) else None
                if isinstance(step, Wait) and ended.wait(step.seconds):
                    raise Unreachable("Another request of the same call failed.")

    def _send(self, request: Request) -> Outcome:
        headers = self.settings.headers(__version__)
        try:
            reply = self._open().request(request.method, request.path, content=request.content, headers=headers)
        except httpx.RequestError as error:
            return unreachable(error, self.settings)
        return Answer(reply.status_code, reply.headers, reply.content)

    def _open(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = httpx.Client(**connection_options(self.settings))
                weakref.finalize(self, self._client.close)
            return self._client
