"""What real EHRs send, valid FHIR or not: each is answered, and with what a well-formed request would have got."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.fixtures import ODD, REQUESTS, Json, action, ask, explanation, fired, load, service_of, unread

# A new start with no evidence of the programme.
SAID_TO_EVERY_MAN = {"teratogenicity.male-counselling", "teratogenicity.rems-enrolment", "vte.impede", "vte.saved"}


def answer_to(name: str) -> Json:
    file = ODD / f"{name}.json"
    return ask(file.read_bytes(), service_of(load(file)["hook"]))


def summaries(answer: Json) -> list[str]:
    return [card["summary"] for card in answer["cards"]]


def corrected_order(answer: Json) -> Any:
    """The whole order of the first card's update."""
    updates = [one for one in answer["cards"][0]["suggestions"][0]["actions"] if one["type"] == "update"]
    return updates[0]["resource"]


def drafted(name: str) -> Json:
    order: Json = load(ODD / f"{name}.json")["context"]["draftOrders"]["entry"][0]["resource"]
    return order


# --- The official sandbox ---


def test_sandbox_one_pill_of_a_coded_capsule_is_its_strength() -> None:
    answer = answer_to("sandbox-drug-chosen")
    assert action(answer) == "proceed 10/28"
    assert summaries(answer) == ["Supply 28 days at most: 30 days ordered"]


def test_sandbox_the_correction_of_the_supply_changes_nothing_else() -> None:
    corrected, draft = corrected_order(answer_to("sandbox-drug-chosen")), drafted("sandbox-drug-chosen")
    assert corrected.pop("dispenseRequest")["expectedSupplyDuration"]["value"] == 28
    del draft["dispenseRequest"]
    assert corrected == draft


def test_sandbox_before_a_drug_is_chosen_there_is_nothing_to_say() -> None:
    assert answer_to("sandbox-drug-not-chosen-yet")["cards"] == []


def test_sandbox_a_dose_beside_the_timing_is_read() -> None:
    answer = answer_to("sandbox-dose-beside-timing")
    assert action(answer) == "modify 10/28"
    assert "dosing.start-dose" in fired(answer)


def test_sandbox_a_dose_change_changes_text_and_coding_of_the_capsule() -> None:
    concept = corrected_order(answer_to("sandbox-dose-beside-timing"))["medicationCodeableConcept"]
    assert concept["coding"][0]["code"] == "602910"
    assert concept["text"] == "lenalidomide 10 MG Oral Capsule"


# --- Epic ---


def test_epic_absolute_references_mean_the_patient() -> None:
    answer = answer_to("epic-absolute-references")
    assert action(answer) == "hold"
    assert unread(answer) == {}


def test_epic_an_empty_search_with_a_warning_is_no_data_and_no_failure() -> None:
    answer = answer_to("epic-empty-search-with-warning")
    assert action(answer) == "defer"
    assert summaries(answer) == ["Blood count needed before lenalidomide: no ANC and no platelets"]


def test_epic_the_medication_is_a_further_entry_of_the_draft_orders() -> None:
    assert action(answer_to("epic-medication-in-draft-orders")) == "modify 10/28"


def test_epic_the_correction_names_the_new_capsule_in_the_order_itself() -> None:
    corrected = corrected_order(answer_to("epic-medication-in-draft-orders"))
    assert "medicationReference" not in corrected
    assert corrected["medicationCodeableConcept"]["coding"][0]["code"] == "602910"


def test_epic_of_several_kinds_of_dose_the_ordered_one_counts() -> None:
    assert action(answer_to("epic-several-dose-types")) == "modify 10/28"


# --- Other shapes of an order ---


def test_an_r5_order_is_read_and_corrected_in_its_own_shape() -> None:
    answer = answer_to("r5-medication-request")
    assert action(answer) == "modify 10/28"
    corrected = corrected_order(answer)
    assert "medicationCodeableConcept" not in corrected
    assert corrected["medication"]["concept"]["coding"][0]["code"] == "602910"


def test_a_product_is_known_by_its_ndc() -> None:
    assert action(answer_to("ndc-only")) == "modify 10/28"


def test_lenalidomide_by_its_text_only_is_not_silently_ignored() -> None:
    answer = answer_to("text-only-lenalidomide")
    assert action(answer) == "defer"
    (card,) = answer["cards"]
    assert "without a known code" in card["detail"]


def test_another_drug_by_its_text_is_none_of_ours() -> None:
    answer = answer_to("text-only-other-drug")
    assert answer["cards"] == []
    assert explanation(answer)["drafts"] == []


def test_a_contained_medication_is_read() -> None:
    assert action(answer_to("contained-medication")) == "modify 10/28"


def test_a_contained_medication_that_nothing_needs_any_more_is_dropped_from_the_correction() -> None:
    corrected = corrected_order(answer_to("contained-medication"))
    assert "contained" not in corrected
    assert "medicationReference" not in corrected


def test_a_medication_not_sent_whose_display_says_lenalidomide_gets_a_card() -> None:
    answer = answer_to("medication-not-supplied")
    assert action(answer) == "defer"
    assert len(answer["cards"]) == 1


