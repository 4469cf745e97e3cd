"""One request to its answer, whatever it takes: a generator that says what to do next and is told what came of it.

It neither sends nor sleeps, so that a thread and an event loop drive the same one.
"""

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from itertools import count
from threading import Lock
from typing import Any

from shoal.client.errors import BadReply, Unreachable, refusal
from shoal.client.retrying import THROTTLED, asked_for, may_ask_again, wait_before
from shoal.client.settings import ClientSettings


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent; without a body it is a GET."""

    path: str
    body: Mapping[str, Any] | None = None

    @property
    def method(self) -> str:
        """By HTTP's name."""
        return "GET" if self.body is None else "POST"

    @property
    def content(self) -> bytes | None:
        """The body as JSON."""
        return None if self.body is None else json.dumps(self.body, ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Send:
    """Driver: send this, and tell its Answer or why there is none."""

    request: Request


@dataclass(frozen=True, slots=True)
class Wait:
    """Driver: wait so many seconds."""

    seconds: float


Step = Send | Wait
Outcome = Answer | Unreachable | None
Exchange = Generator[Step, Outcome, Any]


@dataclass(slots=True)
class Pace:
    """When a client may send again.

    Requests that are told to wait come back one after another, each after the wait it was told, and new ones after
    them: the server has room for one of them by then, and would tell the others the same again.
    """

    clock: Callable[[], float]
    """Monotonic."""
    today: Callable[[], float]
    """Seconds since 1970, for servers that name a date."""
    chance: Callable[[], float]
    """Uniform in [0, 1)."""
    _next: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    def turn(self, seconds: float, longest: float) -> float:
        """Seconds until the turn of a request that was told to wait so long; nobody waits longer than `longest`."""
        with self._lock:
            now = self.clock()
            mine = min(max(now + seconds, self._next), now + longest)
            self._next = min(mine + seconds, now + longest)
            return mine - now

    def left(self) -> float:
        """Seconds until a new request may be sent."""
        return max(0.0, self._next - self.clock())


def exchange(request: Request, settings: ClientSettings, pace: Pace) -> Exchange:
    """Ends with the reply's JSON.

    Raises Refused, Unreachable or BadReply when further tries are of no use, or used up.
    """
    while (left := pace.left()) > 0:
        yield Wait(left)
    for attempt in count():
        outcome = yield Send(request)
        if isinstance(outcome, Answer) and outcome.status == 200:
            return reply_of(outcome)
        failure, wait = next_wait(outcome, attempt, settings, pace)
        if wait is None or attempt >= settings.max_retries:
            raise failure
        throttled = isinstance(outcome, Answer) and outcome.status in THROTTLED
        yield Wait(pace.turn(wait, settings.max_wait) if throttled else wait)
    return None


def next_wait(outcome: Outcome, attempt: int, settings: ClientSettings, pace: Pace) -> tuple[Exception, float | None]:
    """The outcome as an exception, and seconds until the next try; None where there shall be none."""
    if not isinstance(outcome, Answer):
        return outcome or Unreachable("The connection gave no answer."), wait_before(
            attempt, None, settings.max_wait, pace.chance()
        )
    asked = asked_for(outcome.headers, pace.today())
    failure = refusal(outcome.status, outcome.headers, outcome.content, asked)
    if not may_ask_again(outcome.status, outcome.headers):
        return failure, None
    return failure, wait_before(attempt, asked, settings.max_wait, pace.chance())


def reply_of(answer: Answer) -> Any:
    """The JSON of a good answer. Raises BadReply."""
    try:
        return json.loads(answer.content)
    except ValueError as error:
        raise BadReply(f"The answer is no JSON; is this a Shoal server? It begins {answer.content[:80]!r}.") from error
