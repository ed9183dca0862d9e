"""A hospital's own codes: added in one file, checked at the start, and asked for with the prefetch queries."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from cds.terminology import load_terminology, terminology_with
from hooks.app import create_app
from hooks.service_settings import service_settings
from hooks.settings import Settings, SettingsError
from hooks.wire import encode
from tests.support.fixtures import REQUESTS, load

LABORATORY, PHARMACY = "https://hospital.example/laboratory", "https://hospital.example/pharmacy"
FILE = f"""
systems:
  our-laboratory: {LABORATORY}
  our-pharmacy: {PHARMACY}
observations:
  anc: {{our-laboratory: {{NEUT: Neutrophils absolute}}}}
conditions:
  vte: {{our-laboratory: {{DVT-1: Leg vein thrombosis}}}}
procedures:
  surgery: {{our-laboratory: {{OP-1: Operation}}}}
drugs:
  aspirin: {{our-pharmacy: {{A81: Aspirin 81 mg}}}}
"""
Json = dict[str, Any]


def settings_with(text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    file = tmp_path / "codes.yaml"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    monkeypatch.setenv("CDS_LOCAL_CODES", str(file))
    return service_settings()


def answered(request: Json, settings: Settings) -> Json:
    client = create_app(settings).test_client()
    answer = client.post("/cds-services/lenalidomide-order-sign", data=encode(request), content_type="application/json")
    assert answer.status_code == 200
    body: Json = json.loads(answer.data)
    return body


def recoded(request: Json, code: str, system: str, local: str) -> Json:
    """The request with one standard code replaced by a local one, and no words beside it."""

    def changed(node: Any) -> Any:
        if isinstance(node, dict):
            if any(isinstance(item, dict) and item.get("code") == code for item in node.get("coding") or []):
                return {"coding": [{"system": system, "code": local}]}
            return {key: changed(value) for key, value in node.items()}
        return [changed(item) for item in node] if isinstance(node, list) else node

    found: Json = changed(request)
    assert found != request
    return found


@pytest.mark.parametrize(
    ("code", "system", "local", "missed"),
    [
        ("751-8", LABORATORY, "NEUT", "Blood count needed"),
        ("243670", PHARMACY, "A81", "No thrombosis prophylaxis"),
    ],
)
def test_a_local_code_is_read_like_ours(
    code: str, system: str, local: str, missed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = recoded(load(REQUESTS / "order-sign-clean-renewal.json"), code, system, local)
    assert missed in str(answered(request, Settings())["cards"])
    assert answered(request, settings_with(FILE, tmp_path, monkeypatch))["cards"] == []


def test_local_codes_of_diagnoses_and_procedures_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = load(REQUESTS / "order-sign-untreated-thrombosis.json")
    surgery = {
        "resourceType": "Procedure",
        "id": "operation",
        "status": "completed",
        "subject": {"reference": f"Patient/{request['context']['patientId']}"},
        "code": {"coding": [{"system": LABORATORY, "code": "OP-1"}]},
        "performedDateTime": "2024-03-01",
    }
    request["prefetch"]["procedures"]["entry"].append({"resource": surgery})
    settings = dataclasses.replace(settings_with(FILE, tmp_path, monkeypatch), explain=True)
    answer = answered(recoded(request, "128053003", LABORATORY, "DVT-1"), settings)
    (draft,) = answer["extension"]["org.lenalidomide-maintenance.evaluation"]["drafts"]
    assert draft["recommendation"]["reasons"] == ["vte.active-event"]
    assert draft["facts"]["saved"] == {"low": 5, "high": 5}


def test_the_prefetch_queries_ask_for_local_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = create_app(settings_with(FILE, tmp_path, monkeypatch)).test_client()
    services = json.loads(client.get("/cds-services").data)["services"]
    assert f"{LABORATORY}|NEUT" in unquote(services[0]["prefetch"]["counts"])


def test_our_own_terminology_stays_as_it_is() -> None:
    terminology_with({"drugs": {"aspirin": {"rxnorm": {"9999999": "Aspirin of ours"}}}}, "codes.yaml")
    terminology = load_terminology()
    coding = terminology.coding({"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "9999999"})
    assert coding is not None
    assert terminology.drug([coding]) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is missing"),
        ("- x\n", "expected a mapping"),
        ("labs: {anc: {loinc: {751-8: x}}}", "labs: is none of systems, observations"),
        ("systems: [x]", "systems: expected a mapping of names to URIs"),
        ("systems: {loinc: urn:x}", "loinc: is a name that this version uses itself"),
        ("systems: {ours: hospital}", "ours: expected the URI"),
        ("systems: {ours: 'http://loinc.org/'}", "is known already, as loinc"),
        ("systems: {one: 'urn:x', two: 'urn:x/'}", "is known already, as one"),
        ("systems: {ours: urn:x}\ndrugs: {lenalidomide: {ours: {L10: x}}}", "must tell the strength"),
        ("observations: [anc]", "observations: expected a mapping of entries"),
        ("observations: {ancs: {loinc: {1-1: x}}}", "did you mean anc?"),
        ("observations: {anc: [x]}", "expected code systems with their codes"),
        ("observations: {anc: {ours: {1: x}}}", "ours: is no code system of ours"),
        ("observations: {anc: {loinc: [751-8]}}", "expected codes with what they mean"),
        ("observations: {anc: {loinc: {777-3: platelets}}}", "777-3 already means platelets"),
        (
            "systems: {ours: urn:x}\nobservations: {anc: {ours: {1: x}}, platelets: {ours: {1: x}}}",
            "1 already means anc",
        ),
        ("conditions: {vte: {icd-10-cm: {C90.01: x}}}", "C90.01 already means multiple-myeloma"),
        ("drugs: {aspirin: {rxnorm: {342369: x}}}", "342369 already means lenalidomide"),
    ],
)
def test_a_faulty_file_stops_the_start_with_its_reason(
    text: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match="CDS_LOCAL_CODES") as refused:
        settings_with(text, tmp_path, monkeypatch)
    assert said in str(refused.value)


def test_too_many_codes_for_a_query_stop_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = ", ".join(f"NEUT-{number}: neutrophils" for number in range(100))
    many = f"systems: {{ours: {LABORATORY}}}\nobservations: {{anc: {{ours: {{{codes}}}}}}}"
    with pytest.raises(SettingsError, match="query of the prefetch key 'counts'"):
        create_app(settings_with(many, tmp_path, monkeypatch))
