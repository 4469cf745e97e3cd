"""Spans of OpenTelemetry's SDK, as gateway/tracing.py and engine/tracing.py have them."""

import time
from collections.abc import Callable, Mapping
from typing import Self

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import SpanContext, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.tracing import UNRECORDED, Attribute, Span
from shoal.tracing.delivery import Delivery
from shoal.tracing.sampler import gateway_sampler, node_sampler

W3C = TraceContextTextMapPropagator()
"""Reads and writes `traceparent`."""


class RecordedSpan:
    """Begins when it is made; ends with its `with` block."""

    __slots__ = ("_context", "_failed", "_span", "_tracer")

    recorded = True

    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        self._tracer = tracer
        self._span = span
        self._failed = False
        self._context = trace.set_span_in_context(span, Context())

    @property
    def traceparent(self) -> str:
        """For whoever is called within it."""
        carrier: dict[str, str] = {}
        W3C.inject(carrier, self._context)
        return carrier["traceparent"]

    def part(self, name: str, *, calls_out: bool = False) -> "RecordedSpan":
        """One within it, beginning now."""
        kind = SpanKind.CLIENT if calls_out else SpanKind.INTERNAL
        return RecordedSpan(self._tracer, self._tracer.start_span(name, self._context, kind))

    def batch(self, name: str) -> "RecordedSpan":
        """One of a trace of its own, since it is part of many."""
        return RecordedSpan(self._tracer, self._tracer.start_span(name, Context()))

    def link(self, traceparent: str) -> None:
        """Another span that this one has to do with."""
        self._span.add_link(_place(_context_of(traceparent)))

    def tell(self, attributes: Mapping[str, Attribute]) -> None:
        """What is known of it."""
        self._span.set_attributes(dict(attributes))

    def rename(self, name: str) -> None:
        """What it is, once that is known."""
        self._span.update_name(name)

    def fail(self, kind: str) -> None:
        """It ended otherwise than it was meant to."""
        self._failed = True
        self._span.set_attribute("error.type", kind)
        self._span.set_status(StatusCode.ERROR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None and not self._failed:  # its name alone: its message may hold what callers sent
            self.fail(type(error).__name__)
        self._span.end()


class _SdkTracer:
    def __init__(self, delivery: Delivery, resource: Mapping[str, str], sampler: Sampler) -> None:
        self._delivery = delivery
        provider = TracerProvider(
            sampler=sampler,
            resource=Resource(dict(resource)),
            shutdown_on_exit=False,
            span_limits=SpanLimits(
                max_links=SpanLimits.UNSET,  # a batch has those of all its requests
                max_span_attributes=SpanLimits.UNSET,
                max_span_attribute_length=SpanLimits.UNSET,
            ),
            meter_provider=NoOpMeterProvider(),
        )
        provider.add_span_processor(delivery)
        self._tracer = provider.get_tracer("shoal")

    @property
    def spans(self) -> Mapping[str, int]:
        """How many were `exported` and `dropped`."""
        return self._delivery.counts

    def _begin(self, name: str, context: Context) -> RecordedSpan | None:
        span = self._tracer.start_span(name, context, SpanKind.SERVER)
        return RecordedSpan(self._tracer, span) if span.is_recording() else None


class GatewayTracer(_SdkTracer):
    """Begins the traces of a gateway."""

    def __init__(
        self, delivery: Delivery, resource: Mapping[str, str], share: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(delivery, resource, gateway_sampler(share, clock))

    def request(self, name: str, traceparent: str) -> Span:
        """The span of a request that said this of the trace that it is part of, or nothing."""
        return self._begin(name, _context_of(traceparent)) or UNRECORDED


class NodeTracer(_SdkTracer):
    """Goes on with the traces of gateways."""

    def __init__(self, delivery: Delivery, resource: Mapping[str, str]) -> None:
        super().__init__(delivery, resource, node_sampler())

    def request(self, name: str, traceparent: str) -> RecordedSpan | None:
        """The span of a call; None where the caller records none."""
        context = _context_of(traceparent)
        return self._begin(name, context) if _place(context).is_valid else None


def _context_of(traceparent: str) -> Context:
    """Empty of what is none."""
    return W3C.extract({"traceparent": traceparent}, Context())


def _place(context: Context) -> SpanContext:
    return trace.get_current_span(context).get_span_context()
