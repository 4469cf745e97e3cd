"""Spans in OpenTelemetry's protocol: what a collector reads.

The messages are OpenTelemetry's own (the package opentelemetry-proto); its SDK is not needed for them, and would read
its settings from the environment by itself.
"""

from collections.abc import Mapping, Sequence

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from shoal.tracing.span import Attribute, RecordedSpan

KINDS = {"internal": Span.SPAN_KIND_INTERNAL, "server": Span.SPAN_KIND_SERVER, "client": Span.SPAN_KIND_CLIENT}


def encoded(spans: Sequence[RecordedSpan], resource: Mapping[str, Attribute]) -> bytes:
    """A request to a collector, of spans of one process."""
    scope = ScopeSpans(scope=InstrumentationScope(name="shoal"), spans=[_span(span) for span in spans])
    whole = ResourceSpans(resource=Resource(attributes=_attributes(resource)), scope_spans=[scope])
    content: bytes = ExportTraceServiceRequest(resource_spans=[whole]).SerializeToString()
    return content


def _span(span: RecordedSpan) -> Span:
    attributes = dict(span.attributes)
    if span.failure is not None:
        attributes["error.type"] = span.failure
    return Span(
        trace_id=span.place.trace,
        span_id=span.place.span,
        parent_span_id=span.parent or b"",
        name=span.name,
        kind=KINDS[span.kind],
        start_time_unix_nano=span.began,
        end_time_unix_nano=max(span.began, span.end),  # the clock may have been set back meanwhile
        attributes=_attributes(attributes),
        links=[Span.Link(trace_id=place.trace, span_id=place.span) for place in span.links],
        status=Status(code=Status.STATUS_CODE_ERROR) if span.failure is not None else None,
        flags=1,
    )


def _attributes(attributes: Mapping[str, Attribute]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in attributes.items()]


def _value(value: Attribute) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case _:
            return AnyValue(string_value=value)
