"""The bundled requests, and the service to which they are posted."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from hooks.app import create_app
from hooks.settings import Settings

Json = dict[str, Any]

REQUESTS = Path(__file__).parents[2] / "fhir_fixtures" / "requests"
ODD = REQUESTS / "odd"
INVALID = REQUESTS / "invalid"
EVALUATION = "org.lenalidomide-maintenance.evaluation"


def load(path: Path) -> Json:
    request: Json = json.loads(path.read_text(encoding="utf-8"))
    return request


@cache
def client() -> FlaskClient:
    """The service as it runs open on loopback, explaining its answers."""
    return create_app(Settings(explain=True)).test_client()


def service_of(hook: object) -> str:
    return (
        f"lenalidomide-{hook}" if hook in {"order-select", "order-sign", "patient-view"} else "lenalidomide-order-sign"
    )


def post_text(body: str | bytes, service: str) -> tuple[int, str]:
    """Status and body of one call."""
    response = client().post(f"/cds-services/{service}", data=body, content_type="application/json")
    return response.status_code, response.get_data(as_text=True)


def ask(body: str | bytes, service: str) -> Json:
    """The answer to a request that must be answered."""
    status, text = post_text(body, service)
    assert status == 200, f"{status}: {text}"
    answer: Json = json.loads(text)
    return answer


def explanation(answer: Json) -> Json:
    evaluation: Json = answer["extension"][EVALUATION]
    return evaluation


def action(answer: Json, draft: int = 0) -> str:
    """``modify 10/28``: what is recommended for a draft, with its level where it has one."""
    recommendation = explanation(answer)["drafts"][draft]["recommendation"]
    level = recommendation["level"]
    return (
        f"{recommendation['action']} {level['dose_mg']:g}/{level['schedule_days']}"
        if level
        else str(recommendation["action"])
    )


def fired(answer: Json, draft: int = 0) -> set[str]:
    findings = explanation(answer)["drafts"][draft]["findings"]
    return {finding["id"] for finding in findings if finding["outcome"] == "fired"}


def unread(answer: Json) -> dict[str, str]:
    """Why each resource that could not be used was not, by reference."""
    return {item["reference"]: item["why"] for item in explanation(answer)["unread"]}
