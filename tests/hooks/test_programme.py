"""Evidence of the pregnancy-prevention programme: shown by the record in the places that count, and never inferred."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hooks.app import create_app
from hooks.service_settings import service_settings
from hooks.settings import Settings, SettingsError
from hooks.wire import encode
from tests.support.women import Json, request_of

OWN = "https://ehr.example/rems"
LOCAL = f"identifiers: [{OWN}/patient]\nextensions: [{OWN}/authorisation]\nflags: ['{OWN}|enrolled']\n"
ENROLMENT = "urn:lenalidomide-maintenance:programme-enrolment"


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with a hospital's own places."""
    file = tmp_path / "programme.yaml"
    file.write_text(LOCAL, encoding="utf-8")
    monkeypatch.setenv("CDS_PROGRAMME_EVIDENCE", str(file))
    return service_settings()


def asked_for(request: Json, settings: Settings | None = None) -> bool:
    """Whether the answer says that enrolment is not on record."""
    request["extension"] = {"org.lenalidomide-maintenance.now": "2024-09-04T09:00:00+00:00"}
    client = create_app(settings or Settings()).test_client()
    answer = client.post("/cds-services/lenalidomide-order-sign", data=encode(request), content_type="application/json")
    assert answer.status_code == 200
    return "no enrolment or authorisation on record" in json.dumps(answer.get_json(), ensure_ascii=False)


def without_evidence() -> Json:
    return request_of("programme-not-shown")


def draft(request: Json) -> Json:
    order: Json = request["context"]["draftOrders"]["entry"][0]["resource"]
    return order


def patient(**elements: Any) -> Json:
    request = without_evidence()
    request["prefetch"]["patient"] |= elements
    return request


# --- Places that count ---


@pytest.mark.parametrize(
    "identifier",
    [
        {"system": ENROLMENT, "value": "A-1"},
        {"system": ENROLMENT, "value": "A-1", "use": "official", "period": {"end": "2024-09-04"}},
    ],
)
def test_an_identifier_in_force_shows_enrolment(identifier: Json) -> None:
    assert not asked_for(patient(identifier=[identifier]))


@pytest.mark.parametrize(
    "identifier",
    [
        {"system": ENROLMENT},
        {"system": ENROLMENT, "value": ""},
        {"system": ENROLMENT, "value": "A-1", "use": "old"},
        {"system": ENROLMENT, "value": "A-1", "period": {"end": "2024-09-03"}},
        {"system": "https://ehr.example/mrn", "value": "REMS enrolled"},
        {"value": "A-1"},
        "A-1",
    ],
)
def test_an_identifier_that_is_empty_old_or_something_else_shows_nothing(identifier: object) -> None:
    assert asked_for(patient(identifier=[identifier]))


def test_a_text_about_the_programme_is_no_evidence() -> None:
    request = without_evidence()
    draft(request)["note"] = [{"text": "REMS authorisation A-1"}]
    assert asked_for(request)


@pytest.mark.parametrize("place", ["order", "dispenseRequest"])
def test_an_authorisation_on_the_order_counts(place: str) -> None:
    request = without_evidence()
    holder = draft(request) if place == "order" else draft(request)["dispenseRequest"]
    holder["extension"] = [{"url": "urn:lenalidomide-maintenance:programme-authorisation", "valueString": "A-1"}]
    assert not asked_for(request)


@pytest.mark.parametrize("value", [{}, {"valueString": ""}, {"valueBoolean": False}])
def test_an_extension_that_says_nothing_is_no_evidence(value: Json) -> None:
    request = without_evidence()
    draft(request)["extension"] = [{"url": "urn:lenalidomide-maintenance:programme-authorisation", **value}]
    assert asked_for(request)


@pytest.mark.parametrize(
    ("changes", "missing"),
    [({}, False), ({"status": "inactive"}, True), ({"subject": {"reference": "Patient/patient-2"}}, True)],
)
def test_an_active_flag_of_this_patient_counts(changes: Json, missing: bool) -> None:  # noqa: FBT001 -- a column
    request = request_of("programme-as-a-flag")
    request["prefetch"]["flags"]["entry"][0]["resource"] |= changes
    assert asked_for(request) is missing


# --- A hospital's own places ---


def test_a_hospitals_own_names_are_added(local: Settings) -> None:
    request = patient(identifier=[{"system": f"{OWN}/patient", "value": "A-1"}])

    assert asked_for(request)
    assert not asked_for(request, local)


def test_the_common_names_stay_beside_them(local: Settings) -> None:
    assert not asked_for(patient(identifier=[{"system": ENROLMENT, "value": "A-1"}]), local)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("identifier: [x]\n", "identifier: is none of identifiers, extensions, flags"),
        ("identifiers: x\n", "identifiers: expected a list of texts"),
        ("flags: [enrolled]\n", "'enrolled' is not system|code"),
        ("- x\n", "expected a mapping"),
        ("identifiers: [", "not readable as YAML"),
        (None, "is missing"),
    ],
)
def test_a_faulty_file_stops_the_start_with_its_reason(
    text: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "programme.yaml"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    monkeypatch.setenv("CDS_PROGRAMME_EVIDENCE", str(file))

    with pytest.raises(SettingsError, match="CDS_PROGRAMME_EVIDENCE") as refused:
        service_settings()
    assert said in str(refused.value)
