"""The order history: which orders count, from when to when, and in which shape they may come."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from cds.level import Schedule
from tests.support.fhir import (
    SUBJECT,
    dosage,
    explained,
    judged,
    lenalidomide,
    order,
    read_as_draft,
    read_as_history,
    reasons,
    request,
    with_resources,
)

_DAILY = {"frequency": 1, "period": 1, "periodUnit": "d"}
_SUPPLY = {"expectedSupplyDuration": {"value": 28, "unit": "days", "code": "d"}, "numberOfRepeatsAllowed": 0}


def _past(identifier: str, start: str, *lines: dict[str, Any], **changes: Any) -> dict[str, Any]:
    past = {"id": identifier, "status": "completed", "authoredOn": start, "dispenseRequest": _SUPPLY}
    return order(*lines, **{**past, **changes})


def _dispense(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "resourceType": "MedicationDispense",
        "id": "fill-1",
        "status": "completed",
        "medicationCodeableConcept": lenalidomide(),
        "subject": SUBJECT,
        "whenHandedOver": "2024-04-17",
        "daysSupply": {"value": 28, "unit": "days"},
        "quantity": {"value": 28, "unit": "capsule"},
        "dosageInstruction": [dosage()],
    }
    return {key: value for key, value in {**base, **changes}.items() if value is not None}


def _facts(*history: dict[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = judged(with_resources(request(), *history))["facts"]
    return facts


# --- Which orders count ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["active", "completed", "ended"])
def test_an_order_that_was_given_counts_as_treatment(status: str) -> None:
    assert _facts(_past("rx-1", "2024-04-17", status=status))["completed_cycles"] == 1


@pytest.mark.parametrize("status", ["draft", "cancelled", "entered-in-error", "unknown", "foo", "", None])
def test_an_order_that_was_not_given_is_no_treatment(status: str | None) -> None:
    facts = _facts(_past("rx-1", "2024-04-17", status=status))

    assert (facts["completed_cycles"], facts["current_level"]) == (0, None)


@pytest.mark.parametrize("intent", ["order", "original-order", "reflex-order", "filler-order", "instance-order"])
def test_an_order_of_the_order_family_counts(intent: str) -> None:
    assert _facts(_past("rx-1", "2024-04-17", intent=intent))["completed_cycles"] == 1


@pytest.mark.parametrize("intent", ["proposal", "plan", "option"])
def test_a_proposal_plan_or_option_is_no_treatment(intent: str) -> None:
    assert _facts(_past("rx-1", "2024-04-17", intent=intent))["completed_cycles"] == 0


def test_an_order_not_to_perform_does_not_count() -> None:
    prohibition = _past("rx-1", "2024-04-17", doNotPerform=True)

    assert read_as_history(prohibition) == ()
    assert read_as_draft(order(doNotPerform=True)) is None


def test_a_draft_not_to_perform_or_entered_in_error_is_not_judged() -> None:
    for change in ({"doNotPerform": True}, {"status": "entered-in-error"}):
        hook_request = request()
        (entry,) = hook_request["context"]["draftOrders"]["entry"]
        entry["resource"].update(change)
        assert explained(hook_request)["drafts"] == []


def test_another_patients_order_is_refused_and_reported() -> None:
    theirs = _past("rx-1", "2024-04-17", subject={"reference": "Patient/patient-2"})

    assert read_as_history(theirs) == ()
    assert "MedicationRequest/rx-1" in reasons(theirs)
    assert _facts(theirs)["completed_cycles"] == 0


def test_an_order_of_another_drug_says_nothing_of_lenalidomide() -> None:
    assert (
        _facts(_past("rx-1", "2024-04-17", medicationCodeableConcept={"text": "thalidomide"}))["completed_cycles"] == 0
    )


def test_a_past_order_known_by_its_text_only_leaves_the_level_unknown() -> None:
    by_text = _past("rx-1", "2024-04-17", medicationCodeableConcept={"text": "Revlimid 10 mg capsule"})
    draft = judged(with_resources(request(), by_text))

    assert "dosing.level-unknown" in {finding["id"] for finding in draft["findings"]}


def test_an_active_order_whose_medication_was_not_supplied_is_named() -> None:
    unresolved = order(medicationCodeableConcept=None, medicationReference={"reference": "Medication/elsewhere"})

    assert "Medication/elsewhere" in reasons(unresolved)["MedicationRequest/rx-1"]


# --- Where an order begins and how long it lasts -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"dosageInstruction": [dosage(repeat={**_DAILY, "boundsPeriod": {"start": "2024-05-03"}})]},
        {"effectiveDosePeriod": {"start": "2024-05-03"}},
        {"dispenseRequest": {"validityPeriod": {"start": "2024-05-03"}}},
        {"authoredOn": "2024-05-03"},
        {"authoredOn": "2024-05-03T23:59:00Z"},
    ],
    ids=str,
)
def test_an_order_begins_with_its_bounds_else_its_validity_else_its_signature(changes: dict[str, Any]) -> None:
    (found,) = read_as_history(order(**changes))

    assert found.start == date(2024, 5, 3)


def test_the_bounds_go_before_the_signature() -> None:
    line = dosage(repeat={**_DAILY, "boundsPeriod": {"start": "2024-05-03"}})

    (found,) = read_as_history(order(line, authoredOn="2024-04-01", effectiveDosePeriod={"start": "2024-04-02"}))

    assert found.start == date(2024, 5, 3)


@pytest.mark.parametrize(
    ("supply", "days"),
    [
        ({"value": 28, "unit": "days", "code": "d"}, 28),
        ({"value": 28, "unit": "d"}, 28),
        ({"value": 28, "unit": "day"}, 28),
        ({"value": 4, "unit": "wk", "code": "wk"}, 28),
        ({"value": 4, "unit": "weeks"}, 28),
        ({"value": 1, "unit": "mo"}, 30),
        ({"value": "28", "unit": "days"}, 28),
        ({"value": 28, "unit": "foo"}, None),
        ({"unit": "days"}, None),
        ("28 days", None),
    ],
    ids=str,
)
def test_the_days_of_supply_are_read(supply: object, days: int | None) -> None:
    (found,) = read_as_history(order(dispenseRequest={"expectedSupplyDuration": supply}))

    assert found.days_supply == days


def test_quantity_and_refills_are_read() -> None:
    (found,) = read_as_history(
        order(dispenseRequest={"quantity": {"value": 21, "unit": "{capsule}"}, "numberOfRepeatsAllowed": 2})
    )

    assert (found.quantity, found.refills) == (Decimal(21), 2)


def test_a_quantity_in_milligrams_is_turned_into_capsules() -> None:
    (found,) = read_as_history(order(dispenseRequest={"quantity": {"value": 280, "unit": "mg", "code": "mg"}}))

    assert found.quantity == 28


def test_refills_not_stated_are_not_zero() -> None:
    (found,) = read_as_history(order(dispenseRequest={"quantity": {"value": 28}}))

    assert found.refills is None


@pytest.mark.parametrize("end", ["9999-12-31", "9999-12-31T23:59:59Z"])
def test_an_order_that_ends_never_is_answered(end: str) -> None:
    line = dosage(repeat={**_DAILY, "boundsPeriod": {"start": "2024-04-17", "end": end}})

    facts = _facts(_past("rx-1", "2024-04-17", line, status="active"))

    assert facts["current_level"] == {"dose_mg": 10, "schedule_days": 28}


@pytest.mark.parametrize("value", [3_000_000, 1e12, -28, 0])
def test_an_absurd_supply_is_answered(value: float) -> None:
    absurd = {"expectedSupplyDuration": {"value": value, "unit": "days", "code": "d"}}
    drafted = request()
    (entry,) = drafted["context"]["draftOrders"]["entry"]
    entry["resource"]["dispenseRequest"] = absurd

    for hook_request in (drafted, with_resources(request(), _past("rx-1", "2024-04-17", dispenseRequest=absurd))):
        findings = judged(hook_request)["findings"]
        assert [finding["id"] for finding in findings if finding["outcome"] == "failed"] == []


def test_a_draft_that_starts_at_the_end_of_time_is_answered() -> None:
    hook_request = request()
    (entry,) = hook_request["context"]["draftOrders"]["entry"]
    entry["resource"]["dosageInstruction"][0]["timing"]["repeat"]["boundsPeriod"] = {"start": "9999-12-31"}

    assert judged(hook_request)["recommendation"]


# --- Stopped orders --------------------------------------------------------------------------------------------------

_STOPPED_AFTER_10_DAYS = dosage(repeat={**_DAILY, "boundsPeriod": {"start": "2024-05-01", "end": "2024-05-10"}})


@pytest.mark.parametrize("status", ["stopped", "on-hold"])
def test_the_bound_of_a_stopped_order_is_its_stop_and_not_its_schedule(status: str) -> None:
    (found,) = read_as_history(order(_STOPPED_AFTER_10_DAYS, status=status))

    assert (found.end, found.dosing.daily_mg, found.dosing.schedule) == (date(2024, 5, 10), Decimal(10), None)


@pytest.mark.parametrize("status", ["stopped", "on-hold"])
def test_the_text_of_a_stopped_order_tells_its_schedule(status: str) -> None:
    line = {**_STOPPED_AFTER_10_DAYS, "text": "10 mg daily on days 1-21"}

    (found,) = read_as_history(order(line, status=status))

    assert found.dosing.schedule is Schedule.THREE_WEEKS


@pytest.mark.parametrize(("capsules", "schedule"), [(21, Schedule.THREE_WEEKS), (28, Schedule.CONTINUOUS), (25, None)])
def test_the_quantity_of_a_stopped_order_tells_its_schedule(capsules: int, schedule: Schedule | None) -> None:
    dispense = {**_SUPPLY, "quantity": {"value": capsules, "unit": "capsule"}}

    (found,) = read_as_history(order(_STOPPED_AFTER_10_DAYS, status="stopped", dispenseRequest=dispense))

    assert found.dosing.schedule is schedule


def test_a_stopped_order_without_text_or_quantity_has_the_protocols_schedule_for_its_dose() -> None:
    stopped = _past("rx-1", "2024-05-01", _STOPPED_AFTER_10_DAYS, status="stopped")

    assert _facts(stopped)["current_level"] == {"dose_mg": 10, "schedule_days": 28}


def test_the_day_of_the_stop_is_no_treatment_day() -> None:
    def stopped(last: str) -> dict[str, Any]:
        line = dosage(repeat={**_DAILY, "boundsPeriod": {"start": "2024-04-17", "end": last}})
        supply = {"expectedSupplyDuration": {"value": 56, "unit": "d"}}
        return _past("rx-1", "2024-04-17", line, status="stopped", dispenseRequest=supply)

    assert _facts(stopped("2024-05-14"))["completed_cycles"] == 0
    assert _facts(stopped("2024-05-15"))["completed_cycles"] == 1


def test_the_r5_date_of_a_stop_is_read() -> None:
    (found,) = read_as_history(order(status="stopped", statusChanged="2024-05-10T12:00:00Z"))

    assert found.end == date(2024, 5, 10)


# --- Other shapes ----------------------------------------------------------------------------------------------------


def test_the_r5_shape_of_an_order_is_read_like_the_r4_one() -> None:
    r5 = _past(
        "rx-1",
        "2024-04-17",
        status="ended",
        medicationCodeableConcept=None,
        medication={"concept": lenalidomide()},
        effectiveDosePeriod={"start": "2024-04-17", "end": "2024-05-14"},
        reason=[{"concept": {"text": "multiple myeloma"}}],
        renderedDosageInstruction="10 mg daily",
    )

    facts = _facts(r5)

    assert (facts["completed_cycles"], facts["current_level"]) == (1, {"dose_mg": 10, "schedule_days": 28})


def test_objects_instead_of_lists_are_read() -> None:
    sandbox = order(dosageInstruction=dosage(), category={"text": "community"}, reasonCode={"text": "myeloma"})

    (found,) = read_as_history(sandbox)

    assert found.dosing.daily_mg == 10


# --- Dispenses -------------------------------------------------------------------------------------------------------


def test_a_dispense_alone_counts_as_treatment() -> None:
    facts = _facts(_dispense())

    assert (facts["completed_cycles"], facts["current_level"]) == (1, {"dose_mg": 10, "schedule_days": 28})


@pytest.mark.parametrize("status", ["cancelled", "declined", "entered-in-error", "preparation", "unknown", None])
def test_a_dispense_that_did_not_happen_is_no_treatment(status: str | None) -> None:
    assert read_as_history(_dispense(status=status)) == ()


@pytest.mark.parametrize(
    "reference",
    ["MedicationRequest/rx-1", "MedicationRequest/rx-1/_history/1", "http://ehr.example/fhir/MedicationRequest/rx-1"],
)
def test_a_dispense_beside_its_order_is_not_counted_twice(reference: str) -> None:
    fill = _dispense(authorizingPrescription=[{"reference": reference}])

    found = read_as_history(_past("rx-1", "2024-04-17"), fill)

    assert [item.reference for item in found] == ["MedicationRequest/rx-1"]


def test_a_dispense_of_an_order_that_was_not_supplied_counts() -> None:
    fill = _dispense(authorizingPrescription=[{"reference": "MedicationRequest/elsewhere"}])

    assert [item.reference for item in read_as_history(_past("rx-1", "2024-03-20"), fill)] == [
        "MedicationRequest/rx-1",
        "MedicationDispense/fill-1",
    ]


@pytest.mark.parametrize(
    "garbage",
    [
        {"authorizingPrescription": 7},
        {"authorizingPrescription": {"reference": "MedicationRequest/rx-1"}},
        {"authorizingPrescription": "MedicationRequest/rx-1"},
        {"quantity": {"value": "many"}},
        {"daysSupply": {"value": "many"}},
        {"whenHandedOver": 7},
    ],
    ids=str,
)
def test_a_dispense_that_cannot_be_read_costs_only_itself(garbage: dict[str, Any]) -> None:
    found = read_as_history(_past("rx-1", "2024-03-20"), _dispense(**garbage))

    assert "MedicationRequest/rx-1" in [item.reference for item in found]


# --- One order after another -----------------------------------------------------------------------------------------


def test_two_overlapping_active_orders_leave_the_level_unknown_unless_one_replaces_the_other() -> None:
    earlier = _past("rx-1", "2024-05-01", status="active")
    later = _past("rx-2", "2024-05-08", dosage(5), status="active", medicationCodeableConcept=lenalidomide("602912"))
    replacing = {**later, "priorPrescription": {"reference": "MedicationRequest/rx-1"}}

    assert _facts(earlier, later)["current_level"] is None
    assert _facts(earlier, replacing)["current_level"] == {"dose_mg": 5, "schedule_days": 28}


@pytest.mark.parametrize(
    "reference", ["MedicationRequest/rx-1/_history/2", "http://ehr.example/fhir/MedicationRequest/rx-1"]
)
def test_the_replaced_order_is_recognised_by_every_form_of_reference(reference: str) -> None:
    earlier = _past("rx-1", "2024-05-01", status="active")
    later = _past("rx-2", "2024-05-08", dosage(5), status="active", medicationCodeableConcept=lenalidomide("602912"))

    facts = _facts(earlier, {**later, "priorPrescription": {"reference": reference}})

    assert facts["current_level"] == {"dose_mg": 5, "schedule_days": 28}


def test_two_strengths_ordered_together_are_one_level() -> None:
    ten = _past("rx-1", "2024-05-01", status="active")
    five = _past("rx-2", "2024-05-01", dosage(5), status="active", medicationCodeableConcept=lenalidomide("602912"))

    assert _facts(ten, five)["current_level"] == {"dose_mg": 15, "schedule_days": 28}


def test_a_version_of_an_order_replaces_the_older_one() -> None:
    older = order(dosage(15), meta={"versionId": "1"}, medicationCodeableConcept=lenalidomide("643712"))
    newer = order(dosage(10), meta={"versionId": "2"})

    for pair in ((older, newer), (newer, older)):
        (found,) = read_as_history(*pair)
        assert found.dosing.daily_mg == Decimal(10)
