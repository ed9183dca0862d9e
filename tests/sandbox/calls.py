"""Calls of the sandbox's own pages, as its page makes them."""

from __future__ import annotations

import json
from typing import Any

from flask.testing import FlaskClient

EXTENSION = "org.lenalidomide-maintenance"
Json = dict[str, Any]
PANELS = ("banner", "controls", "order", "cards", "why", "protocols", "results", "exchange", "case")


def post(sandbox: FlaskClient, path: str, body: object, expected: int = 200) -> Json:
    response = sandbox.post(f"/sandbox/{path}", json=body)
    assert response.status_code == expected, response.text
    answered: Json = json.loads(response.text)
    return answered


def story(sandbox: FlaskClient, name: str) -> str:
    response = sandbox.get(f"/sandbox/stories/{name}")
    text: str = json.loads(response.text)["request"]
    return text


def sent(sandbox: FlaskClient, text: str) -> Json:
    """The exchange with the service, as the page tells of it."""
    service = post(sandbox, "open", {"text": text})["service"]
    response = sandbox.post(f"/cds-services/{service}", data=text, content_type="application/json")
    stages = response.headers.get("Server-Timing", "")
    return {"request": text, "response": response.text, "status": response.status_code, "stages": stages}


def view(sandbox: FlaskClient, text: str, *panels: str) -> Json:
    return post(sandbox, "view", {**sent(sandbox, text), "panels": list(panels)})


def edit(sandbox: FlaskClient, text: str, change: Json) -> str:
    made: str = post(sandbox, "edit", {**sent(sandbox, text), "change": change})["request"]
    return made


def refused(sandbox: FlaskClient, text: str, change: Json) -> str:
    outcome = post(sandbox, "edit", {**sent(sandbox, text), "change": change}, 422)
    told: str = outcome["issue"][0]["diagnostics"]
    return told


def cards(sandbox: FlaskClient, text: str) -> list[str]:
    return [card["summary"] for card in json.loads(sent(sandbox, text)["response"])["cards"]]
