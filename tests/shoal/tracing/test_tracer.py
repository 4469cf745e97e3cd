"""Which requests are recorded: a share, and of those whose callers wish it a few."""

import pytest

from shoal.tracing.span import RecordedSpan
from shoal.tracing.tracer import WISHES, GatewayTracer, NodeTracer

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{PARENT}-01"


class Sink:
    def __init__(self) -> None:
        self.spans: list[RecordedSpan] = []
        self.counts = {"exported": 0, "dropped": 0}

    def add(self, span: RecordedSpan) -> None:
        self.spans.append(span)


def gateway(share: float, clock=lambda: 0.0) -> GatewayTracer:
    return GatewayTracer(Sink(), share, clock)


def test_a_share_of_requests_is_recorded() -> None:
    tracer = gateway(0.1)
    recorded = sum(tracer.request("GET", "").recorded for _ in range(20_000))
    assert 1700 < recorded < 2300
    assert not any(gateway(0.0).request("GET", "").recorded for _ in range(100))
    assert all(gateway(1.0).request("GET", "").recorded for _ in range(100))


def test_a_caller_that_records_its_trace_has_ours_in_it() -> None:
    span = gateway(0.0).request("GET", SAMPLED)
    assert span.recorded
    assert isinstance(span, RecordedSpan)
    assert (span.place.trace.hex(), span.parent.hex()) == (TRACE, PARENT)
    assert span.traceparent == f"00-{TRACE}-{span.place.span.hex()}-01"


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
        f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01\n", "0" * 10_000,
        f"00-{TRACE}-{PARENT}-01, 00-{TRACE}-{PARENT}-01",
    ],
)  # fmt: skip
def test_what_is_no_traceparent_begins_a_trace_of_its_own_or_none(text) -> None:
    assert not gateway(0.0).request("GET", text).recorded
    span = gateway(1.0).request("GET", text)
    assert isinstance(span, RecordedSpan)
    assert (span.parent, span.place.trace.hex() == TRACE) == (None, False)
    assert NodeTracer(Sink()).request("POST /embed", text) is None


def test_a_later_version_of_traceparent_is_understood() -> None:
    assert gateway(0.0).request("GET", f"01-{TRACE}-{PARENT}-01-more").recorded


def test_a_node_records_what_its_gateway_does() -> None:
    tracer = NodeTracer(Sink())
    assert all(tracer.request("POST /embed", SAMPLED) is not None for _ in range(100))
    assert tracer.request("POST /embed", f"00-{TRACE}-{PARENT}-00") is None
    assert tracer.request("POST /embed", "") is None


def test_an_error_ends_a_span_and_is_told_of_it() -> None:
    sink = Sink()
    span = GatewayTracer(sink, 1.0).request("GET", "")
    with pytest.raises(KeyError), span, span.part("a part", calls_out=True):
        raise KeyError("what callers sent")
    assert [(each.name, each.kind, each.failure) for each in sink.spans] == [
        ("a part", "client", "KeyError"), ("GET", "server", "KeyError"),
    ]  # fmt: skip
    assert sink.spans[0].parent == sink.spans[1].place.span
