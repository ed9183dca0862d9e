"""The sandbox without a browser: when there is one, what it refuses, and what it makes of every request."""

from __future__ import annotations

import json
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from cds import PROTOCOL_IDS
from hooks.app import create_app
from hooks.sandbox.stories import stories
from hooks.settings import Settings, SettingsError, from_environment
from tests.support.fixtures import INVALID, ODD, service_of
from tests.support.sandbox import sandbox_app

Json = dict[str, Any]
_PANELS = ("banner", "controls", "order", "cards", "why", "protocols", "results", "exchange", "case")
_EXTENSION = "org.lenalidomide-maintenance"


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


# --- When there is one -----------------------------------------------------------------------------------------------


def test_there_is_no_sandbox_unless_it_is_switched_on() -> None:
    assert create_app(Settings()).test_client().get("/sandbox").status_code == 404


def test_it_is_switched_on_by_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_SANDBOX", "1")
    settings = from_environment()
    assert settings.sandbox
    assert settings.explain


def test_it_is_refused_where_clients_are_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clients = tmp_path / "clients.yaml"
    clients.write_text(
        "clients:\n  ehr:\n    issuer: https://ehr.example\n    key_sets: [https://ehr.example/keys]\n",
        encoding="utf-8",
    )
    for setting, value in {
        "CDS_SANDBOX": "1",
        "CDS_CLIENTS": str(clients),
        "CDS_PUBLIC_URL": "https://cds.example",
        "CDS_PSEUDONYM_KEY": "a-secret-of-the-hospital-for-its-patients",
    }.items():
        monkeypatch.setenv(setting, value)
    with pytest.raises(SettingsError, match="CDS_SANDBOX is for trying out"):
        from_environment()


def test_every_page_forbids_scripts_from_elsewhere_and_inline(sandbox: FlaskClient) -> None:
    for path in ("/sandbox", "/sandbox/static/sandbox.js", "/sandbox/stories/renal-decline"):
        policy = sandbox.get(path, buffered=True).headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy


def test_the_page_holds_no_inline_script_style_or_handler_and_names_no_other_host(sandbox: FlaskClient) -> None:
    page = sandbox.get("/sandbox").text
    assert "<script>" not in page
    assert " style=" not in page
    assert " on" not in "".join(part.split(">")[0] for part in page.split("<")).replace(' on"', "")
    assert "//" not in page.replace("<!doctype html>", "")


def test_there_are_at_least_24_patients_and_each_can_be_picked(sandbox: FlaskClient) -> None:
    page = unescape(sandbox.get("/sandbox").text)
    assert len(stories()) >= 24
    for one in stories().values():
        assert f'data-story="{one.id}"' in page
        assert one.title in page


def test_an_unknown_patient_is_not_found(sandbox: FlaskClient) -> None:
    assert sandbox.get("/sandbox/stories/nobody").status_code == 404


# --- What is drawn ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", stories())
def test_every_patient_is_drawn_on_every_panel(sandbox: FlaskClient, name: str) -> None:
    drawn = view(sandbox, story(sandbox, name), *_PANELS)
    assert drawn["timeline"] is not None
    assert all("refused" not in html for html in drawn["panels"].values())
    assert all(protocol in drawn["panels"]["protocols"] for protocol in PROTOCOL_IDS)


@pytest.mark.parametrize("file", sorted([*ODD.iterdir(), *INVALID.iterdir()]), ids=lambda file: file.name)
def test_what_a_record_system_may_send_is_drawn_or_told_and_never_a_fault(sandbox: FlaskClient, file: Path) -> None:
    text = file.read_bytes().decode("utf-8", "replace")
    exchange = sent(sandbox, text)
    drawn = post(sandbox, "view", {**exchange, "panels": [*_PANELS, "lint"]})
    assert set(drawn["panels"]) == {*_PANELS, "lint"}
    if exchange["status"] != 200:
        assert "Refused with status" in drawn["panels"]["cards"]
        assert drawn["timeline"] is None


def test_what_stands_in_the_request_is_text_on_every_panel(sandbox: FlaskClient) -> None:
    text = story(sandbox, "first-neutropenia")
    evil = '<img src=x onerror=\\"alert(1)\\">'
    text = text.replace('"Edda"', f'"{evil}"').replace("Neutrophils [#/volume] in Blood by Automated count", evil)
    text = text.replace("10*3/uL", evil).replace("anc-05", "a<b>c")
    for html in view(sandbox, text, *_PANELS, "lint")["panels"].values():
        assert "<img" not in html
        assert "<b>c" not in html


