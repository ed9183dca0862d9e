"""The official CDS Hooks Sandbox as a client: of a suggestion it applies the drug's text and first code, and nothing else."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest

from tests.support.answers import only_counsels
from tests.support.drafts import CAPSULE, asked, capsule, draft, line, supply
from tests.support.fhir import RXNORM, UCUM
from tests.support.fixtures import ODD, Json, action, ask, fired, load

PILL = {"system": UCUM, "code": "{pill}"}
SERVICE = "lenalidomide-order-select"


def chosen(strength_mg: str) -> Json:
    """The sandbox's own order-select request once a capsule has been chosen."""
    request = load(ODD / "sandbox-drug-chosen.json")
    the_order(request)["medicationCodeableConcept"] = capsule(strength_mg)
    return request


def the_order(request: Json) -> Json:
    order: Json = request["context"]["draftOrders"]["entry"][0]["resource"]
    return order


def answer_to(request: Json) -> Json:
    return ask(json.dumps(request), SERVICE)


def applied(request: Json, suggestion: Json) -> Json:
    """The form after a suggestion: an update sets the drug, a delete clears it, a create adds nothing."""
    after = deepcopy(request)
    for one in suggestion["actions"]:
        if one["type"] == "update":
            concept = one["resource"]["medicationCodeableConcept"]
            coding = {"system": RXNORM, "code": concept["coding"][0]["code"], "display": concept["text"]}
            the_order(after)["medicationCodeableConcept"] = {"text": concept["text"], "coding": [coding]}
        elif one["type"] == "delete":
            for member in ("medicationCodeableConcept", "dosageInstruction"):
                the_order(after).pop(member, None)
    return after


def first_suggestion(answer: Json) -> Json:
    suggestion: Json = answer["cards"][0]["suggestions"][0]
    return suggestion


@pytest.mark.parametrize("strength_mg", ["15", "20", "25"])
def test_text_and_first_code_of_the_suggestion_are_enough_to_change_the_capsule(strength_mg: str) -> None:
    request = chosen(strength_mg)
    after = applied(request, first_suggestion(answer_to(request)))
    again = answer_to(after)
    assert action(again) == "proceed 10/28"
    assert {rule for rule in fired(again) if rule.startswith(("dosing.", "renal.", "heme."))} == set()


def test_the_text_of_the_suggestion_names_the_strength() -> None:
    after = applied(chosen("15"), first_suggestion(answer_to(chosen("15"))))
    assert the_order(after)["medicationCodeableConcept"]["text"] == "lenalidomide 10 MG Oral Capsule"


def test_several_small_capsules_become_one_and_a_client_that_keeps_their_number_is_warned_again() -> None:
    request = chosen("5")
    the_order(request)["dosageInstruction"][0]["doseAndRate"] = [{"doseQuantity": {"value": 3, **PILL}}]
    after = applied(request, first_suggestion(answer_to(request)))
    assert "dosing.max-dose" in fired(answer_to(after))


def test_removing_the_order_clears_the_form_and_ends_the_advice() -> None:
    request = chosen("10")
    counts = request["prefetch"]["counts"]["entry"]
    (neutrophils,) = [entry["resource"] for entry in counts if entry["resource"]["id"] == "anc-01"]
    neutrophils["valueQuantity"]["value"] = 0.4
    answer = answer_to(request)
    (removal,) = [
        one for one in answer["cards"][0]["suggestions"] if {act["type"] for act in one["actions"]} == {"delete"}
    ]
    assert answer_to(applied(request, removal))["cards"] == []


def test_an_order_without_a_drug_gets_no_card() -> None:
    request = chosen("10")
    del the_order(request)["medicationCodeableConcept"]
    assert answer_to(request)["cards"] == []


def test_the_same_form_sent_again_gets_the_same_answer() -> None:
    request = chosen("15")
    assert answer_to(request) == answer_to(request)


def test_prefetch_keys_that_the_sandbox_dropped_are_named_and_not_taken_for_empty() -> None:
    request = chosen("10")
    del request["prefetch"]["counts"]
    assert action(answer_to(request)) == "defer"


def test_a_first_capsule_and_dose_in_capsules_need_no_unit_text() -> None:
    request = asked(draft(line(1, CAPSULE), dispenseRequest=supply(28)))
    after = applied(request, first_suggestion(ask(json.dumps(request), "lenalidomide-order-sign")))
    assert only_counsels(ask(json.dumps(after), "lenalidomide-order-sign"))
