"""What is opened on the sandbox page, and what is changed on it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from hooks.sandbox.stories import stories
from tests.sandbox.calls import EXTENSION, Json, cards, edit, post, refused, sent, story, view

_HOLLOW = {"resourceType": "Bundle", "entry": [None, {"resource": None}, 1]}

# --- What is opened --------------------------------------------------------------------------------------------------


def bundle(*entries: Json, **members: Any) -> str:
    patient = {
        "fullUrl": "urn:uuid:1111",
        "resource": {"resourceType": "Patient", "id": "p", "birthDate": "1960-01-01"},
    }
    return json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": [patient, *entries], **members})


def test_a_kind_that_a_bundle_does_not_hold_is_not_supplied_and_never_empty(sandbox: FlaskClient) -> None:
    opened = post(sandbox, "open", {"text": bundle()})["request"]
    supplied = json.loads(sent(sandbox, opened)["response"])["extension"][f"{EXTENSION}.evaluation"]["supplied"]
    assert supplied["Patient"] == "supplied"
    assert {state for kind, state in supplied.items() if kind != "Patient"} == {"not supplied"}


def test_a_bundle_that_is_one_page_of_several_says_so(sandbox: FlaskClient) -> None:
    opened = post(
        sandbox, "open", {"text": bundle(total=500, link=[{"relation": "next", "url": "https://ehr.example/2"}])}
    )
    supplied = json.loads(sent(sandbox, opened["request"])["response"])["extension"][f"{EXTENSION}.evaluation"][
        "supplied"
    ]
    assert supplied["Patient"] == "supplied only in part"


def test_references_by_the_full_url_of_a_bundle_are_understood(sandbox: FlaskClient) -> None:
    code = {"coding": [{"system": "http://loinc.org", "code": "751-8"}]}
    quantity = {"value": 2.4, "unit": "10*9/L", "system": "http://unitsofmeasure.org", "code": "10*9/L"}
    count = {"resourceType": "Observation", "id": "o", "status": "final", "code": code, "valueQuantity": quantity}
    dated = {**count, "effectiveDateTime": "2024-05-15", "subject": {"reference": "urn:uuid:1111"}}
    opened = post(sandbox, "open", {"text": bundle({"resource": dated})})["request"]
    assert "anc 2.4" in view(sandbox, opened, "results")["panels"]["results"]


# --- What is changed -------------------------------------------------------------------------------------------------


def test_a_strength_is_written_with_its_product_its_dose_and_its_quantity(sandbox: FlaskClient) -> None:
    text = story(sandbox, "renal-decline")
    change = {
        "kind": "draft",
        "place": "draftOrders/0",
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
    [("days", "0.5"), ("days", "28.9"), ("days", ""), ("start", ""), ("start", "9999-12-31"),
     ("strength", ""), ("strength", "12"), ("strength", "0"), ("strength", "NaN"), ("strength", "ten"), ("days", "-1"),
     ("days", "1e9"), ("schedule", "14"), ("start", "soon"), ("place", "draftOrders/7")],
)  # fmt: skip
def test_an_order_that_cannot_be_written_is_refused_by_its_field(sandbox: FlaskClient, field: str, value: str) -> None:
    change = {
        "kind": "draft",
        "place": "draftOrders/0",
        "strength": "5",
        "schedule": "28",
        "days": "28",
    }
    assert refused(sandbox, story(sandbox, "renal-decline"), {**change, field: value}).startswith(f"{field}: ")


def test_what_is_not_changed_of_an_order_stays(sandbox: FlaskClient) -> None:
    request = json.loads(story(sandbox, "renal-decline"))
    order = request["context"]["draftOrders"]["entry"][0]["resource"]
    order["dosageInstruction"][0]["timing"]["repeat"]["boundsPeriod"] = {"start": "2024-09-04", "end": "2024-10-01"}
    made = json.loads(edit(sandbox, json.dumps(request), {"kind": "draft", "place": "draftOrders/0", "strength": "15"}))
    changed = made["context"]["draftOrders"]["entry"][0]["resource"]
    assert changed["dosageInstruction"][0]["timing"] == order["dosageInstruction"][0]["timing"]
    assert changed["dispenseRequest"] == order["dispenseRequest"]


def test_every_other_day_is_written_so_that_it_is_read_as_that(sandbox: FlaskClient) -> None:
    change = {"kind": "draft", "place": "draftOrders/0", "schedule": "qod"}
    made = edit(sandbox, story(sandbox, "renal-decline"), change)
    order = json.loads(made)["context"]["draftOrders"]["entry"][0]["resource"]
    assert order["dosageInstruction"][0]["timing"]["repeat"]["period"] == 2
    assert order["dispenseRequest"]["quantity"]["value"] == 14
    assert '<option value="qod" selected>' in view(sandbox, made, "order")["panels"]["order"]


def test_of_two_drafts_with_one_id_the_one_is_changed_that_was_meant(sandbox: FlaskClient) -> None:
    request = json.loads(story(sandbox, "two-drafts"))
    entries = request["context"]["draftOrders"]["entry"]
    for entry in entries:
        entry["resource"]["id"] = "same"
    made = json.loads(edit(sandbox, json.dumps(request), {"kind": "draft", "place": "draftOrders/1", "strength": "25"}))
    before, after = (
        [entry["resource"]["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["value"] for entry in listed]
        for listed in (entries, made["context"]["draftOrders"]["entry"])
    )
    assert after == [before[0], 25]


def test_a_schedule_that_is_not_told_is_asked_for_and_not_invented(sandbox: FlaskClient) -> None:
    request = json.loads(story(sandbox, "renal-decline"))
    order = request["context"]["draftOrders"]["entry"][0]["resource"]
    order["dosageInstruction"][0]["timing"]["repeat"] = {"boundsPeriod": {"start": "2024-09-04", "end": "2024-09-10"}}
    text = json.dumps(request)
    assert '<option value="" selected>choose</option>' in view(sandbox, text, "order")["panels"]["order"]
    change = {"kind": "draft", "place": "draftOrders/0", "strength": "5"}
    assert refused(sandbox, text, change).startswith("schedule: is not told")
    assert edit(sandbox, text, {**change, "schedule": "28"})


def test_another_protocol_leaves_the_selections_as_they_are(sandbox: FlaskClient) -> None:
    request = json.loads(story(sandbox, "two-drafts"))
    request |= {"hook": "order-select"}
    request["context"]["selections"] = ["MedicationRequest/draft-1"]
    made = json.loads(edit(sandbox, json.dumps(request), {"kind": "circumstances", "protocol": "mskcc"}))
    assert made["context"]["selections"] == ["MedicationRequest/draft-1"]
    assert set(made["extension"]) - set(request["extension"]) == {f"{EXTENSION}.protocol"}


def test_a_bound_is_shown_and_can_be_written(sandbox: FlaskClient) -> None:
    made = edit(sandbox, story(sandbox, "first-neutropenia"), {"kind": "result", "place": "counts/0", "value": "<0.3"})
    resource = json.loads(made)["prefetch"]["counts"]["entry"][0]["resource"]
    assert (resource["valueQuantity"]["comparator"], resource["valueQuantity"]["value"]) == ("<", 0.3)
    assert 'value="&lt;0.3"' in view(sandbox, made, "results")["panels"]["results"]
    exact = json.loads(edit(sandbox, made, {"kind": "result", "place": "counts/0", "value": "0.4"}))
    assert "comparator" not in exact["prefetch"]["counts"]["entry"][0]["resource"]["valueQuantity"]


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
    change = {"kind": "circumstances", "hook": hook}
    made = json.loads(edit(sandbox, story(sandbox, "renal-decline"), change))
    assert made["hook"] == hook
    assert ("draftOrders" in made["context"]) is (hook != "patient-view")
    assert made["context"].get("selections") == (["MedicationRequest/draft-1"] if hook == "order-select" else None)
    assert sent(sandbox, json.dumps(made))["status"] == 200


def test_an_order_is_drafted_where_the_chart_had_none(sandbox: FlaskClient) -> None:
    change = {"kind": "circumstances", "hook": "order-sign"}
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
        f"{EXTENSION}.protocol": "mskcc",
        f"{EXTENSION}.card-profile": "epic",
        f"{EXTENSION}.now": "2024-11-21T08:00:00+00:00",
    }
    answered = json.loads(sent(sandbox, json.dumps(made))["response"])
    assert answered["extension"][f"{EXTENSION}.evaluation"]["protocol"]["id"] == "mskcc"


@pytest.mark.parametrize(
    ("field", "value"), [("hook", "order-gone"), ("protocol", "x"), ("profile", "x"), ("now", "x")]
)
def test_circumstances_that_do_not_exist_are_refused(sandbox: FlaskClient, field: str, value: str) -> None:
    change = {"kind": "circumstances", field: value}
    assert value in refused(sandbox, story(sandbox, "first-neutropenia"), change)


@pytest.mark.parametrize("name", stories())
def test_every_suggestion_can_be_accepted_and_the_order_judged_again(sandbox: FlaskClient, name: str) -> None:
    exchange = sent(sandbox, story(sandbox, name))
    for card in json.loads(exchange["response"])["cards"]:
        for suggestion in card.get("suggestions", []):
            change = {"kind": "accept", "card": card["uuid"], "suggestion": suggestion["uuid"]}
            made = post(sandbox, "edit", {**exchange, "change": change})["request"]
            assert sent(sandbox, made)["status"] == 200, suggestion["label"]


def test_selections_follow_an_order_that_was_removed(sandbox: FlaskClient) -> None:
    first = edit(sandbox, story(sandbox, "untreated-thrombosis"), {"kind": "circumstances", "hook": "order-select"})
    exchange = sent(sandbox, first)
    card = json.loads(exchange["response"])["cards"][0]
    removal = next(one for one in card["suggestions"] if one["actions"][0]["type"] == "delete")
    change = {"kind": "accept", "card": card["uuid"], "suggestion": removal["uuid"]}
    made = json.loads(post(sandbox, "edit", {**exchange, "change": change})["request"])
    assert made["context"]["selections"] == []
    assert made["context"]["draftOrders"]["entry"] == []


def test_an_order_that_was_removed_can_be_drafted_again(sandbox: FlaskClient) -> None:
    request = json.loads(story(sandbox, "renal-decline"))
    request |= {"hook": "order-sign"}
    request["context"]["draftOrders"]["entry"] = []
    made = json.loads(edit(sandbox, json.dumps(request), {"kind": "renew"}))
    (entry,) = made["context"]["draftOrders"]["entry"]
    assert entry["resource"]["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["value"] == 10


def test_a_suggestion_that_was_not_made_cannot_be_accepted(sandbox: FlaskClient) -> None:
    assert "is not one of the response's" in refused(
        sandbox, story(sandbox, "renal-decline"), {"kind": "accept", "card": "x", "suggestion": "y"}
    )


@pytest.mark.parametrize("member", ["response", "stages", "status", "overridden", "accepted", "panels", "change"])
@pytest.mark.parametrize(
    "value", [None, 1, "x", "{", "[]", '{"cards": 1}', '{"cards": [{"suggestions": 1}]}', [], [{}], {}, {"kind": []}]
)
def test_no_member_of_what_the_page_sends_is_a_fault_of_the_service(
    sandbox: FlaskClient, member: str, value: object
) -> None:
    exchange = {
        **sent(sandbox, story(sandbox, "start-at-15")),
        "panels": ["cards", "exchange"],
        "change": {"kind": "accept"},
    }
    for path in ("view", "edit"):
        assert sandbox.post(f"/sandbox/{path}", json={**exchange, member: value}).status_code in {200, 400, 422}


@pytest.mark.parametrize("change", [
    {"kind": "accept", "card": [], "suggestion": {}},
    {"kind": "accept", "card": "x", "suggestion": "y"},
    {"kind": "circumstances", "protocol": "mskcc"},
    {"kind": "circumstances", "hook": "patient-view"},
    {"kind": "circumstances", "hook": "order-select"},
    {"kind": "draft", "place": "draftOrders/0", "strength": "5"},
    {"kind": "result", "place": "counts/0", "value": "1"},
    {"kind": "renew"},
])  # fmt: skip
@pytest.mark.parametrize("odd", [
    {"extension": None}, {"extension": 5}, {"context": None}, {"context": "x"}, {"prefetch": None}, {"prefetch": [1]},
    {"hook": None}, {"context": {"userId": "u", "patientId": "p", "draftOrders": _HOLLOW}},
])  # fmt: skip
def test_no_change_of_an_odd_request_is_a_fault_of_the_service(sandbox: FlaskClient, change: Json, odd: Json) -> None:
    text = json.dumps({**json.loads(story(sandbox, "start-at-15")), **odd})
    response = sandbox.post("/sandbox/edit", json={**sent(sandbox, text), "change": change})
    assert response.status_code in {200, 400, 422}, response.text


@pytest.mark.parametrize("body", ["", "[]", "null", '{"request": 1}', '{"change": {}}', "{"])
@pytest.mark.parametrize("path", ["open", "edit", "view"])
def test_what_the_page_would_never_send_is_refused_by_its_field(sandbox: FlaskClient, path: str, body: str) -> None:
    response = sandbox.post(f"/sandbox/{path}", data=body)
    assert response.status_code == 400
    assert json.loads(response.text)["resourceType"] == "OperationOutcome"
