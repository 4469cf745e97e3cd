"""Which requests are recorded: a share, and of those whose callers wish it a few."""

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from shoal.tracing.sampler import WISHES
from shoal.tracing.tracer import GatewayTracer, NodeTracer

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{PARENT}-01"


class Sink(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.counts = {"exported": 0, "dropped": 0}

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def gateway(share: float, clock=lambda: 0.0, sink=None) -> GatewayTracer:
    return GatewayTracer(sink or Sink(), {}, share, clock)


def node(sink=None) -> NodeTracer:
    return NodeTracer(sink or Sink(), {})


def ended(span, sink) -> ReadableSpan:
    with span:
        pass
    return sink.spans[-1]


def test_a_share_of_requests_is_recorded() -> None:
    tracer = gateway(0.1)
    recorded = sum(tracer.request("GET", "").recorded for _ in range(20_000))
    assert 1700 < recorded < 2300
    assert not any(gateway(0.0).request("GET", "").recorded for _ in range(100))
    assert all(gateway(1.0).request("GET", "").recorded for _ in range(100))


def test_a_caller_that_records_its_trace_has_ours_in_it() -> None:
    sink = Sink()
    span = gateway(0.0, sink=sink).request("GET", SAMPLED)
    assert span.recorded
    told = ended(span, sink)
    assert (f"{told.context.trace_id:032x}", f"{told.parent.span_id:016x}") == (TRACE, PARENT)
    assert span.traceparent == f"00-{TRACE}-{told.context.span_id:016x}-01"


def test_callers_can_not_have_everything_recorded_and_may_wish_again_later() -> None:
    now = 0.0
    tracer = gateway(0.0, lambda: now)
    assert sum(tracer.request("GET", SAMPLED).recorded for _ in range(1000)) == WISHES
    now = 1.0
    assert sum(tracer.request("GET", SAMPLED).recorded for _ in range(1000)) == WISHES
    now = 1000.0
    assert sum(tracer.request("GET", SAMPLED).recorded for _ in range(1000)) == WISHES


def test_the_share_is_not_drawn_from_ids_that_callers_choose() -> None:
    lowest = f"00-{'0' * 31}1-{PARENT}-01"
    tracer = gateway(0.01)
    assert sum(tracer.request("GET", lowest).recorded for _ in range(1000)) < 60


def test_a_caller_that_records_nothing_is_not_recorded() -> None:
    assert not gateway(1.0).request("GET", f"00-{TRACE}-{PARENT}-00").recorded


@pytest.mark.parametrize(
    "text",
    [
        "junk", f"00-{TRACE}-{PARENT}", f"ff-{TRACE}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01-more", "0" * 10_000,
        f"00-{TRACE}-{PARENT}-01, 00-{TRACE}-{PARENT}-01",
    ],
)  # fmt: skip
def test_what_is_no_traceparent_begins_a_trace_of_its_own_or_none(text) -> None:
    assert not gateway(0.0).request("GET", text).recorded
    sink = Sink()
    told = ended(gateway(1.0, sink=sink).request("GET", text), sink)
    assert (told.parent, f"{told.context.trace_id:032x}" == TRACE) == (None, False)
    assert node().request("POST /embed", text) is None


def test_a_later_version_of_traceparent_is_understood() -> None:
    assert gateway(0.0).request("GET", f"01-{TRACE}-{PARENT}-01-more").recorded


def test_a_node_records_what_its_gateway_does() -> None:
    tracer = node()
    assert all(tracer.request("POST /embed", SAMPLED) is not None for _ in range(100))
    assert tracer.request("POST /embed", f"00-{TRACE}-{PARENT}-00") is None
    assert tracer.request("POST /embed", "") is None


def test_a_batch_and_its_requests_are_linked_and_in_traces_of_their_own() -> None:
    sink = Sink()
    request = node(sink).request("POST /embed", SAMPLED)
    assert request is not None
    with request, request.batch("batch") as batch:
        batch.link(request.traceparent)
        request.link(batch.traceparent)
    told, served = sink.spans
    assert (told.parent, [link.context.span_id for link in told.links]) == (None, [served.context.span_id])
    assert [link.context.span_id for link in served.links] == [told.context.span_id]
    assert told.context.trace_id != served.context.trace_id


def test_why_it_failed_is_what_was_said_first() -> None:
    sink = Sink()
    span = gateway(1.0, sink=sink).request("GET", "")
    span.fail("500")
    with pytest.raises(KeyError), span:
        raise KeyError("what callers sent")
    [told] = sink.spans
    assert (dict(told.attributes), told.events, told.status.description) == ({"error.type": "500"}, (), None)
