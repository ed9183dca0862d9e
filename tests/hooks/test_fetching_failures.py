"""However fetching fails, the card names it in words of its own, nothing falls silent, and what did arrive is used."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from cds.snapshot import Supply
from cds.terminology import load_terminology
from hooks.health import Counted
from hooks.prefetch import KIND_OF_KEY, OBSERVATION_KEYS, read_prefetch
from hooks.settings import Fetching
from tests.support.fetching import TOKEN, Hospital, bundled, cards_of, failures, not_checked, summaries
from tests.support.fhir_server import FhirServerProcess

Json = dict[str, Any]
ALERT = "Hold lenalidomide: ANC 0.4 ×10⁹/L (20 Nov), below 0.5"
COUNTS, SEROLOGY = "26499-4", "5196-1"
KINDS = (
    "Demographics",
    "Laboratory results and vital signs",
    "Medication orders",
    "Diagnoses",
    "Procedures",
    "Allergies",
)
LASTING = {
    "reset": "the answer is incomplete",
    "long-length": "the answer is incomplete",
    "broken-chunk": "the answer is incomplete",
    "short-length": "the answer could not be read",
    "truncated": "the answer could not be read",
    "html": "the answer could not be read",
    "number": "the answer could not be read",
    "deep": "the answer could not be read",
    "broken-gzip": "the answer could not be read",
    "bomb": "the answer was too large",
    "large": "the answer was too large",
    "redirect-here": "answered with a redirect",
    "status=204": "the answer could not be read",
    "status=400": "the query was refused",
    "status=401": "the access token was refused",
    "status=403": "access refused",
    "status=404": "not found",
    "status=410": "not found",
    "status=429": "the record system is busy",
    "busy": "the record system is busy",
    "status=500": "the record system reported an error",
    "status=503": "the record system reported an error",
    "outcome": "the record system reported an error",
    "other-type": "another resource came than was asked for",
    "hang-up": "the record system could not be reached",
    "not-http": "the record system could not be reached",
}
NEVER_ENDING = ["silent", "drip-status", "drip-headers", "drip-body"]
SHORT = 0.3


def all_but(key: str) -> Json:
    """The bundled prefetch without one key, so that only this one is fetched."""
    return {name: value for name, value in bundled()["prefetch"].items() if name != key}


@pytest.mark.parametrize(("behaviour", "words"), LASTING.items())
def test_when_all_fails_every_kind_of_data_is_named_with_its_reason(
    fhir_server: FhirServerProcess, behaviour: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        completed = Hospital(fhir_server, behaviour).completed()

    assert [f"- {kind}: not retrieved ({words})" for kind in KINDS] == not_checked(completed).split("\n")[2:8]
    assert caplog.records
    assert TOKEN not in caplog.text + str(completed)


@pytest.mark.parametrize("behaviour", ["long-length", "truncated", "large", "status=401", "busy", "not-http"])
def test_when_the_counts_fail_the_rest_is_used_and_the_stop_becomes_an_unknown(
    fhir_server: FhirServerProcess, behaviour: str
) -> None:
    completed = Hospital(fhir_server, behaviour, target=COUNTS).completed()
    assert "Blood count needed" in summaries(completed)[0]
    line = f"Laboratory results and vital signs: supplied only in part (blood counts: {LASTING[behaviour]})"
    assert [line] == [one[2:] for one in not_checked(completed).split("\n") if one.startswith("- ")]


@pytest.mark.parametrize("behaviour", ["reset", "html", "hang-up"])
@pytest.mark.parametrize("target", ["^Patient", "^Condition", "^Procedure", "^AllergyIntolerance", SEROLOGY])
def test_when_something_else_fails_the_stop_stands(fhir_server: FhirServerProcess, behaviour: str, target: str) -> None:
    completed = Hospital(fhir_server, behaviour, target).completed()
    assert ALERT in [card["summary"] for card in cards_of(completed) if card["indicator"] == "critical"]
    assert LASTING[behaviour] in not_checked(completed)


@pytest.mark.parametrize("behaviour", NEVER_ENDING)
def test_r05_a_server_that_never_ends_its_answer_is_not_waited_for(
    fhir_server: FhirServerProcess, behaviour: str
) -> None:
    hospital = Hospital(fhir_server, behaviour, target=COUNTS, limits=Fetching(budget=SHORT))
    completed = hospital.completed(prefetch=all_but("counts"), seconds=SHORT)
    # Not released before: had it been waited for, the answer would have come, and with it the stop.
    assert "supplied only in part (blood counts: no answer in time)" in not_checked(completed)
    assert "Blood count needed" in summaries(completed)[0]
    fhir_server.release(hospital.name)


def test_the_pages_that_came_in_time_count(fhir_server: FhirServerProcess) -> None:
    hospital = Hospital(fhir_server, "slow-second-page", target="MedicationRequest")
    completed = hospital.completed(prefetch=all_but("medications"), seconds=1.5)
    orders = completed["prefetch"]["medications"]["entry"]
    assert orders[0]["resource"]["id"] == "lenalidomide-04"
    assert "Medication orders: supplied only in part (no answer in time, 1 of 5 came)" in not_checked(completed)
    fhir_server.release(hospital.name)


def test_when_no_time_is_left_nothing_is_asked(fhir_server: FhirServerProcess) -> None:
    hospital = Hospital(fhir_server)
    completed = hospital.completed(seconds=-1)
    assert hospital.asked == []
    assert failures(completed) == dict.fromkeys(KIND_OF_KEY, "timeout")


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("next-elsewhere", "the next page is on another server"),
        ("next-userinfo", "the next page is on another server"),
        ("next-other-scheme", "the next page is on another server"),
        ("next-loop", "the answer is incomplete"),
        ("endless", "the answer is incomplete"),
        ("total-above", "10 of 350 came"),
    ],
)
def test_pages_that_cannot_be_had_make_a_search_partial(
    fhir_server: FhirServerProcess, behaviour: str, words: str
) -> None:
    completed = Hospital(fhir_server, behaviour, target=COUNTS).completed()
    assert summaries(completed) == [ALERT]
    assert f"Laboratory results and vital signs: supplied only in part (blood counts: {words}" in not_checked(completed)


def test_a_page_that_fails_makes_a_search_partial(fhir_server: FhirServerProcess) -> None:
    completed = Hospital(fhir_server, "second-page-fails", target="MedicationRequest").completed()
    assert len(completed["prefetch"]["medications"]["entry"]) == 2
    line = "Medication orders: supplied only in part (the record system reported an error, 1 of 5 came)"
    assert line in not_checked(completed)


@pytest.mark.parametrize(
    "behaviour", ["once=503", "once=502", "once=504", "once=429", "hang-up-once", "closes-idle", "gzip"]
)
def test_what_passes_is_no_failure(fhir_server: FhirServerProcess, behaviour: str) -> None:
    hospital = Hospital(fhir_server, behaviour)
    completed = hospital.completed()
    assert failures(completed) == {}
    assert summaries(completed) == [ALERT]


@pytest.mark.parametrize(("behaviour", "tries"), [("status=500", 1), ("status=503", 2), ("busy", 1), ("status=403", 1)])
def test_only_what_may_pass_is_tried_again_and_only_once(
    fhir_server: FhirServerProcess, behaviour: str, tries: int
) -> None:
    hospital = Hospital(fhir_server, behaviour)
    hospital.completed()
    assert len(hospital.asked) == tries * len(KIND_OF_KEY)


def test_another_patients_results_are_not_used_and_named(fhir_server: FhirServerProcess) -> None:
    completed = Hospital(fhir_server, "other-patient", target=COUNTS).completed()
    assert "Blood count needed" in summaries(completed)[0]
    assert "Observation/anc-05: subject is another patient" in not_checked(completed)


def test_another_patient_than_was_asked_for_is_not_used(fhir_server: FhirServerProcess) -> None:
    completed = Hospital(fhir_server, "other-id", target="^Patient").completed()
    assert "Demographics: not retrieved (another resource came than was asked for)" in not_checked(completed)


def test_several_reasons_are_told_apart(fhir_server: FhirServerProcess) -> None:
    scoped = {"access_token": TOKEN, "scope": "user/Observation.rs user/Patient.r"}
    hospital = Hospital(fhir_server, "status=403", target=COUNTS)
    completed = hospital.completed(fhirAuthorization=scoped)
    assert "(blood counts: access refused)" in not_checked(completed)
    assert "Medication orders: not retrieved (not among the granted scopes)" in not_checked(completed)


def test_a_medication_that_could_not_be_read_is_named(fhir_server: FhirServerProcess) -> None:
    hospital = Hospital(fhir_server, "status=403", target="Medication/")
    request = hospital.request(prefetch=bundled()["prefetch"])
    past = request["prefetch"]["medications"]["entry"][0]["resource"]
    del past["medicationCodeableConcept"]
    past["medicationReference"] = {"reference": "Medication/x"}
    completed = hospital.completed(request)
    assert "Medications that orders refer to: not retrieved (access refused)" in not_checked(completed)
    assert summaries(completed) == [ALERT]


def test_one_line_is_logged_and_neither_patient_nor_token_is_in_it(
    fhir_server: FhirServerProcess, caplog: pytest.LogCaptureFixture
) -> None:
    hospital = Hospital(fhir_server, "status=403")
    with caplog.at_level(logging.DEBUG):
        hospital.completed()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "counts" in caplog.text
    assert "access refused" in caplog.text
    assert TOKEN not in caplog.text
    assert "pt-edda-marsh" not in caplog.text


def test_what_was_fetched_and_what_not_is_counted(fhir_server: FhirServerProcess) -> None:
    hospital = Hospital(fhir_server, "status=403", target=COUNTS)
    hospital.completed()
    assert hospital.health.counted == {
        (Counted.FHIR_FETCHES, ("fetched",)): len(KIND_OF_KEY) - 1,
        (Counted.FHIR_FETCHES, ("forbidden",)): 1,
    }


# --- What a record system itself says of its failures ---


def outcome(code: Any, **more: Any) -> Json:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code, **more}]}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("timeout", "no answer in time"),
        ("forbidden", "access refused"),
        ("throttled", "the record system is busy"),
        ("processing", ""),
        ("structure", ""),
        ("not-supported", ""),
        ("made-up", ""),
        (None, ""),
        ([], ""),
    ],
)
def test_a_failure_that_prefetch_tells_is_said_in_our_words_where_its_code_has_any(code: Any, words: str) -> None:
    told = outcome(code, diagnostics="SECRET", details={"text": "SECRET", "coding": [7, {"code": "timeout"}]})
    (shortfall,) = read_prefetch({"counts": told}, load_terminology()).shortfalls["Observation"]
    assert (shortfall.key, shortfall.state, shortfall.why) == ("counts", Supply.FAILED, words)


def test_the_words_of_somebody_elses_outcome_are_never_shown() -> None:
    request = bundled()
    request["prefetch"] |= dict.fromkeys(OBSERVATION_KEYS, outcome("exception", diagnostics="SECRET"))
    text = str(cards_of(request))
    assert "Laboratory results and vital signs: not retrieved" in text
    assert "SECRET" not in text
