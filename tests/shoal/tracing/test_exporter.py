"""Spans reach the collector, wait for it while it is away, and are dropped and counted when that takes too long."""

import http.server
import threading
import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from shoal.tracing import exporter as module
from shoal.tracing.exporter import Exporter
from shoal.tracing.otlp import encoded
from shoal.tracing.settings import TracingSettings
from shoal.tracing.span import RecordedSpan, new_trace


class Collector(http.server.ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Receiver)
        self.status = 200
        self.received = []
        self.asked = 0

    @property
    def names(self):
        return [span.name for span in self.received]


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked += 1
        if self.server.status == 200 and self.path == "/v1/traces" and self.headers["x-key"] == "secret":
            [resource] = ExportTraceServiceRequest.FromString(body).resource_spans
            self.server.received += resource.scope_spans[0].spans
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture
def collector():
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        yield collector
        collector.shutdown()
        thread.join()


@pytest.fixture
def new_exporter(collector, monkeypatch):
    monkeypatch.setattr(module, "INTERVAL", 0.02)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.05)
    endpoint = f"http://127.0.0.1:{collector.server_address[1]}"
    settings = TracingSettings(endpoint=endpoint, headers={"x-key": "secret"})
    assert "secret" not in repr(settings)
    return lambda: Exporter(settings, {"service.name": "tests"}, encoded)


@pytest.fixture
def exporter(new_exporter):
    exporter = new_exporter()
    yield exporter
    exporter.close(5.0)


def end(exporter, name, **attributes):
    with RecordedSpan(name, new_trace(), None, exporter.add) as span:
        span.tell(attributes)


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def test_spans_arrive_as_they_were(exporter, collector):
    end(exporter, "one", text="ä", number=3, share=0.5, there=True)
    until(lambda: exporter.counts == {"exported": 1, "dropped": 0})
    [span] = collector.received
    told = {each.key: each.value for each in span.attributes}
    assert (told["text"].string_value, told["number"].int_value) == ("ä", 3)
    assert (told["share"].double_value, told["there"].bool_value) == (0.5, True)
    assert abs(span.end_time_unix_nano / 1e9 - time.time()) < 60


def test_what_waits_is_delivered_once_the_collector_is_back(exporter, collector):
    collector.status = 503
    for number in range(700):
        end(exporter, str(number))
    until(lambda: collector.asked > 2)
    assert exporter.counts == {"exported": 0, "dropped": 0}
    collector.status = 200
    until(lambda: exporter.counts == {"exported": 700, "dropped": 0})
    assert collector.names == list(map(str, range(700)))


def test_no_more_waits_than_there_is_room_for(exporter, collector, monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 10)
    collector.status = 503
    began = time.perf_counter()
    for number in range(1000):
        end(exporter, str(number))
    assert time.perf_counter() - began < 5, "nobody waits for the collector"
    assert exporter.counts == {"exported": 0, "dropped": 990}


def test_what_the_collector_refuses_for_good_is_dropped(exporter, collector):
    collector.status = 400
    end(exporter, "one")
    until(lambda: exporter.counts == {"exported": 0, "dropped": 1})
    collector.status = 200
    end(exporter, "two")
    until(lambda: collector.names == ["two"])


def test_what_can_not_be_said_is_dropped_and_the_rest_goes_on(exporter, collector):
    end(exporter, "one", number=2**70)
    until(lambda: exporter.counts["dropped"] == 1)
    end(exporter, "two")
    until(lambda: collector.names == ["two"])


def test_the_end_delivers_what_waits(collector, new_exporter, monkeypatch):
    monkeypatch.setattr(module, "INTERVAL", 60.0)
    exporter = new_exporter()
    end(exporter, "last")
    exporter.close(5.0)
    assert collector.names == ["last"]
    end(exporter, "too late")
    assert exporter.counts == {"exported": 1, "dropped": 1}


def test_the_end_does_not_wait_for_a_collector_that_is_not_there(monkeypatch):
    monkeypatch.setattr(module, "INTERVAL", 0.02)
    lost = Exporter(TracingSettings(endpoint="http://127.0.0.1:9"), {}, encoded)
    end(lost, "one")
    began = time.monotonic()
    lost.close(5.0)
    assert time.monotonic() - began < 4
    assert lost.counts == {"exported": 0, "dropped": 1}
