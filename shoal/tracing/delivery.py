"""Brings spans to the collector by OpenTelemetry's own SDK, from a thread of its own: no request ever waits for it.

What the collector does not take at once is tried again for half a minute, while more waits, up to a bound; what is
dropped is counted. All is passed to the SDK by us, since it would read the rest from the environment by itself.
"""

import ssl
import threading
from collections.abc import Mapping, Sequence

import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from shoal.tracing.settings import TracingSettings

INTERVAL = 1.0
"""Seconds between two deliveries."""
MOST_WAITING = 8192
"""Spans; those of 1,000 requests and more."""
AT_ONCE = 512
PATIENCE = 60.0
"""Seconds that a delivery may take: long enough for the SDK's six tries, the last of which is after 31."""


class Delivery(BatchSpanProcessor):
    """Takes spans that have ended, from any thread; `close` delivers what waits if that is done in time."""

    def __init__(self, settings: TracingSettings) -> None:
        self._exporter = CountingExporter(settings)
        super().__init__(
            self._exporter,
            max_queue_size=MOST_WAITING,
            schedule_delay_millis=INTERVAL * 1000,
            max_export_batch_size=AT_ONCE,
            export_timeout_millis=PATIENCE * 1000,
            meter_provider=NoOpMeterProvider(),
        )

    @property
    def counts(self) -> dict[str, int]:
        """What became of spans so far."""
        return dict(self._exporter.counts)

    def on_end(self, span: ReadableSpan) -> None:
        """Have a span delivered some time, if there is room for it."""
        if self._exporter.admit():
            super().on_end(span)

    def close(self, patience: float) -> None:
        """Deliver what waits, within so many seconds; what is left then is dropped."""
        self._exporter.closing = True
        ending = threading.Thread(target=self.shutdown, name="end of traces", daemon=True)
        ending.start()  # by itself it would wait for half a minute
        ending.join(patience)
        if ending.is_alive():
            self._exporter.shutdown()  # type: ignore[no-untyped-call]


class CountingExporter(OTLPSpanExporter):
    """Knows what it exported, what not, and how much still waits for it."""

    def __init__(self, settings: TracingSettings) -> None:
        trusted = ssl.get_default_verify_paths()
        super().__init__(
            endpoint=settings.endpoint.rstrip("/") + "/v1/traces",
            certificate_file=trusted.cafile or trusted.capath or DEFAULT_CA_BUNDLE_PATH,
            timeout=PATIENCE,
            compression=Compression.NoCompression,
            session=Session(settings.headers),
            meter_provider=NoOpMeterProvider(),
        )
        self.counts = {"exported": 0, "dropped": 0}
        self.closing = False
        self._waiting = 0
        self._counting = threading.Lock()

    def admit(self) -> bool:
        """Whether one more may wait; it counts as dropped where not."""
        with self._counting:
            admitted = self._waiting < MOST_WAITING and not self.closing
            if admitted:
                self._waiting += 1
            else:
                self.counts["dropped"] += 1
        return admitted

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans, and count what became of them."""
        result = SpanExportResult.FAILURE
        try:
            result = super().export(spans)
        finally:
            with self._counting:
                self._waiting -= len(spans)
                self.counts["exported" if result is SpanExportResult.SUCCESS else "dropped"] += len(spans)
        return result


class Session(requests.Session):
    """Sends the headers that it was given, and neither the environment's nor those of a .netrc; knows no proxy."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__()
        self.trust_env = False
        self._said = {"content-type": "application/x-protobuf", "user-agent": "shoal", **headers}

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """The request, with our headers instead of its own."""
        request.headers = self._said
        return super().prepare_request(request)