def test_a_finding_is_drawn_with_its_facts_its_limit_its_source_and_its_place(sandbox: FlaskClient) -> None:
    why = unescape(view(sandbox, story(sandbox, "first-neutropenia"), "why")["panels"]["why"])
    for told in ("Observation/anc-05", "0.4 ×10⁹/L", "20 Nov 2024", "below 0.5 ×10⁹/L", "Revlimid US label", "Table"):
        assert told in why, told
    assert "on a card" in why
    assert "not shown" in why


def test_what_failed_is_told_as_not_known(sandbox: FlaskClient) -> None:
    why = unescape(view(sandbox, story(sandbox, "laboratory-outage"), "why")["panels"]["why"])
    assert "Not known:" in why
    assert "supplied only in part" in why


def test_the_picture_has_the_limits_of_the_protocol_the_doses_and_the_drops(sandbox: FlaskClient) -> None:
    drawn = view(sandbox, story(sandbox, "second-neutropenia"))["timeline"]
    neutrophils, platelets, clearance = drawn["panels"]
    assert [line["value"] for line in neutrophils["lines"]] == [0.5]
    assert [line["value"] for line in platelets["lines"]] == [30]
    assert [line["value"] for line in clearance["lines"]] == [60, 30]
    assert [point["low"] for point in neutrophils["points"]].count(True) == 2
    assert len(drawn["episodes"]) == 2
    assert len(drawn["holds"]) == 1
    assert {dose["mg"] for dose in drawn["doses"]} == {10, 5}
    assert drawn["doses"][-1]["state"] == "draft"
    assert [mark["kind"] for mark in drawn["marks"]] == ["transplant"]


def test_the_picture_marks_pregnancy_tests(sandbox: FlaskClient) -> None:
    marks = view(sandbox, story(sandbox, "test-lapsed"))["timeline"]["marks"]
    assert {mark["kind"] for mark in marks} >= {"test-negative"}


# --- What is changed -------------------------------------------------------------------------------------------------


