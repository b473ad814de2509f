"""One OpenTelemetry span a request, sent by OTLP over HTTP.

The span is made when the request has ended, with the times of its beginning and end: while
tokens come, nothing is done for it. Sending is a thread of the SDK's, with a bounded queue;
a collector that is down costs spans, never requests. Standard ``OTEL_*`` variables hold.
"""

import os
import time
from collections.abc import Callable

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from server.account.account import PROBE_ENDPOINTS, RequestAccount
from server.telemetry.span import receipt_events, span_attributes, span_name

DEFAULT_SERVICE_NAME = "thinking-server"
FLUSH_SECONDS = 3.0
NANOSECONDS = 10**9


class RequestSpans:
    """An observer of accounts. `model_name` is asked at each span, since models load late."""

    def __init__(self, exporter: SpanExporter, model_name: Callable[[], str | None]) -> None:
        name = os.environ.get("OTEL_SERVICE_NAME", DEFAULT_SERVICE_NAME)
        self._provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
        self._processor = BatchSpanProcessor(exporter)
        self._provider.add_span_processor(self._processor)
        self._tracer = self._provider.get_tracer("thinking-server")
        self._propagator = TraceContextTextMapPropagator()
        self._model_name = model_name

    @classmethod
    def to_collector(
        cls, endpoint: str | None, model_name: Callable[[], str | None]
    ) -> "RequestSpans":
        """Spans that are sent to `endpoint` (None: as ``OTEL_EXPORTER_OTLP_…`` says)."""
        return cls(OTLPSpanExporter(endpoint=endpoint), model_name)

    def __call__(self, account: RequestAccount) -> None:
        """Make `account`'s span; it goes on with the caller's trace, where there is one."""
        if account.endpoint in PROBE_ENDPOINTS:
            return
        ended = time.time_ns()
        model_name = self._model_name()
        span = self._tracer.start_span(
            span_name(account, model_name),
            context=self._propagator.extract(account.trace_context),
            kind=SpanKind.SERVER,
            attributes=span_attributes(account, model_name),
            start_time=ended - int(account.seconds * NANOSECONDS),
        )
        for attributes in receipt_events(account):
            span.add_event("thinking.receipt", dict(attributes), ended)
        if account.status is None or account.status >= 500 or _failed_later(account):
            span.set_status(StatusCode.ERROR)
        span.end(ended)

    def close(self) -> None:
        """Send what waits, in bounded time. Blocks."""
        self._processor.force_flush(int(FLUSH_SECONDS * 1000))
        self._provider.shutdown()


def _failed_later(account: RequestAccount) -> bool:
    """Whether a stream began well and ended with an error."""
    return account.error_code is not None and (account.status or 0) < 400
