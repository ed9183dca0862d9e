"""Around the application: each exchange has an id, each hook call a line in the log, its metrics and its trace."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from hooks.exchange import Exchange, Harmless
from hooks.health import OTHER
from hooks.metrics import FAULT, REFUSED
from hooks.service import SERVICES_PATH, Service
from hooks.wire import SERVICES

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

REQUEST_ID = "X-Request-Id"
_WELL_FORMED = re.compile(r"[A-Za-z0-9._~+/=:-]{1,128}")
_HOOK_CALL = re.compile(rf"{SERVICES_PATH}/([^/]+)/?")
_OK, _ERROR = 200, 500
_log = logging.getLogger("lenalidomide_cds")


class Observed:
    """A WSGI application under observation."""

    def __init__(self, application: WSGIApplication, service: Service) -> None:
        self._application, self._service = application, service

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        began, status = perf_counter(), _ERROR

        def start(line: str, headers: list[tuple[str, str]], fault: Any = None) -> Any:
            nonlocal status
            status = int(line.partition(" ")[0])
            return start_response(line, [*headers, (REQUEST_ID, exchange.request_id)], fault)

        with Exchange(_request_id(environ), _service_called(environ)) as exchange:
            if not exchange.service:
                return self._application(environ, start)
            with Harmless():
                self._began(exchange, environ)
            try:
                return self._application(environ, start)
            finally:
                with Harmless():
                    self._ended(exchange, status, perf_counter() - began)

    def _began(self, exchange: Exchange, environ: WSGIEnvironment) -> None:
        if self._service.tracing is not None:
            exchange.trace = self._service.tracing.begin(exchange.service, _trace_context(environ))

    def _ended(self, exchange: Exchange, status: int, seconds: float) -> None:
        if status != _OK:
            exchange.outcome = REFUSED if status < _ERROR else FAULT
        self._service.metrics.called(exchange.service, exchange.outcome, seconds)
        told = {
            "service": exchange.service,
            "status": status,
            "outcome": exchange.outcome,
            "milliseconds": round(seconds * 1000, 3),
            "client": exchange.client,
            "decision": exchange.decision,
        }
        _log.info("hook call", extra={"fields": told})
        if exchange.trace is not None:
            exchange.trace.end(exchange, status)


def _request_id(environ: WSGIEnvironment) -> str:
    """The caller's own, if it may stand in a header and a line of the log; else a new one."""
    named = environ.get("HTTP_X_REQUEST_ID", "")
    return named if _WELL_FORMED.fullmatch(named) else str(uuid4())


def _service_called(environ: WSGIEnvironment) -> str:
    """The service that a hook is called of; empty for any other page."""
    called = _HOOK_CALL.fullmatch(environ["PATH_INFO"]) if environ["REQUEST_METHOD"] == "POST" else None
    if called is None:
        return ""
    return called[1] if called[1] in SERVICES else OTHER


def _trace_context(environ: WSGIEnvironment) -> dict[str, str]:
    """The headers by which a caller names the trace that it is part of (W3C Trace Context)."""
    return {name: environ.get(f"HTTP_{name.upper()}", "") for name in ("traceparent", "tracestate")}
