"""The HTTP edge: a thin Flask application over ``answer``."""

from __future__ import annotations

import logging
from datetime import datetime

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from cds import load_protocols
from cds.terminology import load_terminology
from hooks.answering import answered
from hooks.discovery import discovery
from hooks.now import now_named_by, parse_now, refuse_now
from hooks.problems import (
    FaultError,
    MalformedError,
    NotAllowedError,
    NotFoundError,
    Problem,
    TooLargeError,
    operation_outcome,
)
from hooks.settings import Settings
from hooks.wire import SERVICES, decode, encode

_log = logging.getLogger("lenalidomide_cds")


def create_app(settings: Settings) -> Flask:
    """The WSGI application. All knowledge is read here, so that a faulty file stops the start and not an answer."""
    load_protocols()
    services = encode(discovery(settings.client.terminology or load_terminology()))
    app = Flask("hooks", static_folder=None)
    app.url_map.strict_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = settings.body_limit

    @app.get("/cds-services")
    def list_services() -> Response:
        return _json(services)

    @app.post("/cds-services/<service>")
    def call_service(service: str) -> Response:
        if service not in SERVICES:
            raise NotFoundError("", f"no service '{service[:40]}'; there are {', '.join(SERVICES)}")
        document = decode(request.get_data(cache=False))
        if not isinstance(document, dict):
            raise MalformedError("body", "expected a JSON object")
        called = answered(
            document,
            now=_now(document, settings),
            explain=settings.explain,
            service=service,
            client=settings.client,
        )
        for fault in called.faults:
            _log.error("%s", fault)
        return _no_store(_json(encode(called.response)))

    @app.get("/healthz")
    def alive() -> Response:
        return _json('{"status":"ok"}')

    @app.get("/readyz")
    def ready() -> Response:
        return _json('{"status":"ready"}')

    @app.errorhandler(Exception)
    def refused(error: Exception) -> Response:
        return _refusal(error, settings)

    return app


def _now(document: dict[str, object], settings: Settings) -> datetime:
    named = now_named_by(document)
    if named is not None and not settings.open_mode:
        refuse_now()
    return parse_now(named, settings.time_zone) if named is not None else datetime.now(settings.time_zone)


def _refusal(error: Exception, settings: Settings) -> Response:
    problem = _problem(error, settings)
    if isinstance(problem, FaultError):
        _log.error("fault in %s", request.path, exc_info=error)
    response = _no_store(_json(encode(operation_outcome(problem)), problem.status))
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    return response


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