def test_an_order_type_of_older_fhir_is_skipped() -> None:
    assert answer_to("dstu2-medication-order")["cards"] == []


def test_other_orders_of_the_session_do_not_disturb() -> None:
    answer = answer_to("other-orders-in-the-session")
    assert action(answer) == "modify 10/28"
    assert list(unread(answer)) == ["context.draftOrders.entry[2]"]


# --- Results ---


def test_counts_in_the_components_of_a_panel_are_read_in_their_own_units() -> None:
    answer = answer_to("panel-with-components")
    assert action(answer) == "hold"
    assert summaries(answer) == ["Hold lenalidomide: ANC 0.41 ×10⁹/L (24 Jul), below 0.5"]


def test_urn_uuid_references_mean_the_patient() -> None:
    assert action(answer_to("urn-uuid-references")) == "hold"


def test_the_result_of_another_patient_is_refused_and_reported() -> None:
    answer = answer_to("another-patients-result")
    assert action(answer) == "proceed 10/28"
    assert unread(answer) == {"Observation/anc-of-someone-else": "subject is another patient"}


def test_a_result_whose_patient_reference_is_no_url_costs_only_itself() -> None:
    answer = answer_to("reference-that-is-no-url")
    assert action(answer) == "proceed 10/28"
    assert list(unread(answer)) == ["Observation/anc-of-nobody"]


def test_a_server_address_that_is_no_url_does_not_stop_the_answer() -> None:
    request = load(ODD / "urn-uuid-references.json") | {"fhirServer": "http://[ehr"}
    assert action(ask(json.dumps(request), "lenalidomide-order-sign")) == "hold"


def test_a_newest_count_that_cannot_be_read_is_not_passed_over_in_silence() -> None:
    request = load(REQUESTS / "order-sign-neutropenia-in-weekly-counts.json")
    newest = next(
        entry["resource"]
        for entry in request["prefetch"]["counts"]["entry"]
        if entry["resource"].get("valueQuantity", {}).get("value") == 0.4
    )
    newest["valueQuantity"]["value"] = "see comment"
    answer = ask(json.dumps(request), "lenalidomide-order-sign")
    assert answer["cards"]


def test_an_amended_result_replaces_its_first_version_and_copies_count_once() -> None:
    answer = answer_to("duplicate-and-amended-results")
    assert action(answer) == "proceed 10/28"
    assert answer["cards"] == []


def test_of_a_partial_page_what_came_counts() -> None:
    assert action(answer_to("partial-page")) == "proceed 10/28"


def test_a_value_that_is_nan_is_unread_and_the_count_is_asked_for() -> None:
    answer = answer_to("nan-value")
    assert action(answer) == "defer"
    assert unread(answer) == {"Observation/anc-01": "neutrophils value is not a usable number"}
    assert "monitoring.cbc-due" in fired(answer)


def test_a_value_with_an_absurd_exponent_is_unread_and_the_creatinine_is_asked_for() -> None:
    answer = answer_to("huge-exponent-value")
    assert action(answer) == "defer"
    assert unread(answer) == {"Observation/creatinine-01": "creatinine value is not a usable number"}
    assert "renal.unknown" in fired(answer)


def test_one_broken_resource_costs_only_itself() -> None:
    answer = answer_to("broken-resource-among-good-ones")
    assert action(answer) == "hold"
    assert "Observation/broken" in unread(answer)


def test_objects_where_fhir_wants_lists_are_read() -> None:
    assert action(answer_to("conditions-as-objects")) == "modify 10/28"
    assert fired(answer_to("conditions-as-objects")) == {"dosing.start-dose", *SAID_TO_EVERY_MAN}


def test_unknown_members_everywhere_change_nothing() -> None:
    answer = answer_to("unknown-members")
    assert action(answer) == "modify 10/28"
    assert fired(answer) == {"dosing.start-dose", *SAID_TO_EVERY_MAN}
    assert unread(answer) == {}


def test_a_correction_echoes_members_that_are_not_known() -> None:
    draft = drafted("unknown-members")
    foreign = {key: value for key, value in draft.items() if key.startswith("x-vendor")}
    assert foreign
    assert foreign.items() <= corrected_order(answer_to("unknown-members")).items()


def test_text_that_is_not_unicode_is_answered() -> None:
    body = (ODD / "text-only-lenalidomide.json").read_text(encoding="utf-8")
    answer = ask(body.replace("(site formulary)", r"\ud800"), "lenalidomide-order-sign")
    assert action(answer) == "defer"


def test_a_past_order_with_an_absurd_supply_does_not_stop_the_answer() -> None:
    assert action(answer_to("days-supply-beyond-any-calendar")) in {"proceed 10/28", "defer"}


def test_a_past_order_at_the_end_of_the_calendar_does_not_stop_the_answer() -> None:
    assert action(answer_to("order-at-the-end-of-the-calendar")) in {"proceed 10/28", "defer"}


def test_a_draft_at_the_end_of_the_calendar_gets_a_card() -> None:
    assert answer_to("draft-at-the-end-of-the-calendar")["cards"]


def test_every_odd_request_has_a_test() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [file.stem for file in sorted(ODD.iterdir()) if f'"{file.stem}"' not in source] == []
