"""What prefetch lacks is fetched, no more than that, and then the same answer is given as if prefetch had brought it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cds.terminology import load_terminology
from hooks import answer
from hooks.prefetch import KIND_OF_KEY, REFERENCED, read_prefetch
from hooks.settings import Fetching
from tests.support.fetching import AUTHORIZATION, Hospital, bundled, cards_of, failures, not_checked, now_of, summaries
from tests.support.fhir_server import FhirServerProcess

Json = dict[str, Any]
EMPTY: Json = {"resourceType": "Bundle", "type": "searchset", "total": 0}
FAILED: Json = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}
IBUPROFEN: Json = {"text": "ibuprofen 400 mg"}
BUNDLED = ["order-sign-first-neutropenia", "order-sign-dialysis-start", "order-sign-several-interactions"]


def with_drug(request: Json, **drug: Json) -> Json:
    """The request with another drug in its only draft."""
    changed = deepcopy(request)
    draft = changed["context"]["draftOrders"]["entry"][0]["resource"]
    del draft["medicationCodeableConcept"]
    draft.update(drug)
    return changed


def visit(**changes: Any) -> Json:
    return {**bundled("patient-view-stale-creatinine"), **changes}


# --- Completing ---


@pytest.mark.parametrize("name", [*BUNDLED, "patient-view-stale-creatinine"])
def test_without_any_prefetch_the_answer_is_that_of_a_whole_prefetch(fhir_server: FhirServerProcess, name: str) -> None:
    hospital = Hospital(fhir_server)

    completed = hospital.completed(hospital.request(name))

    whole = {**bundled(name), "fhirServer": hospital.base}
    assert answer(completed, now=now_of(completed)) == answer(whole, now=now_of(whole))
    assert sorted(completed["prefetch"]) == sorted(KIND_OF_KEY)


@pytest.mark.parametrize("key", KIND_OF_KEY)
def test_r49_only_the_key_that_is_absent_is_fetched(fhir_server: FhirServerProcess, key: str) -> None:
    hospital = Hospital(fhir_server)
    prefetch = {name: value for name, value in bundled()["prefetch"].items() if name != key}

    completed = hospital.completed(prefetch=prefetch)

    assert hospital.kinds_asked == [KIND_OF_KEY[key] + ("/pt-edda-marsh" if key == "patient" else "")]
    assert {name: value for name, value in completed["prefetch"].items() if name != key} == prefetch
    assert summaries(completed) == summaries(bundled())


@pytest.mark.parametrize("state", [FAILED, {**EMPTY, "entry": [{"resource": FAILED}]}, "no resource"])
def test_r47_a_key_that_failed_is_fetched_again(fhir_server: FhirServerProcess, state: Any) -> None:
    hospital = Hospital(fhir_server)
    completed = hospital.completed(prefetch={**bundled()["prefetch"], "counts": state})
    assert hospital.kinds_asked == ["Observation"]
    assert summaries(completed) == summaries(bundled())


@pytest.mark.parametrize("state", [None, EMPTY])
def test_r46_what_was_looked_for_and_not_found_is_not_fetched_again(fhir_server: FhirServerProcess, state: Any) -> None:
    hospital = Hospital(fhir_server)
    completed = hospital.completed(prefetch={**bundled()["prefetch"], "counts": state})
    assert hospital.asked == []
    assert completed["prefetch"]["counts"] == state


def test_no_patient_is_a_patient_to_fetch(fhir_server: FhirServerProcess) -> None:
    hospital = Hospital(fhir_server)
    hospital.completed(prefetch={**bundled()["prefetch"], "patient": None})
    assert hospital.asked == ["Patient/pt-edda-marsh"]


def test_a_whole_prefetch_is_handed_on_as_it_is(fhir_server: FhirServerProcess) -> None:
    hospital = Hospital(fhir_server)
    prefetch = bundled()["prefetch"]
    assert hospital.completed(prefetch=prefetch)["prefetch"] is prefetch
    assert hospital.asked == []


def test_r45_what_other_keys_bring_is_not_fetched(fhir_server: FhirServerProcess) -> None:
    hospital = Hospital(fhir_server)
    prefetch = {f"alert{index}": value for index, value in enumerate(bundled()["prefetch"].values())}

    completed = hospital.completed(prefetch=prefetch)

    assert hospital.kinds_asked == ["AllergyIntolerance", "Observation", "Observation"]
    assert set(completed["prefetch"]) - prefetch.keys() == {"allergies", "pregnancy", "response"}
    assert summaries(completed) == summaries(bundled())
    supplied = read_prefetch(completed["prefetch"], load_terminology())
    assert all(state.proves_absence for state in supplied.supply.values())


def test_a_key_of_the_record_system_that_failed_does_not_count_once_its_data_were_fetched(
    fhir_server: FhirServerProcess,
) -> None:
    prefetch = {key: value for key, value in bundled()["prefetch"].items() if key != "medications"}
    completed = Hospital(fhir_server).completed(prefetch={**prefetch, "rx-history": FAILED})
    assert summaries(completed) == summaries(bundled())


def test_what_is_fetched_is_asked_for_as_the_templates_say(fhir_server: FhirServerProcess) -> None:
    hospital = Hospital(fhir_server)
    hospital.completed(prefetch={key: value for key, value in bundled()["prefetch"].items() if key != "conditions"})
    assert hospital.asked == ["Condition?patient=Patient/pt-edda-marsh&_sort=-recorded-date&_count=200"]


# --- Pages ---


@pytest.mark.parametrize("behaviour", ["paged", "paged-relative"])
def test_r48_all_pages_of_a_search_are_read(fhir_server: FhirServerProcess, behaviour: str) -> None:
    completed = Hospital(fhir_server, behaviour).completed()
    assert summaries(completed) == summaries(bundled())
    assert "Not checked" not in cards_of(completed)[0]["detail"]


def test_a_first_page_in_prefetch_is_gone_on_from(fhir_server: FhirServerProcess) -> None:
    hospital = Hospital(fhir_server, "paged")
    request = bundled()
    medications = request["prefetch"]["medications"]
    first = {**medications, "entry": medications["entry"][:1]}
    link = "MedicationRequest?patient=Patient/pt-edda-marsh&_page=2"
    prefetch = {**request["prefetch"], "medications": {**first, "link": [{"relation": "next", "url": link}]}}

    completed = hospital.completed(prefetch=prefetch)

    assert len(hospital.asked) == len(medications["entry"]) - 1
    entries = completed["prefetch"]["medications"]["entry"]
    assert [entry["resource"] for entry in entries] == [entry["resource"] for entry in medications["entry"]]
    assert summaries(completed) == summaries(request)


def test_a_first_page_in_prefetch_stays_when_the_next_one_fails(fhir_server: FhirServerProcess) -> None:
    hospital = Hospital(fhir_server, "status=500")
    counts = {**bundled()["prefetch"]["counts"], "link": [{"relation": "next", "url": "Observation?_page=2"}]}

    completed = hospital.completed(prefetch={**bundled()["prefetch"], "counts": counts})

    assert summaries(completed) == summaries(bundled())
    detail = cards_of(completed)[0]["detail"]
    assert "supplied only in part (blood counts: the record system reported an error)" in detail


# --- Only where lenalidomide is in play ---


def test_for_another_drug_nothing_is_fetched(fhir_server: FhirServerProcess) -> None:
    hospital = Hospital(fhir_server)
    completed = hospital.completed(with_drug(hospital.request(), medicationCodeableConcept=IBUPROFEN))
    assert hospital.asked == []
    assert completed["prefetch"] == {}


def test_the_drug_of_a_draft_is_read_before_anything_else(fhir_server: FhirServerProcess) -> None:
    hospital = Hospital(fhir_server)
    drug = {"reference": "Medication/lenalidomide"}

    completed = hospital.completed(with_drug(hospital.request(), medicationReference=drug))

    assert hospital.asked[0] == "Medication/lenalidomide"
    assert len(hospital.asked) == 1 + len(KIND_OF_KEY)
    assert summaries(completed) == summaries(bundled())


@pytest.mark.parametrize(
    "reference", ["Medication/ibuprofen", "https://elsewhere.example/fhir/Medication/lenalidomide"]
)
def test_r50_a_draft_of_another_or_an_unobtainable_drug_is_all_that_is_read(
    fhir_server: FhirServerProcess, reference: str
) -> None:
    hospital = Hospital(fhir_server)
    hospital.completed(with_drug(hospital.request(), medicationReference={"reference": reference}))
    assert set(hospital.asked) <= {"Medication/ibuprofen"}


def test_the_drugs_of_past_orders_are_read_after_them(fhir_server: FhirServerProcess) -> None:
    hospital = Hospital(fhir_server)
    request = hospital.request(prefetch=bundled()["prefetch"])
    for entry in request["prefetch"]["medications"]["entry"]:
        del entry["resource"]["medicationCodeableConcept"]
        entry["resource"]["medicationReference"] = {"reference": f"{hospital.base}/Medication/lenalidomide"}

    completed = hospital.completed(request)

    assert hospital.asked == ["Medication/lenalidomide"]
    assert list(completed["prefetch"]) == [*request["prefetch"], REFERENCED]
    before, after = (read_prefetch(one["prefetch"], load_terminology()).supply for one in (request, completed))
    assert {kind: after[kind] for kind in before} == before
    assert summaries(completed)[0] == summaries(bundled())[0]


def test_no_more_than_a_hundred_drugs_are_read_and_the_orders_then_count_as_known_in_part(
    fhir_server: FhirServerProcess,
) -> None:
    hospital = Hospital(fhir_server)
    request = hospital.request(prefetch=bundled()["prefetch"])
    past = request["prefetch"]["medications"]["entry"][0]["resource"]
    del past["medicationCodeableConcept"]
    orders = [{**past, "id": f"o{n}", "medicationReference": {"reference": f"Medication/{n}"}} for n in range(110)]
    request["prefetch"]["medications"] = {**EMPTY, "entry": [{"resource": order} for order in orders], "total": 110}
    completed = hospital.completed(request)
    assert len(hospital.asked) == 100
    assert "Medication orders: supplied only in part" in not_checked(completed)


def test_at_patient_view_only_the_orders_are_read_of_a_patient_who_never_had_lenalidomide(
    fhir_server: FhirServerProcess,
) -> None:
    hospital = Hospital(fhir_server)
    request = hospital.request("patient-view-stale-creatinine")
    request["context"] = {**request["context"], "patientId": "nobody"}
    assert cards_of(hospital.completed(request)) == []
    assert hospital.kinds_asked == ["MedicationRequest"]


@pytest.mark.parametrize("behaviour", ["status=403", "total-above"])
def test_at_patient_view_all_is_read_where_the_orders_do_not_tell(
    fhir_server: FhirServerProcess, behaviour: str
) -> None:
    hospital = Hospital(fhir_server, behaviour, target="MedicationRequest")
    hospital.completed(hospital.request("patient-view-stale-creatinine"))
    assert len(hospital.asked) == len(KIND_OF_KEY)


# --- Access ---


@pytest.mark.parametrize(
    "changes",
    [
        {"fhirServer": None},
        {"fhirAuthorization": None},
        {"fhirAuthorization": {**AUTHORIZATION, "token_type": "mac"}},
        {"fhirAuthorization": {**AUTHORIZATION, "access_token": None}},
        {"fhirAuthorization": {**AUTHORIZATION, "access_token": "two\r\nlines"}},
        {"fhirAuthorization": "Bearer"},
    ],
)
def test_r34_without_a_server_and_a_bearer_token_nothing_is_fetched(
    fhir_server: FhirServerProcess, changes: Json
) -> None:
    hospital = Hospital(fhir_server)
    completed = hospital.completed(hospital.request(**changes))
    assert hospital.asked == []
    assert completed["prefetch"] == {}
    assert "fhirAuthorization" not in completed


@pytest.mark.parametrize("only", [{"access_token": "t"}, {"access_token": "t", "token_type": "bearer", "scope": None}])
def test_r29_r31_r32_a_token_is_all_that_is_needed(fhir_server: FhirServerProcess, only: Json) -> None:
    assert failures(Hospital(fhir_server).completed(fhirAuthorization=only)) == {}


def test_r33_r35_the_token_goes_with_every_call_and_into_nothing_else(fhir_server: FhirServerProcess) -> None:
    hospital = Hospital(fhir_server, "paged")
    completed = hospital.completed()
    requests = fhir_server.requests(hospital.name)
    assert {one["authorization"] for one in requests} == {f"Bearer {AUTHORIZATION['access_token']}"}
    assert AUTHORIZATION["access_token"] not in str(completed)
    assert "fhirAuthorization" not in completed


@pytest.mark.parametrize(
    ("scope", "refused"),
    [
        ("user/*.read", set()),
        ("system/*.cruds openid", set()),
        ("patient/*.*", set()),
        ("openid fhirUser launch", set()),
        ("Observation.Read (Labs) (R4)", set()),
        ("user/Condition.rs", KIND_OF_KEY.keys() - {"conditions"}),
        ("user/*.r", KIND_OF_KEY.keys() - {"patient"}),
        ("user/*.write", set(KIND_OF_KEY)),
        ("user/*.rs?category=x", set()),
    ],
)
def test_r30_what_the_scopes_do_not_cover_is_not_asked_for(
    fhir_server: FhirServerProcess, scope: str, refused: set[str]
) -> None:
    hospital = Hospital(fhir_server)
    completed = hospital.completed(fhirAuthorization={**AUTHORIZATION, "scope": scope})
    assert failures(completed) == dict.fromkeys(refused, "forbidden")
    assert len(hospital.asked) == len(KIND_OF_KEY) - len(refused)


@pytest.mark.parametrize(
    "identifier", ["../Patient/1", "1?_count=9", "1#x", "1&x=y", "1|2", "1,2", "a/b", "..", "x" * 300]
)
def test_a_patient_id_that_could_mean_more_is_not_asked_for(fhir_server: FhirServerProcess, identifier: str) -> None:
    hospital = Hospital(fhir_server)
    request = hospital.request()
    request["context"] = {**request["context"], "patientId": identifier}
    completed = hospital.completed(request)
    assert hospital.asked == []
    assert set(failures(completed).values()) == {"value"}


def test_without_a_budget_nothing_is_fetched(fhir_server: FhirServerProcess) -> None:
    hospital = Hospital(fhir_server, limits=Fetching(budget=0))
    assert hospital.completed()["prefetch"] == {}
    assert hospital.asked == []


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["hook", "context", "prefetch", "fhirServer", "fhirAuthorization"]), ANY_JSON)
def test_a_malformed_request_comes_back_as_it_was_but_for_the_token(
    fhir_server: FhirServerProcess, member: str, value: Any
) -> None:
    hospital = Hospital(fhir_server)
    request = {**hospital.request(), member: value}
    completed = hospital.completed(request, seconds=-1)
    assert {**request, "fhirAuthorization": None} == {**completed, "fhirAuthorization": None} | {
        "prefetch": request["prefetch"]
    }
    assert "fhirAuthorization" not in completed
