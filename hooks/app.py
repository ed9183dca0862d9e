"""The HTTP edge: a thin Flask application over ``Service``."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import BinaryIO

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from cds.faults import whereabouts
from hooks.health import Counted, one_line
from hooks.metrics import CONTENT_TYPE
from hooks.observing import REQUEST_ID, Observed
from hooks.problems import (
    FaultError,
    MalformedError,
    NotAllowedError,
    NotFoundError,
    Problem,
    TooLargeError,
    UnauthenticatedError,
    operation_outcome,
)
from hooks.service import SERVICES_PATH, Incoming, Outgoing, Service
from hooks.settings import Settings
from hooks.wire import encode

DECISION_HEADER = "X-Decision-Id"
_log = logging.getLogger("lenalidomide_cds")
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "authorization, content-type",
    "Access-Control-Max-Age": "600",
}


def create_app(settings: Settings) -> Flask:
    """The WSGI application; its ``extensions["service"]`` is to be closed at the end."""
    service = Service(settings)
    app = Flask("hooks", static_folder=None)
    app.extensions["service"] = service
    app.url_map.strict_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = settings.body_limit

    @app.get(SERVICES_PATH)
    def list_services() -> Response:
        return _json(service.discovery(request.headers.get("Authorization")))

    @app.post(f"{SERVICES_PATH}/<name>")
    def call_service(name: str) -> Response:
        return _answered(service.answer(name, _incoming()), timed=settings.explain)

    @app.post(f"{SERVICES_PATH}/<name>/feedback")
    def take_feedback(name: str) -> Response:
        service.feedback(name, _incoming())
        return _no_store(_json("{}"))

    @app.before_request
    def preflight() -> Response | None:
        asked = request.method == "OPTIONS" and request.path.startswith(SERVICES_PATH)
        return Response(status=204, headers=_PREFLIGHT) if asked and request.origin else None

    @app.after_request
    def allow_origin(response: Response) -> Response:
        return _with_origin(response, service)

    @app.errorhandler(Exception)
    def refused(error: Exception) -> Response:
        response = _refusal(error, settings)
        service.health.count(Counted.CALLS_REFUSED, str(response.status_code))
        return response

    _add_pages_for_operators(app, service)
    if settings.sandbox:
        _add_sandbox(app, service)
    app.wsgi_app = Observed(app.wsgi_app, service)  # type: ignore[method-assign] # as Flask's documentation has it
    return app


def _add_pages_for_operators(app: Flask, service: Service) -> None:
    @app.get("/healthz")
    def alive() -> Response:
        return _json('{"status":"ok"}')

    @app.get("/readyz")
    def ready() -> Response:
        # Degraded is still ready: out of rotation, every prescriber would see "all clear".
        return _no_store(_json(encode(service.state())))

    @app.get("/metrics")
    def metrics() -> Response:
        return _no_store(Response(service.exposition(), content_type=CONTENT_TYPE))


def _add_sandbox(app: Flask, service: Service) -> None:
    # Only who asks for the page pays for what draws it.
    from hooks.sandbox.pages import sandbox  # noqa: PLC0415

    app.register_blueprint(sandbox(service))


def _incoming() -> Incoming:
    return Incoming(
        request.headers.get("Authorization"),
        request.headers.get("Content-Encoding"),
        _body(),
        datetime.now(UTC),
    )


def _body() -> bytes:
    """At once: the server has received it whole. Werkzeug's own way takes milliseconds for a megabyte."""
    length = request.content_length
    if length is None:
        return request.get_data(cache=False)
    if length > (request.max_content_length or length):
        raise RequestEntityTooLarge
    stream: BinaryIO = request.environ["wsgi.input"]
    return stream.read(length)


def _answered(outgoing: Outgoing, *, timed: bool) -> Response:
    response = _no_store(_json(outgoing.text))
    response.headers[DECISION_HEADER] = outgoing.decision
    if timed:
        response.headers["Server-Timing"] = ", ".join(f"{stage};dur={took:.2f}" for stage, took in outgoing.stages)
    return response


def _with_origin(response: Response, service: Service) -> Response:
    """Also on errors: a page could not read them otherwise."""
    response.headers.add("Vary", "Origin")
    if request.origin and service.allows_origin(request.origin):
        response.headers["Access-Control-Allow-Origin"] = request.origin
        response.headers["Access-Control-Expose-Headers"] = f"{DECISION_HEADER}, {REQUEST_ID}"
    elif request.method == "OPTIONS":
        for name in _PREFLIGHT:
            response.headers.pop(name, None)
    return response


def _refusal(error: Exception, settings: Settings) -> Response:
    problem = _problem(error, settings)
    _log_refusal(problem, error)
    response = _no_store(_json(encode(operation_outcome(problem)), problem.status))
    if isinstance(problem, UnauthenticatedError):
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    return response


def _log_refusal(problem: Problem, error: Exception) -> None:
    # Not the path: anything may stand in it.
    page = request.url_rule.rule if request.url_rule else "a page that there is not"
    if isinstance(problem, FaultError):
        _log.error("fault in %s: %s", page, whereabouts(error))
    elif isinstance(problem, UnauthenticatedError):
        _log.warning("refused a call of %s: 401 %s", page, problem.reason)
    else:
        _log.info("refused a call of %s: %d %s", page, problem.status, one_line(problem.field) or problem.code)


def _problem(error: Exception, settings: Settings) -> Problem:
    """The problem that an exception at the edge stands for."""
    match error:
        case Problem():
            return error
        case NotFound():
            return NotFoundError("", f"no such page: {request.path[:80]}")
        case MethodNotAllowed():
            return NotAllowedError("", f"{request.method} is not possible here")
        case RequestEntityTooLarge():
            return TooLargeError("body", f"is larger than {settings.body_limit} bytes")
        case HTTPException(code=code) if code is not None and code < FaultError.status:
            return MalformedError("", error.description or "the request cannot be read")
        case _:
            return FaultError("", "the service failed; nothing was checked")


def _json(body: str, status: int = 200) -> Response:
    return Response(body, status, content_type="application/json; charset=utf-8")


def _no_store(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
