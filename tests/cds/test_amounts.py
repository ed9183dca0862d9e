"""How much of another drug is taken: on one day, which tells what an anticoagulant is for, and in 28 days."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.fhir import read_as_history

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
CODES = {
    "dexamethasone": "3264",
    "apixaban": "1364430",
    "enoxaparin": "67108",
    "dalteparin": "67109",
    "aspirin": "1191",
}
Json = dict[str, Any]


def order(drug: str, *lines: Json, **elements: Any) -> Any:
    resource = {
        "resourceType": "MedicationRequest",
        "id": "other-1",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/patient-1"},
        "medicationCodeableConcept": {"coding": [{"system": RXNORM, "code": CODES[drug]}]},
        "authoredOn": "2024-05-01",
        "dosageInstruction": list(lines),
        **elements,
    }
    (read,) = read_as_history(resource)
    return read


def amounts(drug: str, *lines: Json) -> tuple[str | None, str | None]:
    """On a day, and in 28 days."""
    read = order(drug, *lines)
    return tuple(
        None if amount is None else f"{amount.normalize():f}"
        for amount in (read.amount_per_day, read.amount_in_28_days)
    )  # type: ignore[return-value]


def said(words: str) -> Json:
    return {"text": words}


def timed(dose: float, unit: str = "mg", **repeat: Any) -> Json:
    return {
        "timing": {"repeat": repeat},
        "doseAndRate": [{"doseQuantity": {"value": Decimal(str(dose)), "unit": unit}}],
    }


@pytest.mark.parametrize(
    ("words", "per_day", "in_28_days"),
    [
        ("40 mg once weekly", "40", "160"),
        ("40 mg weekly", "40", "160"),
        ("40 mg every week", "40", "160"),
        ("20 mg twice weekly", "20", "160"),
        ("20 mg twice a week", "20", "160"),
        ("20 mg three times weekly", "20", "240"),
        ("4 mg once daily", "4", "112"),
        ("4 mg every other day", "4", "56"),
        ("40 mg on days 1, 8, 15 and 22", "40", "160"),
        ("40 mg on days 1-4, 9-12 and 17-20", "40", "480"),
        ("40 mg once daily for 4 days every 28 days", "40", "160"),
        ("20 mg twice daily on days 1-4", "40", "160"),
        ("40 mg once daily x 4 days", "40", "160"),
        ("40 mg on days 1-4, then weekly", "40", None),
        ("40 mg on days 1-4 of a 21-day cycle", None, None),
        ("40 mg every second week", None, None),
        ("as directed", None, None),
        ("40 mg", None, None),
        ("20-40 mg weekly", None, None),
        ("40 mg weekly. " + "x " * 1000, None, None),
    ],
)
def test_dexamethasone_in_words(words: str, per_day: str | None, in_28_days: str | None) -> None:
    assert amounts("dexamethasone", said(words)) == (per_day, in_28_days)


@pytest.mark.parametrize(
    ("line", "per_day", "in_28_days"),
    [
        (timed(40, frequency=1, period=1, periodUnit="wk"), "40", "160"),
        (timed(40, frequency=1, period=7, periodUnit="d"), "40", "160"),
        (timed(40, dayOfWeek=["mon"]), "40", "160"),
        (timed(20, dayOfWeek=["mon", "tue"], frequency=1, period=1, periodUnit="d"), "20", "160"),
        (timed(20, dayOfWeek=["mon", "tue"], frequency=2, period=1, periodUnit="wk"), "20", "160"),
        (timed(4, frequency=1, period=1, periodUnit="d"), "4", "112"),
        (timed(4, frequency=2, period=1, periodUnit="d"), "8", "224"),
        (timed(4, frequency=1, period=12, periodUnit="h"), "8", "224"),
        (timed(4, frequency=1, period=2, periodUnit="d"), "4", "56"),
        (timed(4, frequency=1, period=1, periodUnit="d", timeOfDay=["08:00", "20:00"]), "8", "224"),
        (timed(40, frequency=1, period=1, periodUnit="d", boundsDuration={"value": 4, "code": "d"}), "40", "160"),
        (timed(40, frequency=1, period=1, periodUnit="fortnight"), None, None),
    ],
)
def test_dexamethasone_by_structure(line: Json, per_day: str | None, in_28_days: str | None) -> None:
    assert amounts("dexamethasone", line) == (per_day, in_28_days)


@pytest.mark.parametrize(
    ("drug", "line", "per_day"),
    [
        ("apixaban", said("5 mg twice daily"), "10"),
        ("apixaban", said("5 mg BD"), "10"),
        ("apixaban", said("5 mg 2 (two) times a day"), "10"),
        ("apixaban", said("5 mg every 12 (twelve) hours"), "10"),
        ("apixaban", said("Take 5 mg by mouth in the morning and 5 mg before bedtime"), "10"),
        ("apixaban", said("5 mg twice daily. Weekly platelet count"), "10"),
        ("apixaban", said("5 mg twice-daily"), "10"),
        ("apixaban", said("5 mg twice each day"), "10"),
        ("apixaban", said("5 mg  twice  daily"), "10"),
        ("apixaban", said("5 mg 2x/day"), "10"),
        ("apixaban", said("5 mg every 12 hrs"), "10"),
        ("apixaban", said("5 mg twice per day"), "10"),
        ("apixaban", said("5 mg twice daily to prevent blood clots"), "10"),
        ("apixaban", said("5 mg once daily in the morning or evening"), "5"),
        ("apixaban", said("10 mg BID x 7 days, then 5 mg BID"), None),
        ("apixaban", {**timed(5, frequency=1, period=1, periodUnit="d"), "text": "5 mg BID"}, None),
        ("apixaban", timed(10, frequency=2, period=1, periodUnit="d", boundsDuration={"value": 7, "code": "d"}), "20"),
        ("enoxaparin", said("1 mg/kg every 12 hours"), None),
        ("enoxaparin", timed(80, frequency=2, period=1, periodUnit="d"), "160"),
        ("enoxaparin", said("4000 IU once daily"), "40"),
        ("enoxaparin", timed(4000, "[iU]", frequency=1, period=1, periodUnit="d"), "40"),
        ("dalteparin", said("5,000 units once daily"), "5000"),
        ("dalteparin", timed(15000, "unit", frequency=1, period=1, periodUnit="d"), "15000"),
        ("dalteparin", said("1 unit once daily"), None),
    ],
)
def test_the_dose_of_one_day_tells_what_an_anticoagulant_is_for(drug: str, line: Json, per_day: str | None) -> None:
    assert amounts(drug, line)[0] == per_day


@pytest.mark.parametrize(
    ("drug", "line", "topical"),
    [
        ("enoxaparin", {"text": "40 mg once daily", "route": {"text": "Subcutaneous"}}, False),
        ("enoxaparin", {"text": "40 mg once daily", "route": {"text": "Sub-cutaneous"}}, False),
        ("enoxaparin", {"text": "40 mg once daily", "route": {"text": "sub cutaneous"}}, False),
        (
            "enoxaparin",
            {"text": "40 mg once daily", "route": {"coding": [{"code": "1", "display": "Subcutaneous route"}]}},
            False,
        ),
        ("apixaban", {"text": "5 mg twice daily", "route": {"text": "percutaneous gastrostomy"}}, False),
        ("enoxaparin", said("40 mg once daily. Apply pressure to the site. Call if hemoglobin drops"), False),
        ("dexamethasone", said("1 drop in each eye"), True),
        ("dexamethasone", said("apply to the rash"), True),
        ("dexamethasone", {"text": "0.1 %", "route": {"text": "Cutaneous route"}}, True),
        ("dexamethasone", {"text": "4 mg once daily", "route": {"text": "oral"}}, False),
    ],
)
def test_an_injection_is_not_given_on_the_skin(drug: str, line: Json, *, topical: bool) -> None:
    assert order(drug, line).topical is topical


@pytest.mark.parametrize(
    ("line", "single"),
    [
        (said("8 mg once before chemotherapy"), True),
        (said("8 mg as a single dose"), True),
        (timed(8, count=1), True),
        ({**said("8 mg once daily"), "asNeededBoolean": True}, True),
        (said("4 mg once daily as needed for nausea"), True),
        (said("4 mg once daily"), False),
        (said("40 mg once a week"), False),
        (said("4 mg once nightly"), False),
        (said("4 mg once-daily"), False),
        (said("4 mg once with dinner"), False),
        (said("4 mg, one dose every 12 hours"), False),
        (said("4 mg daily. Adjust dose as needed per INR"), False),
        ({**timed(5, frequency=2, period=1, periodUnit="d"), "text": "crush if needed for swallowing"}, False),
    ],
)
def test_a_single_dose_or_one_as_needed_is_no_treatment(line: Json, *, single: bool) -> None:
    assert order("dexamethasone", line).single_dose is single


@pytest.mark.parametrize(
    ("line", "by_weight"),
    [
        (said("1 mg/kg every 12 hours"), Decimal(1)),
        (said("1.5 mg per kg once daily"), Decimal("1.5")),
        (timed(1, "mg/kg", frequency=2, period=1, periodUnit="d"), Decimal(1)),
        (said("80 mg every 12 hours"), None),
        (said("1 mg/kg, then 1.5 mg/kg"), None),
    ],
)
def test_a_dose_by_body_weight(line: Json, by_weight: Decimal | None) -> None:
    assert order("enoxaparin", line).dose_per_kilogram == by_weight


def test_an_order_ends_where_its_bound_does_though_its_rhythm_is_not_daily() -> None:
    ended = timed(40, frequency=1, period=1, periodUnit="wk", boundsPeriod={"start": "2024-01-01", "end": "2024-04-30"})
    read = order("dexamethasone", ended)
    assert read.end is not None
    assert read.end.isoformat() == "2024-04-30"
