"""Spans of requests: the receipt, the caller's trace, no text, and no effect on the request."""

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from server.settings.settings import ServerSettings
from server.state import open_services
from server.telemetry.opening import TelemetryMissingError, open_telemetry
from server.telemetry.spans import RequestSpans
from tests.ops.programs import free_port
from tests.server.conftest import MODEL, Serve, Served, wants

CANARY = "xyzzy"
HIDDEN = "plugh"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """An in-memory exporter that receives the spans of all apps created after this."""
    exporter = InMemorySpanExporter()

    def open_with_exporter(_: ServerSettings, model_name: Any) -> RequestSpans:
        return RequestSpans(exporter, model_name)

    monkeypatch.setattr("server.state.open_telemetry", open_with_exporter)
    return exporter


def finish_spans(served: Served, exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    assert served.services.telemetry is not None
    served.services.telemetry.close()
    return list(exporter.get_finished_spans())


def read_attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def test_a_request_has_one_span_with_its_receipt(
    serve: Serve, exporter: InMemorySpanExporter
) -> None:
    served = serve(wants("hm.</think>yes"))
    response = await served.chat(max_thinking_tokens=64)
    (span,) = finish_spans(served, exporter)
    usage, receipt = response.json()["usage"], response.json()["choices"][0]["thinking"]
    assert span.name == f"chat {MODEL}"
    assert span.kind is SpanKind.SERVER
    assert span.status.status_code is StatusCode.UNSET
    found = read_attributes(span)
    assert found["gen_ai.usage.input_tokens"] == usage["prompt_tokens"]
    assert found["gen_ai.usage.output_tokens"] == usage["completion_tokens"]
    for name in ("requested", "source", "budget", "used", "injected", "segments", "stop"):
        assert found[f"thinking.{name}"] == receipt[name]
    assert found["thinking.request_id"] == response.headers["x-request-id"]
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.start_time < span.end_time


async def test_a_turn_in_a_receipt_is_an_attribute_a_number(
    serve: Serve, exporter: InMemorySpanExporter
) -> None:
    served = serve(wants("hm.</think>yes"))
    options = {"turn": {"id": "a", "budget": 90}}
    response = await served.chat(max_thinking_tokens=64, thinking_options=options)
    (span,) = finish_spans(served, exporter)
    turn = response.json()["choices"][0]["thinking"]["turn"]
    found = read_attributes(span)
    assert {name: found[f"thinking.turn.{name}"] for name in turn} == turn
    assert "thinking.turn" not in found


async def test_each_of_several_choices_is_an_event(
    serve: Serve, exporter: InMemorySpanExporter
) -> None:
    served = serve(wants("hm.</think>yes"))
    response = await served.chat(n=3)
    (span,) = finish_spans(served, exporter)
    used = [choice["thinking"]["used"] for choice in response.json()["choices"]]
    assert [(event.attributes or {})["thinking.used"] for event in span.events] == used


async def test_a_span_continues_the_callers_trace(
    serve: Serve, exporter: InMemorySpanExporter
) -> None:
    served = serve()
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    await served.http.get("/v1/models", headers=headers)
    await served.http.get("/v1/models", headers={"traceparent": "nonsense"})
    first, second = finish_spans(served, exporter)
    assert first.parent is not None
    assert f"{first.parent.span_id:016x}" == PARENT
    assert first.context is not None
    assert f"{first.context.trace_id:032x}" == TRACE
    assert second.parent is None


async def test_no_text_is_in_a_span(serve: Serve, exporter: InMemorySpanExporter) -> None:
    served = serve(wants(f"{HIDDEN}</think>{CANARY}"))
    message = {"role": "user", "content": CANARY}
    await served.chat(messages=[message], include_reasoning=True, stream=True)
    await served.chat(messages=[message], stop=[CANARY], user=CANARY)
    await served.chat(**{CANARY: 1})
    await served.http.request(CANARY.upper(), f"/{CANARY}?{CANARY}=1")
    spans = finish_spans(served, exporter)
    assert len(spans) == 4
    for span in spans:
        text = span.to_json().lower()
        assert CANARY not in text
        assert HIDDEN not in text


async def test_errors_are_marked_by_their_code(
    serve: Serve, exporter: InMemorySpanExporter
) -> None:
    served = serve()
    await served.chat(max_thinking_tokens=-7)
    served.services.slot.is_draining = True
    await served.chat()
    bad, refused = finish_spans(served, exporter)
    assert read_attributes(bad)["http.response.status_code"] == 400
    assert (
        bad.status.status_code is StatusCode.UNSET
    )  # a client error, by the conventions for HTTP spans
    assert read_attributes(refused)["error.type"] == "draining"
    assert refused.status.status_code is StatusCode.ERROR


async def test_probes_have_no_span(serve: Serve, exporter: InMemorySpanExporter) -> None:
    served = serve()
    await served.http.get("/health")
    await served.http.get("/metrics")
    assert not finish_spans(served, exporter)


class Collector(HTTPServer):
    """A collector that receives OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[ExportTraceServiceRequest] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/traces"


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            raise AssertionError("compression was not requested")
        self.server.requests.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


async def test_spans_are_sent_by_otlp(serve: Serve, collector: Collector) -> None:
    served = serve(wants("</think>yes"), otlp_endpoint=collector.url)
    await served.chat()
    await served.services.close()
    (request,) = collector.requests
    (resource,) = request.resource_spans
    names = {a.key: a.value.string_value for a in resource.resource.attributes}
    assert names["service.name"] == "thinking-server"
    assert [span.name for span in resource.scope_spans[0].spans] == [f"chat {MODEL}"]


async def test_a_collector_that_is_down_costs_no_request(serve: Serve) -> None:
    served = serve(wants("</think>yes"), otlp_endpoint=f"http://127.0.0.1:{free_port()}/v1/traces")
    for _ in range(3):
        assert (await served.chat()).status_code == 200


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "server.telemetry.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    settings = ServerSettings(otlp_endpoint="http://127.0.0.1:4318/v1/traces")
    with pytest.raises(TelemetryMissingError, match="telemetry"):
        open_telemetry(settings, lambda: None)


def test_telemetry_is_off_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_services(ServerSettings()).telemetry is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    spans = open_services(ServerSettings()).telemetry
    assert spans is not None
    spans.close()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert open_services(ServerSettings()).telemetry is None
