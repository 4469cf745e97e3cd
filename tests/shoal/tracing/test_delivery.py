"""Spans reach the collector, wait for it while it is away, and are dropped and counted when that takes too long."""

import http.server
import threading
import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from shoal.tracing import delivery as module
from shoal.tracing.delivery import Delivery
from shoal.tracing.settings import TracingSettings
from shoal.tracing.tracer import GatewayTracer


class Collector(http.server.ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Receiver)
        self.status = 200
        self.received = []
        self.resources = []
        self.headers = []
        self.asked = 0
        self.answering = threading.Event()
        self.answering.set()

    @property
    def names(self):
        return [span.name for span in self.received]


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked += 1
        self.server.answering.wait(30)
        if self.server.status == 200 and self.path == "/v1/traces" and self.headers["x-key"] == "secret":
            [resource] = ExportTraceServiceRequest.FromString(body).resource_spans
            self.server.received += resource.scope_spans[0].spans
            self.server.resources.append({each.key: each.value.string_value for each in resource.resource.attributes})
            self.server.headers.append(dict(self.headers))
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.send_header("retry-after", "0.3")
        self.end_headers()

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture
def collector():
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        yield collector
        collector.answering.set()
        collector.shutdown()
        thread.join()


@pytest.fixture
def new_delivery(collector, monkeypatch):
    monkeypatch.setattr(module, "INTERVAL", 0.02)
    endpoint = f"http://127.0.0.1:{collector.server_address[1]}"
    settings = TracingSettings(endpoint=endpoint, headers={"x-key": "secret"})
    assert "secret" not in repr(settings)
    return lambda: Delivery(settings)


@pytest.fixture
def delivery(new_delivery):
    delivery = new_delivery()
    yield delivery
    delivery.close(5.0)


def new_tracer(delivery):
    return GatewayTracer(delivery, {"service.name": "tests"}, share=1.0)


def end(delivery, *names, **attributes):
    tracer = new_tracer(delivery)
    for name in names:
        with tracer.request(name, "") as span:
            span.tell(attributes)


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def test_spans_arrive_as_they_were(delivery, collector):
    end(delivery, "one", text="ä", number=3, share=0.5, there=True)
    until(lambda: delivery.counts == {"exported": 1, "dropped": 0})
    [span] = collector.received
    told = {each.key: each.value for each in span.attributes}
    assert (told["text"].string_value, told["number"].int_value) == ("ä", 3)
    assert (told["share"].double_value, told["there"].bool_value) == (0.5, True)
    assert abs(span.end_time_unix_nano / 1e9 - time.time()) < 60


def test_an_error_is_told_by_its_name_and_never_by_what_it_says(delivery, collector):
    with pytest.raises(KeyError), new_tracer(delivery).request("GET", "") as span, span.part("a part", calls_out=True):
        raise KeyError("what callers sent")
    until(lambda: delivery.counts["exported"] == 2)
    assert [(span.name, span.kind, span.status.code) for span in collector.received] == [
        ("a part", 3, 2),
        ("GET", 2, 2),
    ]
    part, request = collector.received
    assert part.parent_span_id == request.span_id
    for span in collector.received:
        assert [(each.key, each.value.string_value) for each in span.attributes] == [("error.type", "KeyError")]
        assert "callers" not in str(span)


def test_what_waits_is_delivered_once_the_collector_is_back(delivery, collector):
    collector.status = 503
    names = [str(number) for number in range(700)]
    end(delivery, *names)
    until(lambda: collector.asked > 1)
    assert delivery.counts == {"exported": 0, "dropped": 0}
    collector.status = 200
    until(lambda: delivery.counts == {"exported": 700, "dropped": 0})
    assert collector.names == names


def test_no_more_waits_than_there_is_room_for(new_delivery, collector, monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 600)
    delivery = new_delivery()
    collector.answering.clear()
    began = time.perf_counter()
    end(delivery, *map(str, range(1000)))
    assert time.perf_counter() - began < 5, "nobody waits for the collector"
    assert delivery.counts == {"exported": 0, "dropped": 400}
    collector.answering.set()
    delivery.close(5.0)
    assert delivery.counts == {"exported": 600, "dropped": 400}


def test_what_the_collector_refuses_for_good_is_dropped(delivery, collector):
    collector.status = 400
    end(delivery, "one")
    until(lambda: delivery.counts == {"exported": 0, "dropped": 1})
    collector.status = 200
    end(delivery, "two")
    until(lambda: collector.names == ["two"])


def test_what_can_not_be_said_is_left_out_and_the_rest_goes_on(delivery, collector):
    end(delivery, "one", number=2**70, text="there")
    until(lambda: collector.names == ["one"])
    assert [each.key for each in collector.received[0].attributes] == ["text"]


def test_the_end_delivers_what_waits(collector, new_delivery, monkeypatch):
    monkeypatch.setattr(module, "INTERVAL", 60.0)
    delivery = new_delivery()
    end(delivery, "last")
    delivery.close(5.0)
    assert collector.names == ["last"]
    end(delivery, "too late")
    assert delivery.counts == {"exported": 1, "dropped": 1}


def test_the_end_waits_no_longer_than_it_may_for_a_collector_that_is_not_there(monkeypatch):
    monkeypatch.setattr(module, "INTERVAL", 0.02)
    lost = Delivery(TracingSettings(endpoint="http://127.0.0.1:9"))
    end(lost, "one")
    began = time.monotonic()
    lost.close(0.5)
    assert time.monotonic() - began < 4
    until(lambda: lost.counts == {"exported": 0, "dropped": 1})


def test_the_end_waits_no_longer_than_it_may_for_a_collector_that_does_not_answer(new_delivery, collector):
    collector.answering.clear()
    delivery = new_delivery()
    end(delivery, "one")
    until(lambda: collector.asked == 1)
    began = time.monotonic()
    delivery.close(0.5)
    assert time.monotonic() - began < 4


def test_the_environment_has_no_say(new_delivery, collector, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    elsewhere = {
        "NETRC": str(tmp_path / "netrc"), "HTTP_PROXY": "http://127.0.0.1:9", "OTEL_TRACES_SAMPLER": "always_off",
        "OTEL_SERVICE_NAME": "else", "OTEL_RESOURCE_ATTRIBUTES": "service.name=else,more=1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-other=key", "OTEL_EXPORTER_OTLP_TIMEOUT": "0",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere",
        "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER": "else", "OTEL_BSP_SCHEDULE_DELAY": "99999",
        "OTEL_BSP_MAX_QUEUE_SIZE": "1", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "0", "OTEL_SPAN_LINK_COUNT_LIMIT": "0",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "1",
    }  # fmt: skip
    for name, value in elsewhere.items():
        monkeypatch.setenv(name, value)
    delivery = new_delivery()
    with new_tracer(delivery).request("one", "") as span:
        span.tell({"text": "whole"})
        for number in range(300):
            span.link(f"00-{number + 1:032x}-{'1' * 16}-01")
    delivery.close(5.0)
    [span] = collector.received
    assert [each.value.string_value for each in span.attributes] == ["whole"]
    assert len(span.links) == 300
    assert collector.resources == [{"service.name": "tests"}]
    assert not {"x-other", "authorization", "content-encoding"} & {name.lower() for name in collector.headers[0]}