def test_a_strength_is_written_with_its_product_its_dose_and_its_quantity(sandbox: FlaskClient) -> None:
    text = story(sandbox, "renal-decline")
    change = {
        "kind": "draft",
        "order": "MedicationRequest/draft-1",
        "strength": "5",
        "schedule": "21",
        "days": "28",
    }
    made = json.loads(edit(sandbox, text, {**change, "start": "2024-09-11"}))
    (entry,) = made["context"]["draftOrders"]["entry"]
    order = entry["resource"]
    assert "5 MG" in order["medicationCodeableConcept"]["text"]
    assert order["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["value"] == 5
    assert order["dosageInstruction"][0]["timing"]["repeat"]["boundsPeriod"] == {
        "start": "2024-09-11",
        "end": "2024-10-01",
    }
    assert order["dispenseRequest"]["quantity"]["value"] == 21


@pytest.mark.parametrize(
    ("field", "value"),
    [("strength", "12"), ("strength", "0"), ("strength", "NaN"), ("strength", "ten"), ("days", "-1"),
     ("days", "1e9"), ("schedule", "14"), ("start", "soon"), ("order", "MedicationRequest/none")],
)  # fmt: skip
def test_an_order_that_cannot_be_written_is_refused_by_its_field(sandbox: FlaskClient, field: str, value: str) -> None:
    change = {
        "kind": "draft",
        "order": "MedicationRequest/draft-1",
        "strength": "5",
        "schedule": "28",
        "days": "28",
    }
    assert refused(sandbox, story(sandbox, "renal-decline"), {**change, field: value}).startswith(f"{field}: ")


def test_a_result_keeps_its_unit_its_time_of_day_and_its_exact_number(sandbox: FlaskClient) -> None:
    text = story(sandbox, "first-neutropenia")
    change = {"kind": "result", "place": "counts/0", "value": "0,450", "date": "2024-11-19"}
    made = edit(sandbox, text, change)
    resource = json.loads(made)["prefetch"]["counts"]["entry"][0]["resource"]
    assert resource["valueQuantity"]["unit"] == "10*3/uL"
    assert resource["effectiveDateTime"] == "2024-11-19T06:50:00+00:00"
    assert '"value": 0.450' in made
    assert cards(sandbox, made)[0].startswith("Hold lenalidomide: ANC 0.45 ×10⁹/L (19 Nov)")


def test_a_negative_pregnancy_test_can_be_made_a_positive_one(sandbox: FlaskClient) -> None:
    text = story(sandbox, "test-lapsed")
    keys = json.loads(text)["prefetch"]["pregnancy"]["entry"]
    place = next(f"pregnancy/{at}" for at, entry in enumerate(keys) if "valueCodeableConcept" in entry["resource"])
    made = edit(sandbox, text, {"kind": "result", "place": place, "answer": "positive"})
    assert "positive" in cards(sandbox, made)[0]
    assert "unclear" in refused(sandbox, text, {"kind": "result", "place": place, "answer": "unclear"})


def test_nothing_but_what_was_changed_is_changed(sandbox: FlaskClient) -> None:
    text = story(sandbox, "first-neutropenia")
    made = edit(sandbox, text, {"kind": "result", "place": "counts/0", "value": "0.3"})
    before, after = text.splitlines(), made.splitlines()
    assert [pair for pair in zip(before, after, strict=True) if pair[0].rstrip() != pair[1].rstrip()] == [
        ('       "value": 0.4,', '       "value": 0.3,')
    ]


@pytest.mark.parametrize("hook", ["order-select", "order-sign", "patient-view"])
def test_a_hook_is_called_with_the_context_it_has(sandbox: FlaskClient, hook: str) -> None:
    change = {"kind": "circumstances", "hook": hook, "protocol": "", "profile": "base"}
    made = json.loads(edit(sandbox, story(sandbox, "renal-decline"), change))
    assert made["hook"] == hook
    assert ("draftOrders" in made["context"]) is (hook != "patient-view")
    assert made["context"].get("selections") == (["MedicationRequest/draft-1"] if hook == "order-select" else None)
    assert sent(sandbox, json.dumps(made))["status"] == 200


def test_an_order_is_drafted_where_the_chart_had_none(sandbox: FlaskClient) -> None:
    change = {"kind": "circumstances", "hook": "order-sign", "protocol": "", "profile": "base"}
    made = json.loads(edit(sandbox, story(sandbox, "old-creatinine"), change))
    (entry,) = made["context"]["draftOrders"]["entry"]
    assert entry["resource"]["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["value"] == 10
    assert sent(sandbox, json.dumps(made))["status"] == 200


def test_protocol_profile_and_now_stand_in_the_extension(sandbox: FlaskClient) -> None:
    change = {
        "kind": "circumstances",
        "hook": "order-sign",
        "protocol": "mskcc",
        "profile": "epic",
        "now": "2024-11-21T08:00",
    }
    made = json.loads(edit(sandbox, story(sandbox, "first-neutropenia"), change))
    assert made["extension"] == {
        f"{_EXTENSION}.protocol": "mskcc",
        f"{_EXTENSION}.card-profile": "epic",
        f"{_EXTENSION}.now": "2024-11-21T08:00:00+00:00",
    }
    answered = json.loads(sent(sandbox, json.dumps(made))["response"])
    assert answered["extension"][f"{_EXTENSION}.evaluation"]["protocol"]["id"] == "mskcc"


@pytest.mark.parametrize(
    ("field", "value"), [("hook", "order-gone"), ("protocol", "x"), ("profile", "x"), ("now", "x")]
)
def test_circumstances_that_do_not_exist_are_refused(sandbox: FlaskClient, field: str, value: str) -> None:
    change = {"kind": "circumstances", "hook": "order-sign", "protocol": "", "profile": "base", field: value}
    assert value in refused(sandbox, story(sandbox, "first-neutropenia"), change)


@pytest.mark.parametrize("name", stories())
def test_every_suggestion_can_be_accepted_and_the_order_judged_again(sandbox: FlaskClient, name: str) -> None:
    exchange = sent(sandbox, story(sandbox, name))
    for card in json.loads(exchange["response"])["cards"]:
        for suggestion in card.get("suggestions", []):
            change = {"kind": "accept", "card": card["uuid"], "suggestion": suggestion["uuid"]}
            made = post(sandbox, "edit", {**exchange, "change": change})["request"]
            assert sent(sandbox, made)["status"] == 200, suggestion["label"]


def test_a_suggestion_that_was_not_made_cannot_be_accepted(sandbox: FlaskClient) -> None:
    assert "is not one of the response's" in refused(
        sandbox, story(sandbox, "renal-decline"), {"kind": "accept", "card": "x", "suggestion": "y"}
    )


@pytest.mark.parametrize("body", ["", "[]", "null", '{"request": 1}', '{"change": {}}', "{"])
@pytest.mark.parametrize("path", ["open", "edit", "view"])
def test_what_the_page_would_never_send_is_refused_by_its_field(sandbox: FlaskClient, path: str, body: str) -> None:
    response = sandbox.post(f"/sandbox/{path}", data=body)
    assert response.status_code == 400
    assert json.loads(response.text)["resourceType"] == "OperationOutcome"


def test_a_profile_of_the_request_is_refused_outside_open_mode(tmp_path: Path) -> None:
    app = sandbox_app(tmp_path)
    request = json.loads(story(app.test_client(), "renal-decline"))
    request["extension"][f"{_EXTENSION}.card-profile"] = "fancy"
    response = app.test_client().post(f"/cds-services/{service_of(request['hook'])}", json=request)
    app.extensions["service"].close()
    assert response.status_code == 422
    assert "card-profile" in response.text
