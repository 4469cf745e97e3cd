"""Brings spans to the collector, from a thread of its own: no request ever waits for it, or fails with it.

What the collector does not take at once waits, up to a bound; beyond it, spans are dropped and counted.
"""

import http.client
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

import structlog

from shoal.tracing.settings import TracingSettings
from shoal.tracing.span import Attribute, RecordedSpan

INTERVAL = 1.0
"""Seconds between two deliveries."""
MOST_WAITING = 8192
"""Spans; those of 1,000 requests and more."""
AT_ONCE = 512
PATIENCE = 5.0
"""Seconds that the collector may take."""
LONGEST_PAUSE = 30.0
COME_BACK = frozenset({408, 429, 502, 503, 504})
"""Answers after which OTLP says to try again."""

Encode = Callable[[Sequence[RecordedSpan], Mapping[str, Attribute]], bytes]

log = structlog.get_logger("shoal.tracing")


class Refused(Exception):
    """The collector does not want these spans, and never will."""


class Exporter:
    """`add` takes spans from any thread; `close` delivers what waits if that is done in time."""

    def __init__(self, settings: TracingSettings, resource: Mapping[str, Attribute], encode: Encode) -> None:
        parts = urlsplit(settings.endpoint)
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname or "localhost", parts.port
        self._path = parts.path.rstrip("/") + "/v1/traces"
        self._headers = {"content-type": "application/x-protobuf", **settings.headers}
        self._resource = resource
        self._encode = encode
        self._counts = {"exported": 0, "dropped": 0}
        self._counting = threading.Lock()
        self._waiting: deque[RecordedSpan] = deque()
        self._closing = threading.Event()
        self._away = False
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def add(self, span: RecordedSpan) -> None:
        """Have a span delivered some time."""
        if len(self._waiting) >= MOST_WAITING or self._closing.is_set():
            self._count("dropped", 1)
        else:
            self._waiting.append(span)

    @property
    def counts(self) -> dict[str, int]:
        """What became of spans so far."""
        return dict(self._counts)

    def close(self, patience: float) -> None:
        """Deliver what waits, within so many seconds; what is left then is dropped."""
        self._closing.set()
        self._thread.join(patience)
        if left := len(self._waiting):
            self._waiting.clear()
            self._count("dropped", left)

    def _run(self) -> None:
        pause = INTERVAL
        while not self._closing.wait(pause):
            pause = INTERVAL if self._deliver() else min(max(2 * pause, INTERVAL), LONGEST_PAUSE)
        self._deliver()

    def _deliver(self) -> bool:
        """Whether the collector took, or refused for good, all that waits."""
        while spans := [self._waiting[place] for place in range(min(AT_ONCE, len(self._waiting)))]:
            try:
                self._send(self._encode(spans, self._resource))
            except (OSError, http.client.HTTPException) as error:
                self._say_away(str(error) or type(error).__name__)
                return False
            except (Refused, ValueError) as error:
                self._say_away(str(error))
                self._settle(spans, "dropped")
            else:
                self._say_back()
                self._settle(spans, "exported")
        return True

    def _count(self, outcome: str, spans: int) -> None:
        with self._counting:
            self._counts[outcome] += spans

    def _settle(self, spans: Sequence[RecordedSpan], outcome: str) -> None:
        for _ in spans[: len(self._waiting)]:  # none, where the process did not wait for us
            self._waiting.popleft()
        self._count(outcome, len(spans))

    def _send(self, body: bytes) -> None:
        connect = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = connect(self._host, self._port, timeout=PATIENCE)
        try:
            connection.request("POST", self._path, body, self._headers)
            reply = connection.getresponse()
            reply.read(65536)
        finally:
            connection.close()
        if reply.status in COME_BACK:
            raise OSError(f"it answers {reply.status}")
        if not 200 <= reply.status < 300:
            raise Refused(f"it answers {reply.status}")

    def _say_away(self, why: str) -> None:
        if not self._away:
            log.warning("traces are not delivered", host=self._host, why=why)
        self._away = True

    def _say_back(self) -> None:
        if self._away:
            log.info("traces are delivered again", host=self._host)
        self._away = False
