"""Orders: how many milligrams are taken on a dosing day."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cds.level import Schedule
from cds.snapshot import Dosing
from tests.support.fhir import RXNORM, SNOMED, UCUM, coded, dosage, fired, lenalidomide, order, read_as_draft, request

_DAILY = {"frequency": 1, "period": 1, "periodUnit": "d"}
_DOSE_TYPE = "http://terminology.hl7.org/CodeSystem/dose-rate-type"


def _dosing(*lines: Any, **changes: Any) -> Dosing:
    found = read_as_draft(order(*lines, **changes))
    assert found is not None
    return found.dosing


def _is_unknown(dosing: Dosing) -> bool:
    """Unknown with a reason: never a guess, never silent."""
    return dosing.level is None and bool(dosing.problems)


# --- Dose units ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "code"),
    [
        (10, "mg", None),
        (10, "MG", None),
        (10, "mg", "mg"),
        (10, "milligram", "mg"),
        (10, None, "mg"),
        (Decimal("0.01"), "g", "g"),
        (10000, "ug", "ug"),
        (1, "capsule", None),
        (1, "Capsule", None),
        (1, "capsules", None),
        (1, "cap", None),
        (1, "caps", None),
        (1, "{capsule}", "{capsule}"),
        (1, "capsule", "{Capsule}"),
        (1, "{pill}", "{pill}"),
        (1, "pill", "{pill}"),
        (1, "{tbl}", "{tbl}"),
        (1, "each", None),
        (1, "1", "1"),
        (1, None, None),
        ("10", "mg", None),
        (10.0, "mg", None),
    ],
)
def test_a_dose_in_milligrams_or_in_capsules_of_a_coded_strength_is_read(
    value: object, unit: str | None, code: str | None
) -> None:
    quantity = {"value": value, "unit": unit, "code": code, "system": None if code is None else UCUM}
    stated = {key: item for key, item in quantity.items() if item is not None}

    dosing = _dosing(dosage(doseAndRate=[{"doseQuantity": stated}]))

    assert (dosing.daily_mg, dosing.schedule, dosing.per_day) == (Decimal(10), Schedule.CONTINUOUS, 1)


def test_a_capsule_with_a_code_of_another_system_is_known_by_its_unit() -> None:
    quantity = {"value": 1, "unit": "capsule", "system": SNOMED, "code": "385049006"}

    assert _dosing(dosage(doseAndRate=[{"doseQuantity": quantity}])).daily_mg == 10


def test_two_capsules_are_twice_the_strength() -> None:
    assert _dosing(dosage(2, "capsule"), medicationCodeableConcept=lenalidomide("602912")).daily_mg == 10


def test_capsules_of_unknown_strength_are_no_dose() -> None:
    assert _is_unknown(_dosing(dosage(1, "capsule"), medicationCodeableConcept=lenalidomide("342369")))


@pytest.mark.parametrize(
    "quantity",
    [
        {"value": 10, "unit": "mL"},
        {"value": 10, "unit": "mg/kg"},
        {"value": 10, "unit": "mg/m2"},
        {"value": 10, "unit": "foo"},
        {"value": 0, "unit": "mg"},
        {"value": -10, "unit": "mg"},
        {"value": 10, "unit": "mg", "comparator": "<"},
        {"value": "ten", "unit": "mg"},
        {"value": None, "unit": "mg"},
        {"unit": "mg"},
        {"value": Decimal("NaN"), "unit": "mg"},
        {"value": Decimal("1e999"), "unit": "mg"},
        {"value": 10, "unit": "g", "system": UCUM, "code": "mg"},
        {"value": 1, "unit": "capsule", "system": UCUM, "code": "mg"},
        "10 mg",
        None,
    ],
    ids=str,
)
def test_a_dose_that_cannot_be_told_is_unknown_with_a_reason(quantity: object) -> None:
    assert _is_unknown(_dosing(dosage(doseAndRate=[{"doseQuantity": quantity}])))


# --- Several doses ---------------------------------------------------------------------------------------------------


def _typed(code: str, value: object, unit: str = "mg") -> dict[str, Any]:
    return {"type": coded(_DOSE_TYPE, code), "doseQuantity": {"value": value, "unit": unit}}


@pytest.mark.parametrize("order_of", [(0, 1), (1, 0)])
def test_of_an_ordered_and_a_calculated_dose_the_ordered_one_counts(order_of: tuple[int, int]) -> None:
    doses = [_typed("calculated", 15), _typed("ordered", 10)]

    assert _dosing(dosage(doseAndRate=[doses[index] for index in order_of])).daily_mg == 10


def test_an_ordered_dose_in_an_unreadable_unit_is_not_replaced_by_the_calculated_one() -> None:
    assert _is_unknown(_dosing(dosage(doseAndRate=[_typed("calculated", 10), _typed("ordered", 1, "mL")])))


@pytest.mark.parametrize("types", [("ordered", "ordered"), ("calculated", "calculated")])
def test_two_different_doses_of_one_type_are_unknown(types: tuple[str, str]) -> None:
    assert _is_unknown(_dosing(dosage(doseAndRate=[_typed(types[0], 10), _typed(types[1], 15)])))
    assert _is_unknown(_dosing(dosage(doseAndRate=[{"doseQuantity": {"value": mg, "unit": "mg"}} for mg in (5, 10)])))


def test_a_calculated_dose_alone_counts() -> None:
    assert _dosing(dosage(doseAndRate=[_typed("calculated", 10)])).daily_mg == 10


def test_a_dose_and_rate_object_is_read_like_a_list_of_one() -> None:
    assert _dosing(dosage(doseAndRate={"doseQuantity": {"value": 10, "unit": "mg"}})).daily_mg == 10


def test_a_range_of_doses_is_unknown_and_one_without_extent_is_a_dose() -> None:
    def ranged(low: object, high: object) -> dict[str, Any]:
        return dosage(doseAndRate=[{"doseRange": {"low": low, "high": high}}])

    five, ten = {"value": 5, "unit": "mg"}, {"value": 10, "unit": "mg"}

    assert _is_unknown(_dosing(ranged(five, ten)))
    assert _is_unknown(_dosing(ranged(None, ten)))
    assert _dosing(ranged(ten, {"value": 1, "unit": "capsule"})).daily_mg == 10


def test_the_stu3_shape_of_a_dose_is_read() -> None:
    assert _dosing({"timing": {"repeat": _DAILY}, "doseQuantity": {"value": 10, "unit": "mg"}}).daily_mg == 10


# --- Several lines ---------------------------------------------------------------------------------------------------


def test_two_lines_of_the_same_days_add_up() -> None:
    dosing = _dosing(dosage(10), dosage(5))

    assert (dosing.daily_mg, dosing.schedule, dosing.per_day) == (Decimal(15), Schedule.CONTINUOUS, 1)


@pytest.mark.parametrize(
    ("morning", "evening"),
    [
        ({"repeat": {**_DAILY, "when": ["MORN"]}}, {"repeat": {**_DAILY, "when": ["EVE"]}}),
        ({"repeat": {**_DAILY, "timeOfDay": ["08:00:00"]}}, {"repeat": {**_DAILY, "timeOfDay": ["20:00:00"]}}),
        (
            {"code": coded("http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation", "AM")},
            {"code": coded("http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation", "PM")},
        ),
    ],
    ids=["when", "timeOfDay", "code"],
)
def test_a_morning_and_an_evening_line_are_a_split_dose(morning: dict[str, Any], evening: dict[str, Any]) -> None:
    dosing = _dosing(dosage(5, timing=morning), dosage(5, timing=evening))

    assert (dosing.daily_mg, dosing.schedule, dosing.per_day) == (Decimal(10), Schedule.CONTINUOUS, 2)


def test_lines_that_follow_one_another_are_no_one_dose() -> None:
    first = {**_DAILY, "boundsPeriod": {"start": "2024-05-15", "end": "2024-05-28"}}
    then = {**_DAILY, "boundsPeriod": {"start": "2024-05-29", "end": "2024-06-11"}}

    dosing = _dosing(dosage(5, repeat=first), dosage(10, repeat=then))

    assert _is_unknown(dosing)
    assert dosing.daily_mg != 15


def test_lines_of_different_sequence_with_bounds_are_not_added() -> None:
    month = {**_DAILY, "boundsDuration": {"value": 28, "unit": "d"}}

    dosing = _dosing(dosage(10, repeat=month, sequence=1), dosage(15, repeat=month, sequence=2))

    assert _is_unknown(dosing)
    assert dosing.daily_mg != 25


def test_lines_of_different_schedules_have_no_one_schedule() -> None:
    three_weeks = {**_DAILY, "boundsDuration": {"value": 21, "unit": "d"}}

    assert _is_unknown(_dosing(dosage(10), dosage(5, repeat=three_weeks)))


def test_one_unreadable_line_makes_the_dose_unknown() -> None:
    assert _is_unknown(_dosing(dosage(10), dosage(5, "mL")))


@pytest.mark.parametrize(
    "lines", [[], {}, None, "10 mg daily", ["10 mg daily"], [{}], [{"timing": {"repeat": _DAILY}}]]
)
def test_an_order_without_a_dose_is_read_and_its_dose_is_unknown(lines: object) -> None:
    found = read_as_draft(order(dosageInstruction=lines))

    assert found is not None
    assert _is_unknown(found.dosing)


def test_a_single_dosage_object_is_read_like_a_list_of_one() -> None:
    found = read_as_draft(order(dosageInstruction=dosage(10)))

    assert found is not None
    assert found.dosing.daily_mg == 10


# --- Conditions on taking it -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "needed",
    [
        {"asNeededBoolean": True},
        {"asNeededCodeableConcept": {"text": "pain"}},
        {"asNeeded": True},
        {"asNeededFor": [{"text": "pain"}]},
    ],
    ids=str,
)
def test_a_dose_as_needed_is_unknown(needed: dict[str, Any]) -> None:
    assert _is_unknown(_dosing(dosage(10, **needed)))


@pytest.mark.parametrize("needed", [{"asNeededBoolean": False}, {"asNeeded": False}])
def test_a_dose_not_as_needed_is_an_ordinary_one(needed: dict[str, Any]) -> None:
    assert _dosing(dosage(10, **needed)).daily_mg == 10


_UNKNOWN_MODIFIER = {"modifierExtension": [{"url": "http://example.org/taper", "valueBoolean": True}]}


@pytest.mark.parametrize(
    "modified",
    [
        order(**_UNKNOWN_MODIFIER),
        order(dosage(10, **_UNKNOWN_MODIFIER)),
        order(dosage(10, timing={"repeat": _DAILY, **_UNKNOWN_MODIFIER})),
        order(dispenseRequest={"quantity": {"value": 28}, **_UNKNOWN_MODIFIER}),
        order(substitution={"allowedBoolean": True, **_UNKNOWN_MODIFIER}),
    ],
    ids=["order", "dosage", "timing", "dispenseRequest", "substitution"],
)
def test_an_unknown_modifier_extension_makes_the_order_uninterpretable(modified: dict[str, Any]) -> None:
    found = read_as_draft(modified)

    assert found is not None
    assert _is_unknown(found.dosing)
    assert "http://example.org/taper" in " ".join(found.dosing.problems)


# --- What it means for the answer ------------------------------------------------------------------------------------


def test_a_split_dose_is_a_finding_about_frequency() -> None:
    split = {"dose_mg": "5", "doses_per_day": 2, "schedule_days": "28", "days_supply": 28, "refills": 0}

    assert "dosing.frequency" in fired(request(drafts=[split]))


def test_a_dose_that_cannot_be_told_is_said_so_and_deferred() -> None:
    hook_request = request()
    (entry,) = hook_request["context"]["draftOrders"]["entry"]
    entry["resource"]["medicationCodeableConcept"] = coded(RXNORM, "342369")
    entry["resource"]["dosageInstruction"] = [dosage(1, "capsule")]

    assert "dosing.level-unknown" in fired(hook_request)
