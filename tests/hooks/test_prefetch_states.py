"""The six states of a prefetch key are told apart: what was never looked for must not read as what does not exist."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from cds.snapshot import Supply
from hooks.prefetch import OBSERVATION_KEYS
from tests.support.fixtures import REQUESTS, Json, action, ask, explanation, fired, load

_ABSENT: Any = object()
_WARNING = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "processing"}]}
_ERROR = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}
STATES: dict[str, Any] = {
    "absent": _ABSENT,
    "null": None,
    "empty": {"resourceType": "Bundle", "type": "searchset", "total": 0},
    "warning only": {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 0,
        "entry": [{"resource": _WARNING, "search": {"mode": "outcome"}}],
    },
    "failed": _ERROR,
    "error within": {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": _ERROR}]},
    "partial": {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 300,
        "link": [{"relation": "next", "url": "https://ehr.lindenhof.example/fhir/r4?page=2"}],
    },
}
LOOKED_AND_FOUND_NOTHING = ("null", "empty", "warning only")
WORDS = {
    "absent": "not supplied",
    "failed": "not retrieved",
    "error within": "not retrieved",
    "partial": "only in part",
}


def renewal(**keys: Any) -> Json:
    """The answer to a renewal of 10 mg in which all is well, but for the state of some keys."""
    request = deepcopy(load(REQUESTS / "order-sign-clean-renewal.json"))
    for key, value in keys.items():
        request["prefetch"].pop(key)
        if value is not _ABSENT:
            request["prefetch"][key] = value
    return ask(json.dumps(request), "lenalidomide-order-sign")


def laboratory(state: str) -> Json:
    return renewal(**dict.fromkeys(OBSERVATION_KEYS, STATES[state]))


def said(answer: Json) -> str:
    """Everything the cards say."""
    return " ".join(f"{card['summary']} {card['detail']}" for card in answer["cards"])


def finding(answer: Json, rule: str) -> Json:
    found: Json = next(one for one in explanation(answer)["drafts"][0]["findings"] if one["id"] == rule)
    return found


def test_with_everything_supplied_there_is_no_card() -> None:
    assert renewal()["cards"] == []


# --- Blood counts ---


@pytest.mark.parametrize("state", STATES)
def test_without_counts_the_order_is_deferred_with_a_card(state: str) -> None:
    answer = renewal(counts=STATES[state])
    assert action(answer) == "defer"
    assert "Blood count needed" in answer["cards"][0]["summary"]


@pytest.mark.parametrize("state", LOOKED_AND_FOUND_NOTHING)
def test_counts_looked_for_and_not_found_do_not_exist(state: str) -> None:
    assert "no ANC and no platelets" in said(renewal(counts=STATES[state]))


@pytest.mark.parametrize("state", sorted(WORDS))
def test_counts_that_were_not_had_may_exist(state: str) -> None:
    summary = finding(renewal(counts=STATES[state]), "monitoring.cbc-due")["summary"]
    assert "ANC and platelets not available" in summary
    assert "no ANC" not in summary


@pytest.mark.parametrize(("state", "words"), WORDS.items())
def test_why_laboratory_data_are_missing_is_said(state: str, words: str) -> None:
    answer = laboratory(state)
    assert action(answer) == "defer"
    assert words in said(answer)


@pytest.mark.parametrize("state", LOOKED_AND_FOUND_NOTHING)
def test_laboratory_data_that_do_not_exist_are_not_called_unavailable(state: str) -> None:
    answer = laboratory(state)
    assert action(answer) == "defer"
    assert not any(words in said(answer) for words in WORDS.values())


def test_a_low_count_of_a_partial_page_still_holds() -> None:
    page = deepcopy(load(REQUESTS / "order-sign-clean-renewal.json")["prefetch"]["counts"])
    page |= {"total": 300, "link": STATES["partial"]["link"]}
    newest = next(entry["resource"] for entry in page["entry"] if entry["resource"]["id"] == "anc-01")
    newest["valueQuantity"]["value"] = 0.4
    assert action(renewal(counts=page)) == "hold"


@pytest.mark.parametrize("mode", ["match", None, "include", "outcome"])
def test_only_matches_make_up_the_total_of_a_search(mode: str | None) -> None:
    page = deepcopy(load(REQUESTS / "order-sign-clean-renewal.json")["prefetch"]["medications"])
    beside = {"resource": {"resourceType": "Medication", "id": "beside"}}
    page["entry"].append(beside if mode is None else {**beside, "search": {"mode": mode}})
    page["total"] = len(page["entry"])

    supplied = explanation(renewal(medications=page))["supplied"]["MedicationRequest"]

    assert supplied == (Supply.WHOLE if mode in {"match", None} else Supply.PARTIAL).value


def test_a_page_is_a_page_also_within_a_batch() -> None:
    page = deepcopy(load(REQUESTS / "order-sign-clean-renewal.json")["prefetch"]["medications"])
    page["total"] = len(page["entry"]) + 1
    answered = {"resourceType": "Bundle", "type": "batch-response", "entry": [{"resource": page}]}

    answer = renewal(medications=answered)

    assert explanation(answer)["supplied"]["MedicationRequest"] == Supply.PARTIAL.value


# --- Order history ---


@pytest.mark.parametrize("state", sorted(WORDS))
def test_without_the_order_history_the_order_is_deferred_and_the_reason_said(state: str) -> None:
    answer = renewal(medications=STATES[state])
    assert action(answer) == "defer"
    assert "dosing.level-unknown" in fired(answer)
    assert WORDS[state] in said(answer)


@pytest.mark.parametrize("state", LOOKED_AND_FOUND_NOTHING)
def test_no_orders_at_all_is_a_new_start(state: str) -> None:
    answer = renewal(medications=STATES[state])
    assert action(answer) == "proceed 10/28"
    assert explanation(answer)["drafts"][0]["facts"]["completed_cycles"] == 0


def escalating(history: int) -> Json:
    """The answer to a draft of 15 mg after so many cycles on a first page of the order history."""
    request = deepcopy(load(REQUESTS / "order-sign-escalation-eligible.json"))
    page, draft = request["prefetch"]["medications"], request["context"]["draftOrders"]["entry"][0]["resource"]
    past = [entry for entry in page["entry"] if entry["resource"]["id"].startswith("lenalidomide")]
    page |= {"entry": past[:history], "total": 300, "link": STATES["partial"]["link"]}
    draft["medicationCodeableConcept"] = {
        "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "643712"}]
    }
    draft["dosageInstruction"][0]["text"] = "15 mg by mouth once daily"
    draft["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["value"] = 15
    return ask(json.dumps(request), "lenalidomide-order-sign")


def test_three_cycles_on_a_first_page_are_at_least_three() -> None:
    assert action(escalating(history=3)) == "proceed 15/28"


def test_two_cycles_on_a_first_page_may_be_three() -> None:
    assert action(escalating(history=2)) == "defer"


# --- Conditions: their absence does not defer ---


@pytest.mark.parametrize("state", LOOKED_AND_FOUND_NOTHING)
def test_a_diagnosis_looked_for_and_not_found_is_warned_of(state: str) -> None:
    answer = renewal(conditions=STATES[state])
    assert action(answer) == "proceed 10/28"
    assert [card["summary"] for card in answer["cards"]] == ["No multiple myeloma recorded"]


@pytest.mark.parametrize("state", sorted(WORDS))
def test_a_diagnosis_that_could_not_be_looked_for_is_unknown_and_only_its_failure_is_told(state: str) -> None:
    answer = renewal(conditions=STATES[state])
    assert action(answer) == "proceed 10/28"
    told = ["Lenalidomide not fully checked: diagnoses"] if "failed" in state or "error" in state else []
    assert [card["summary"].partition(" (")[0] for card in answer["cards"]] == told
    found = finding(answer, "eligibility.indication")
    assert found["outcome"] == "unknown"
    assert WORDS[state] in found["summary"]


# --- All kinds together ---


@pytest.mark.parametrize("prefetch", [_ABSENT, None, {}])
def test_without_any_prefetch_the_order_is_deferred_with_a_card(prefetch: object) -> None:
    request = deepcopy(load(REQUESTS / "order-sign-clean-renewal.json"))
    del request["prefetch"]
    if prefetch is not _ABSENT:
        request["prefetch"] = prefetch
    answer = ask(json.dumps(request), "lenalidomide-order-sign")
    assert action(answer) == "defer"
    assert answer["cards"]


def test_resources_are_read_whatever_their_key() -> None:
    request = deepcopy(load(REQUESTS / "order-sign-first-neutropenia.json"))
    request["prefetch"] = {f"alert{index}": value for index, value in enumerate(request["prefetch"].values())}
    assert action(ask(json.dumps(request), "lenalidomide-order-sign")) == "hold"
