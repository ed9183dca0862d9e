"""The sandbox over HTTP: its page, its patients, and what it asks while somebody works with it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from gzip import compress
from http import HTTPStatus
from itertools import groupby
from typing import Any, TypeVar

from flask import Blueprint, Response, render_template, request

from hooks.problems import MalformedError, NotFoundError, Problem
from hooks.sandbox.drawing import add_filters, drawn
from hooks.sandbox.edits import edited
from hooks.sandbox.opening import opened
from hooks.sandbox.scene import Exchange, Scene, service_for
from hooks.sandbox.stories import stories
from hooks.sandbox.timeline import timeline
from hooks.service import Service
from hooks.wire import Json, decode, encode, encode_for_reading

# Nothing is loaded from elsewhere, and nothing that stands in a page is run.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_KINDS: Mapping[type, str] = {str: "a string", int: "a whole number", list: "a list", dict: "an object"}
_Kind = TypeVar("_Kind")
_QUICKLY = 5  # of gzip's nine levels


def sandbox(service: Service) -> Blueprint:
    """The pages below ``/sandbox``, of which each answers for what it is sent alone: nothing is kept."""
    pages = Blueprint("sandbox", __name__, "static", url_prefix="/sandbox", template_folder="templates")
    add_filters(pages)

    @pages.get("")
    def page() -> str:
        grouped = [(group, list(of)) for group, of in groupby(stories().values(), key=lambda story: story.group)]
        return render_template("sandbox/page.html", groups=grouped, first=next(iter(stories())))

    @pages.get("/stories/<name>")
    def story(name: str) -> Response:
        if name not in stories():
            raise NotFoundError("", f"no story '{name[:40]}'")
        return _json({"request": stories()[name].text(), "service": service_for(decode(stories()[name].text()))})

    @pages.post("/open")
    def take() -> Response:
        text = opened(_of(str, _asked(), "text"), service.settings.client, datetime.now(UTC))
        return _json({"request": text, "service": _service_of(text)})

    @pages.post("/edit")
    def change() -> Response:
        asked = _asked()
        text = encode_for_reading(edited(_scene(asked, service), _of(dict, asked, "change")))
        return _json({"request": text, "service": _service_of(text)})

    @pages.post("/view")
    def view() -> Response:
        asked = _asked()
        scene, wanted = _scene(asked, service), [str(name) for name in _of(list, asked, "panels")]
        panels = {name: drawn(name, scene) for name in wanted}
        return _json({"panels": panels, "timeline": _timeline(scene) if "cards" in wanted else None})

    @pages.after_request
    def guard(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return _packed(response)

    return pages


def _scene(asked: Mapping[str, Any], service: Service) -> Scene:
    """The exchange that a page tells of."""
    exchange = Exchange(
        _of(str, asked, "request"),
        _of(str, asked, "response", ""),
        _of(int, asked, "status", 0),
        _of(str, asked, "stages", ""),
        _of(dict, asked, "overridden", {}),
        frozenset(map(str, _of(list, asked, "accepted", []))),
    )
    answered = decode(exchange.response or "{}")
    shown = answered if isinstance(answered, dict) else {}
    client, now = service.settings.client, datetime.now(UTC)
    try:
        document = decode(exchange.request)
        if not isinstance(document, dict):
            raise MalformedError("body", "expected a JSON object")
        client, now = service.circumstances(document, client, now)
    except Problem as problem:
        return Scene(exchange, {}, {}, shown, client, now, problem)
    return Scene(exchange, document, service.completed(document, client, now), shown, client, now)


def _timeline(scene: Scene) -> Json | None:
    try:
        return timeline(scene.case, scene.answer)
    except Problem:
        return None


def _service_of(text: str) -> str:
    """The endpoint for a request as text; of one that is no JSON the service will say what is wrong."""
    try:
        return service_for(decode(text))
    except Problem:
        return service_for(None)


def _asked() -> Mapping[str, Any]:
    asked = decode(request.get_data(cache=False))
    if not isinstance(asked, dict):
        raise MalformedError("body", "expected a JSON object")
    return asked


def _of(kind: type[_Kind], asked: Mapping[str, Any], name: str, otherwise: _Kind | None = None) -> _Kind:
    """A member of what a page sends. Raises MalformedError for one that is missing or of another kind."""
    value = asked.get(name, otherwise)
    if not isinstance(value, kind):
        raise MalformedError(name, f"expected {_KINDS[kind]}")
    return value


def _json(document: Json) -> Response:
    return Response(encode(document), content_type="application/json; charset=utf-8")


def _packed(response: Response) -> Response:
    """Gzipped for a browser that takes it: a patient's whole request is a long text. Files go as they are."""
    if response.direct_passthrough:
        return response
    response.vary.add("Accept-Encoding")
    if response.status_code == HTTPStatus.OK and request.accept_encodings["gzip"]:
        response.set_data(compress(response.get_data(), _QUICKLY))
        response.headers["Content-Encoding"] = "gzip"
    return response
