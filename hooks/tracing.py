"""Traces by OpenTelemetry, sent where its standard variables say. Imported only where these name a collector."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Thread
from time import time_ns

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, format_trace_id, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from hooks.exchange import Exchange
from hooks.fetch_failures import FETCHED
from hooks.health import kind_named
from hooks.stages import Stages
from hooks.wire import SERVICES

_MILLISECOND = 1_000_000  # nanoseconds
_FAULT = 500
_PATIENCE = 2.0  # seconds
_W3C = TraceContextTextMapPropagator()


class OpenTelemetry:
    """Sends the spans of hook calls to the collector, from a thread of its own; what cannot be sent is dropped."""

    def __init__(self, version: str) -> None:
        ours = Resource({"service.name": "lenalidomide-cds", "service.version": version})
        self._provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("lenalidomide_cds")

    def begin(self, service: str, headers: Mapping[str, str]) -> CallTrace:
        """A hook call begins, in the trace that its ``traceparent`` names, if any."""
        return CallTrace(self._tracer, service, _W3C.extract(headers))

    def close(self) -> None:
        """Send what is left, if the collector takes it now."""
        last = Thread(target=self._provider.shutdown, name="last traces", daemon=True)
        last.start()
        last.join(_PATIENCE)


class CallTrace:
    """A hook call as a span; its stages and what is fetched for it are the children. No attribute is of a patient."""

    def __init__(self, tracer: Tracer, service: str, parent: Context) -> None:
        self._tracer = tracer
        self._span = tracer.start_span(f"POST /cds-services/{service}", parent, SpanKind.SERVER)
        self._inside = set_span_in_context(self._span, Context())
        self.id = format_trace_id(self._span.get_span_context().trace_id)

    def fetch(self, kind: str, server: str) -> FetchSpan:
        """A client span."""
        named = kind_named(kind)
        span = self._tracer.start_span(f"GET {named}", self._inside, SpanKind.CLIENT)
        span.set_attributes({"http.request.method": "GET", "cds.fhir.kind": named, "cds.fhir.server": server})
        return FetchSpan(span)

    def stages(self, stages: Stages) -> None:
        """Spans that lie behind us."""
        at = time_ns() - round(sum(took for _, took in stages) * _MILLISECOND)
        for stage, took in stages:
            span = self._tracer.start_span(stage, self._inside, start_time=at)
            at += round(took * _MILLISECOND)
            span.end(at)

    def end(self, exchange: Exchange, status: int) -> None:
        """Say what came of it."""
        told: dict[str, AttributeValue] = {
            "http.request.method": "POST",
            "http.route": "/cds-services/{id}",
            "http.response.status_code": status,
            "cds.request_id": exchange.request_id,
            "cds.service": exchange.service,
            "cds.hook": SERVICES.get(exchange.service, ""),
            "cds.client": exchange.client,
            "cds.outcome": exchange.outcome,
            "cds.decision": exchange.decision,
            "cds.protocol": exchange.protocol,
            "cds.rules": exchange.rules,
        }
        self._span.set_attributes({name: value for name, value in told.items() if value})
        if status >= _FAULT:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class FetchSpan:
    """A request to a FHIR server as a span."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self.headers: dict[str, str] = {}
        _W3C.inject(self.headers, set_span_in_context(span, Context()))

    def end(self, outcome: str) -> None:
        """Say what came of it; what was said first holds."""
        if not self._span.is_recording():
            return
        self._span.set_attribute("cds.outcome", outcome)
        if outcome != FETCHED:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()
