"""What could not be looked at never reads as "in order": the card, or the order's judgement, says so, and so does the record."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from cds.findings import Indicator
from hooks.clients import Client
from hooks.fetch_failures import Failure
from hooks.shown import SHOWN_AT
from tests.support.fixtures import REQUESTS, Json, action, ask, load
from tests.support.hospital import IN_ORDER, bundled, hospital

SIGN = "lenalidomide-order-sign"
RENEWALS = ("order-sign-clean-renewal", "order-sign-woman-continuing")
FAILED = Failure.TIMEOUT.outcome
KEYS = ("counts", "kidney", "vitals", "pregnancy", "chemistry", "serology", "medications", "conditions", "procedures")


def with_prefetch(name: str, **changes: Any) -> Json:
    request = bundled(name)
    return {**request, "prefetch": {**request["prefetch"], **changes}}


def answered(request: Json) -> Json:
    return ask(json.dumps(request), f"lenalidomide-{request['hook']}")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", sorted(file.stem for file in REQUESTS.glob("order-sign-*.json")))
def test_no_order_is_answered_with_silence_when_something_failed(name: str, key: str) -> None:
    cards = answered(with_prefetch(name, **{key: FAILED}))["cards"]
    assert cards
    assert any("no answer in time" in card["detail"] for card in cards)


def test_what_failed_beside_an_order_in_order_is_said_in_the_headline() -> None:
    (card,) = answered(with_prefetch(IN_ORDER, conditions=FAILED, procedures=Failure.FORBIDDEN.outcome))["cards"]
    assert card["indicator"] == "warning"
    assert card["summary"] == (
        "Lenalidomide not fully checked: diagnoses (no answer in time), procedures (access refused)"
    )
    assert card["source"]["topic"]["code"] == "serviceNotCheckedWarning"
    assert card["overrideReasons"]
    assert "suggestions" not in card


def test_what_was_never_sent_makes_no_card_at_a_renewal() -> None:
    request = bundled(IN_ORDER)
    del request["prefetch"]["conditions"]
    assert answered(request)["cards"] == []


def test_a_client_that_wants_only_critical_cards_gets_this_one_neither(tmp_path: Path) -> None:
    only = {hook: type(shown)(Indicator.CRITICAL, frozenset()) for hook, shown in SHOWN_AT.items()}
    with hospital(tmp_path, client=Client(shown_at=only)) as running:
        assert running.cards(with_prefetch(IN_ORDER, conditions=FAILED)) == []


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [({}, "in order"), ({"conditions": FAILED}, "could not check"), ({"allergies": None}, "in order")],
)
def test_the_record_does_not_call_in_order_what_could_not_be_checked(
    changes: Json, outcome: str, tmp_path: Path
) -> None:
    with hospital(tmp_path) as running:
        identifier = running.post(with_prefetch(IN_ORDER, **changes)).headers["X-Decision-Id"]
        with running.store() as store:
            decision = store.decision(identifier)
    assert decision is not None
    assert decision.document["outcome"] == outcome


def test_the_record_does_not_call_another_drug_what_may_be_ours(tmp_path: Path) -> None:
    request = with_prefetch("patient-view-stale-creatinine", medications=FAILED)
    with hospital(tmp_path) as running:
        identifier = running.post(request, "lenalidomide-patient-view").headers["X-Decision-Id"]
        with running.store() as store:
            decision = store.decision(identifier)
    assert decision is not None
    assert decision.document["outcome"] == "could not check"


def by_unknown_reference(request: Json) -> Json:
    """The past orders name their drug by Medications that were not sent."""
    changed = deepcopy(request)
    for entry in changed["prefetch"]["medications"]["entry"]:
        if "lenalidomide" in json.dumps(entry["resource"]).casefold():
            entry["resource"].pop("medicationCodeableConcept", None)
            entry["resource"]["medicationReference"] = {"reference": "Medication/not-sent"}
    return changed


@pytest.mark.parametrize("name", RENEWALS)
def test_past_orders_of_unknown_drugs_make_a_renewal_wait(name: str) -> None:
    answer = answered(by_unknown_reference(bundled(name)))
    assert action(answer) == "defer"
    assert "Medication orders: supplied only in part" in answer["cards"][0]["detail"]


def test_past_orders_of_unknown_drugs_release_no_hold() -> None:
    answer = answered(by_unknown_reference(bundled("order-sign-first-neutropenia")))
    assert action(answer) == "hold"


def test_an_order_that_names_its_drug_beside_the_reference_is_no_unknown() -> None:
    request = bundled(IN_ORDER)
    other = {
        "resourceType": "MedicationRequest",
        "id": "other",
        "status": "active",
        "intent": "order",
        "subject": {"reference": f"Patient/{request['context']['patientId']}"},
        "medicationReference": {"reference": "Medication/not-sent", "display": "metoprolol 50 mg"},
    }
    request["prefetch"]["medications"]["entry"].append({"resource": other})
    assert answered(request)["cards"] == []


def told(severity: object, code: str) -> Json:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": code}]}
    return {"resourceType": "Bundle", "type": "searchset", "total": 0, "entry": [{"resource": outcome}]}


@pytest.mark.parametrize(
    ("severity", "code"),
    [
        ("Error", "processing"),
        ("ERROR", "processing"),
        (None, "processing"),
        (7, "processing"),
        (["error"], "processing"),
        ("warning", "suppressed"),
        ("warning", "forbidden"),
        ("warning", "timeout"),
        ("information", "incomplete"),
    ],
)
def test_an_outcome_that_may_withhold_something_proves_no_absence(severity: object, code: str) -> None:
    (card,) = answered(with_prefetch(IN_ORDER, conditions=told(severity, code)))["cards"]
    assert card["summary"].startswith("Lenalidomide not fully checked: diagnoses")


@pytest.mark.parametrize("severity", ["warning", "information", "success"])
def test_a_word_that_there_is_nothing_proves_absence(severity: str) -> None:
    assert answered(with_prefetch(IN_ORDER, allergies=told(severity, "not-found")))["cards"] == []


@pytest.mark.parametrize("number", ["1e99999999999999999999999", "-1E+9999999999999999999999"])
def test_a_number_beyond_all_numbers_is_no_fault_of_the_service(number: str) -> None:
    text = json.dumps({**load(REQUESTS / f"{IN_ORDER}.json"), "odd": "NUMBER"}).replace('"NUMBER"', number)
    assert ask(text, SIGN)["cards"] == []


def test_where_nobody_knows_whether_it_is_a_man_the_headline_says_so() -> None:
    cards = answered(with_prefetch(IN_ORDER, patient=FAILED))["cards"]
    headlines = [card["summary"] for card in cards]
    assert (
        "Do not renew yet: sex and age not known (demographics not retrieved); if pregnancy is possible, tests are needed"
        in (headlines)
    )
    assert any("the Patient was not retrieved" in card["detail"] for card in cards)


def test_the_same_failures_are_the_same_advice_in_whatever_order_they_came() -> None:
    request = with_prefetch(IN_ORDER, conditions=FAILED, procedures=FAILED)
    turned = {**request, "prefetch": dict(reversed(request["prefetch"].items()))}
    decisions = [answered(one)["cards"][0]["extension"] for one in (request, turned)]
    assert decisions[0] == decisions[1]
