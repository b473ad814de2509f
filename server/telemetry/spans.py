"""OpenTelemetry spans, one per request, exported by OTLP over HTTP.

A span is created when the request has ended, with its start and end times: it costs nothing
while tokens are generated. A thread of the SDK exports it, with a bounded queue; a collector that
is down loses spans, never requests. The standard ``OTEL_*`` variables apply.
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
from server.telemetry.span import build_receipt_events, build_span_attributes, build_span_name

DEFAULT_SERVICE_NAME = "thinking-server"
FLUSH_SECONDS = 3.0
NANOSECONDS = 10**9


class RequestSpans:
    """Observer of accounts. `model_name` is called for each span, since models load late."""

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
        """Return an observer that exports to `endpoint`; None: to ``OTEL_EXPORTER_OTLP_…``."""
        return cls(OTLPSpanExporter(endpoint=endpoint), model_name)

    def __call__(self, account: RequestAccount) -> None:
        """Create the span of `account`; it continues the caller's trace, if there is one."""
        if account.endpoint in PROBE_ENDPOINTS:
            return
        ended = time.time_ns()
        model_name = account.model_name or self._model_name()
        span = self._tracer.start_span(
            build_span_name(account, model_name),
            context=self._propagator.extract(account.trace_context),
            kind=SpanKind.SERVER,
            attributes=build_span_attributes(account, model_name),
            start_time=ended - int(account.seconds * NANOSECONDS),
        )
        for attributes in build_receipt_events(account):
            span.add_event("thinking.receipt", dict(attributes), ended)
        if account.status is None or account.status >= 500 or _has_failed_midstream(account):
            span.set_status(StatusCode.ERROR)
        span.end(ended)

    def close(self) -> None:
        """Export what is queued, in bounded time. Blocks."""
        self._processor.force_flush(int(FLUSH_SECONDS * 1000))
        self._provider.shutdown()


def _has_failed_midstream(account: RequestAccount) -> bool:
    """Return whether the response began successfully and its stream ended with an error."""
    return account.error_code is not None and (account.status or 0) < 400
