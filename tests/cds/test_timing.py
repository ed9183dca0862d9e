"""Orders: how often and on which days of the cycle the dose is taken, by structure and by text."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cds.level import Schedule
from cds.snapshot import Dosing
from tests.support.fhir import HL7, coded, dosage, order, read_as_draft

_CONTINUOUS, _THREE_WEEKS, _QOD = Schedule.CONTINUOUS, Schedule.THREE_WEEKS, Schedule.EVERY_OTHER_DAY
_DAILY = {"frequency": 1, "period": 1, "periodUnit": "d"}
_GTS = f"{HL7}/v3-GTSAbbreviation"
_CYCLIC = [
    "http://nictiz.nl/fhir/StructureDefinition/zib-Medication-RepeatPeriodCyclicalSchedule",
    "http://nictiz.nl/fhir/StructureDefinition/ext-InstructionsForUse.RepeatPeriodCyclicalSchedule",
]


def _dosing(*lines: Any, **changes: Any) -> Dosing:
    found = read_as_draft(order(*lines, **changes))
    assert found is not None
    return found.dosing


def _of(repeat: dict[str, Any], **line: Any) -> Dosing:
    return _dosing(dosage(10, repeat=repeat, **line))


def _said(text: str) -> Dosing:
    return _dosing({"text": text})


def _is_unknown(dosing: Dosing) -> bool:
    return dosing.level is None and bool(dosing.problems)


# --- Frequency -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("repeat", "daily_mg", "per_day", "schedule"),
    [
        ({"frequency": 1, "period": 1, "periodUnit": "d"}, 10, 1, _CONTINUOUS),
        ({"period": 1, "periodUnit": "d"}, 10, 1, _CONTINUOUS),
        ({"frequency": 1, "period": 24, "periodUnit": "h"}, 10, 1, _CONTINUOUS),
        ({"frequency": 1, "period": 1440, "periodUnit": "min"}, 10, 1, _CONTINUOUS),
        ({"frequency": 7, "period": 1, "periodUnit": "wk"}, 10, 1, _CONTINUOUS),
        ({"frequency": 1, "period": 1, "periodUnit": "day"}, 10, 1, _CONTINUOUS),
        ({"frequency": "1", "period": "1", "periodUnit": "d"}, 10, 1, _CONTINUOUS),
        ({"frequency": 1.0, "period": 1.0, "periodUnit": "d"}, 10, 1, _CONTINUOUS),
        ({"frequency": 1, "frequencyMax": 1, "period": 1, "periodMax": 1, "periodUnit": "d"}, 10, 1, _CONTINUOUS),
        ({"frequency": 2, "period": 1, "periodUnit": "d"}, 20, 2, _CONTINUOUS),
        ({"frequency": 1, "period": 12, "periodUnit": "h"}, 20, 2, _CONTINUOUS),
        ({"frequency": 3, "period": 1, "periodUnit": "d"}, 30, 3, _CONTINUOUS),
        ({"frequency": 1, "period": 8, "periodUnit": "h"}, 30, 3, _CONTINUOUS),
        ({"frequency": 1, "period": 2, "periodUnit": "d"}, 10, 1, _QOD),
        ({"frequency": 1, "period": 48, "periodUnit": "h"}, 10, 1, _QOD),
        ({"timeOfDay": ["08:00:00"]}, 10, 1, _CONTINUOUS),
        ({"timeOfDay": ["08:00:00", "20:00:00"]}, 20, 2, _CONTINUOUS),
        ({"timeOfDay": ["08:00:00", "20:00:00"], "period": 1, "periodUnit": "d"}, 20, 2, _CONTINUOUS),
        ({"timeOfDay": ["08:00:00", "20:00:00"], **_DAILY, "frequency": 2}, 20, 2, _CONTINUOUS),
        ({"timeOfDay": ["08:00:00"], **_DAILY}, 10, 1, _CONTINUOUS),
        ({"when": ["HS"]}, 10, 1, _CONTINUOUS),
        ({"when": ["MORN", "EVE"]}, 20, 2, _CONTINUOUS),
        ({"when": ["MORN", "EVE"], "period": 1, "periodUnit": "d"}, 20, 2, _CONTINUOUS),
        ({**_DAILY, "when": ["PC"]}, 10, 1, _CONTINUOUS),
        ({"dayOfWeek": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], **_DAILY}, 10, 1, _CONTINUOUS),
        ({**_DAILY, "duration": 30, "durationUnit": "min"}, 10, 1, _CONTINUOUS),
    ],
    ids=str,
)
def test_a_structured_frequency_is_read(
    repeat: dict[str, Any], daily_mg: int, per_day: int, schedule: Schedule
) -> None:
    dosing = _of(repeat)

    assert (dosing.daily_mg, dosing.per_day, dosing.schedule) == (Decimal(daily_mg), per_day, schedule)


@pytest.mark.parametrize(
    "repeat",
    [
        {"frequency": 1, "period": 1, "periodUnit": "wk"},
        {"frequency": 3, "period": 1, "periodUnit": "wk"},
        {"frequency": 1, "period": 3, "periodUnit": "d"},
        {"frequency": 1, "period": 1, "periodUnit": "mo"},
        {"frequency": 1, "period": 28, "periodUnit": "d"},
        {"frequency": 1, "period": 1, "periodUnit": "foo"},
        {"frequency": 1, "period": 1},
        {"frequency": 1, "period": 0, "periodUnit": "d"},
        {"frequency": 0, "period": 1, "periodUnit": "d"},
        {"frequency": -1, "period": 1, "periodUnit": "d"},
        {"frequency": "daily", "period": 1, "periodUnit": "d"},
        {"frequency": 1, "frequencyMax": 2, "period": 1, "periodUnit": "d"},
        {"frequency": 1, "period": 1, "periodMax": 2, "periodUnit": "d"},
        {"dayOfWeek": ["mon", "wed", "fri"]},
        {"dayOfWeek": ["mon", "wed", "fri"], **_DAILY},
        {"dayOfWeek": "mon"},
        {"frequency": 1},
        {},
    ],
    ids=str,
)
def test_a_frequency_that_is_neither_daily_nor_every_other_day_is_unknown(repeat: dict[str, Any]) -> None:
    assert _is_unknown(_of(repeat))


@pytest.mark.parametrize(
    ("code", "daily_mg", "per_day", "schedule"),
    [
        ("QD", 10, 1, _CONTINUOUS),
        ("AM", 10, 1, _CONTINUOUS),
        ("PM", 10, 1, _CONTINUOUS),
        ("BED", 10, 1, _CONTINUOUS),
        ("BID", 20, 2, _CONTINUOUS),
        ("TID", 30, 3, _CONTINUOUS),
        ("QID", 40, 4, _CONTINUOUS),
        ("Q8H", 30, 3, _CONTINUOUS),
        ("QOD", 10, 1, _QOD),
    ],
)
def test_a_timing_code_is_read(code: str, daily_mg: int, per_day: int, schedule: Schedule) -> None:
    dosing = _dosing(dosage(10, timing={"code": coded(_GTS, code)}))

    assert (dosing.daily_mg, dosing.per_day, dosing.schedule) == (Decimal(daily_mg), per_day, schedule)


@pytest.mark.parametrize("code", ["WK", "MO", "Q28D"])
def test_a_timing_code_of_another_rhythm_is_unknown(code: str) -> None:
    assert _is_unknown(_dosing(dosage(10, timing={"code": coded(_GTS, code)})))


@pytest.mark.parametrize(
    "code",
    [
        {"text": "Daily"},
        {"text": "Once daily"},
        {"coding": [{"system": "urn:oid:1.2.3", "code": "200003", "display": "Daily"}]},
        {"coding": [{"system": "urn:oid:1.2.3", "code": "1"}, {"system": _GTS, "code": "QD"}], "text": "Daily"},
    ],
    ids=str,
)
def test_a_local_timing_code_is_read_by_its_words(code: dict[str, Any]) -> None:
    dosing = _dosing(dosage(10, timing={"code": code}))

    assert (dosing.daily_mg, dosing.schedule) == (Decimal(10), _CONTINUOUS)


def test_a_timing_code_against_its_own_structure_is_unknown() -> None:
    assert _is_unknown(_dosing(dosage(10, timing={"code": coded(_GTS, "BID"), "repeat": _DAILY})))


# --- Days of the cycle, structured -----------------------------------------------------------------------------------


def _days(value: object, unit: str = "d") -> dict[str, Any]:
    return {"value": value, "unit": unit, "code": unit}


@pytest.mark.parametrize(
    ("bounds", "schedule"),
    [
        ({}, _CONTINUOUS),
        ({"boundsPeriod": {"start": "2024-05-15"}}, _CONTINUOUS),
        ({"boundsPeriod": {"end": "2024-06-11"}}, _CONTINUOUS),
        ({"boundsPeriod": {"start": "2024-05-15", "end": "2024-06-04"}}, _THREE_WEEKS),
        ({"boundsPeriod": {"start": "2024-05-15T08:00:00Z", "end": "2024-06-04T20:00:00Z"}}, _THREE_WEEKS),
        ({"boundsPeriod": {"start": "2024-05-15", "end": "2024-06-11"}}, _CONTINUOUS),
        ({"boundsPeriod": {"start": "2024-05-15", "end": "2024-06-13"}}, _CONTINUOUS),
        ({"boundsPeriod": {"start": "2024-05-15", "end": "2024-08-06"}}, _CONTINUOUS),
        ({"boundsPeriod": {"start": "2024-05-15", "end": "9999-12-31"}}, _CONTINUOUS),
        ({"boundsDuration": _days(21)}, _THREE_WEEKS),
        ({"boundsDuration": _days(3, "wk")}, _THREE_WEEKS),
        ({"boundsDuration": {"value": 21, "unit": "days"}}, _THREE_WEEKS),
        ({"boundsDuration": _days(28)}, _CONTINUOUS),
        ({"boundsDuration": _days(30)}, _CONTINUOUS),
        ({"boundsDuration": _days(84)}, _CONTINUOUS),
        ({"boundsDuration": _days(12, "wk")}, _CONTINUOUS),
        ({"boundsDuration": _days(1, "mo")}, _CONTINUOUS),
        ({"boundsRange": {"low": _days(21), "high": _days(21)}}, _THREE_WEEKS),
        ({"boundsRange": {"low": _days(28), "high": _days(28)}}, _CONTINUOUS),
        ({"count": 21}, _THREE_WEEKS),
        ({"count": 28}, _CONTINUOUS),
        ({"count": 84}, _CONTINUOUS),
        ({"duration": 21, "durationUnit": "d", "period": 28}, _THREE_WEEKS),
    ],
    ids=str,
)
def test_the_bounds_of_a_daily_dose_tell_the_schedule(bounds: dict[str, Any], schedule: Schedule) -> None:
    dosing = _of({**_DAILY, **bounds})

    assert (dosing.daily_mg, dosing.per_day, dosing.schedule) == (Decimal(10), 1, schedule)


@pytest.mark.parametrize(
    "bounds",
    [
        {"boundsPeriod": {"start": "2024-05-15", "end": "2024-05-28"}},
        {"boundsPeriod": {"start": "2024-05-15", "end": "2024-06-03"}},
        {"boundsPeriod": {"start": "2024-05-15", "end": "2024-05-01"}},
        {"boundsDuration": _days(14)},
        {"boundsDuration": _days(20)},
        {"boundsDuration": _days(27)},
        {"boundsDuration": _days("many")},
        {"boundsRange": {"low": _days(14), "high": _days(21)}},
        {"boundsRange": {"low": _days(21), "high": _days(28)}},
        {"count": 14},
    ],
    ids=str,
)
def test_other_bounds_leave_the_schedule_unknown(bounds: dict[str, Any]) -> None:
    assert _is_unknown(_of({**_DAILY, **bounds}))


def test_a_count_is_of_doses_not_of_days() -> None:
    twice = {"frequency": 2, "period": 1, "periodUnit": "d"}

    assert _of({**twice, "count": 42}).schedule is _THREE_WEEKS
    assert _of({**twice, "count": 56}).schedule is _CONTINUOUS
    assert _is_unknown(_of({**twice, "count": 28}))


@pytest.mark.parametrize("url", _CYCLIC)
@pytest.mark.parametrize("place", ["order", "dosage", "repeat"])
def test_the_dutch_cyclic_schedule_is_days_1_to_21(place: str, url: str) -> None:
    cyclic = {"modifierExtension": [{"url": url, "valueDuration": _days(28)}]}
    repeat = {**_DAILY, "boundsDuration": _days(21)}

    dosing = {
        "order": lambda: _dosing(dosage(10, repeat=repeat), **cyclic),
        "dosage": lambda: _dosing(dosage(10, repeat=repeat, **cyclic)),
        "repeat": lambda: _dosing(dosage(10, repeat={**repeat, **cyclic})),
    }[place]()

    assert (dosing.daily_mg, dosing.schedule) == (Decimal(10), _THREE_WEEKS)


@pytest.mark.parametrize("cycle", [21, 35, 42])
def test_a_cycle_of_another_length_has_no_known_schedule(cycle: int) -> None:
    cyclic = {"modifierExtension": [{"url": _CYCLIC[0], "valueDuration": _days(cycle)}]}

    assert _is_unknown(_dosing(dosage(10, repeat={**_DAILY, "boundsDuration": _days(21)}, **cyclic)))


# --- Text only -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "daily_mg", "per_day", "schedule"),
    [
        ("10 mg daily", 10, 1, _CONTINUOUS),
        ("10 mg PO once daily", 10, 1, _CONTINUOUS),
        ("Take 1 capsule (10 mg) by mouth every day", 10, 1, _CONTINUOUS),
        ("10mg once a day", 10, 1, _CONTINUOUS),
        ("10 mg QD", 10, 1, _CONTINUOUS),
        ("10 mg every 24 hours", 10, 1, _CONTINUOUS),
        ("2,5 mg daily", "2.5", 1, _CONTINUOUS),
        ("5 mg twice daily", 10, 2, _CONTINUOUS),
        ("5 mg BID", 10, 2, _CONTINUOUS),
        ("5 mg every 12 hours", 10, 2, _CONTINUOUS),
        ("15 mg every other day", 15, 1, _QOD),
        ("15 mg every 48 hours", 15, 1, _QOD),
        ("15 mg on alternate days", 15, 1, _QOD),
        ("15 mg QOD", 15, 1, _QOD),
    ],
)
def test_a_dose_in_text_only_is_read(text: str, daily_mg: int | str, per_day: int, schedule: Schedule) -> None:
    dosing = _said(text)

    assert (dosing.daily_mg, dosing.per_day, dosing.schedule) == (Decimal(daily_mg), per_day, schedule)


@pytest.mark.parametrize(
    "text",
    [
        "as directed",
        "see protocol",
        "10 mg",
        "daily",
        "10 mg weekly",
        "10 mg every 3 days",
        "5 to 10 mg daily",
        "5-10 mg daily",
        "10 mg or 15 mg daily",
        "10 mg daily on Monday, Wednesday and Friday",
        "10 mg daily as needed",
        "10 mg daily PRN",
        "10 mg daily, days 1-14 of 28",
        "10 mg daily days 1–14 every 21 days",
        "10 mg daily on 14 of 28 days",
        "10 mg daily two weeks on, two weeks off",
        "10 mg daily on days 1, 8, 15 and 22",
        "10 mg daily for 14 days, then 14 days off",
        "10 mg daily days 1-21 of a 35-day cycle",
    ],
)
def test_a_text_that_says_no_dose_and_schedule_of_ours_is_unknown(text: str) -> None:
    assert _is_unknown(_said(text))


@pytest.mark.parametrize(
    ("text", "wrong_mg"),
    [
        ("5 mg three times daily", 5),
        ("5 mg 3 times daily", 5),
        ("5 mg three times a day", 5),
        ("5 mg 3x daily", 5),
        ("5 mg four times daily", 5),
        ("take 2 capsules of 5 mg once daily", 5),
        ("take two 5 mg capsules daily", 5),
        ("2 x 5 mg daily", 5),
        ("10 x 5 mg daily", 5),
        ("3 capsules (5 mg each) daily", 5),
    ],
)
def test_a_text_is_never_read_as_less_than_it_says(text: str, wrong_mg: int) -> None:
    assert _said(text).daily_mg != wrong_mg


_SPELLINGS_OF_21 = """days 1-21|days 1–21|days 1 - 21|Days 1 to 21|days 1 through 21|D1-D21|D1–D21|d1-21|day 1-21|day 1 to day 21
|days 1-21 of a 28-day cycle|days 1 to 21 every 28 days|21 of 28|21 of 28 days|21 days of 28|21 out of 28 days|21/28
|21 days of every 28|3 weeks on 1 week off|3 weeks on, 1 week off|three weeks on, one week off|three weeks on and one week off
|21 days on, 7 days off|21 days on/7 days off|21 days followed by 7 days rest""".replace("\n", "").split("|")

_RARER_SPELLINGS_OF_21 = """3 wks on / 1 wk off
|for 21 days then 7 days off|for 21 days, then off 7 days|x 21 days then 7 days rest
|days 1 thru 21|days 1 — 21|days 1—21|D 1-21 q28d|21 days every 28 days|1-21 of 28|3 weeks out of 4
|for 21 days of each 28 day cycle
|21 days a month""".replace("\n", "").split("|")


@pytest.mark.parametrize("words", _SPELLINGS_OF_21)
def test_days_1_to_21_in_words_are_read_beside_a_daily_structure_and_without_one(words: str) -> None:
    with_structure, alone = _of(_DAILY, text=f"10 mg daily {words}"), _said(f"10 mg PO daily {words}")

    assert (with_structure.daily_mg, with_structure.schedule) == (Decimal(10), _THREE_WEEKS)
    assert (alone.daily_mg, alone.schedule) == (Decimal(10), _THREE_WEEKS)


@pytest.mark.parametrize("words", _RARER_SPELLINGS_OF_21)
def test_a_rarer_spelling_of_a_pause_is_never_read_as_continuous(words: str) -> None:
    assert _of(_DAILY, text=f"10 mg daily {words}").schedule is not _CONTINUOUS
    assert _said(f"10 mg PO daily {words}").schedule is not _CONTINUOUS


@pytest.mark.parametrize(
    "words",
    ["days 1-28", "days 1 to 28 of each 28-day cycle", "28 of 28 days", "continuously", "D1–D28", "every 28 days"],
)
def test_continuous_dosing_in_words_is_read(words: str) -> None:
    assert _said(f"10 mg daily {words}").schedule is _CONTINUOUS


@pytest.mark.parametrize("element", ["text", "patientInstruction"])
def test_the_schedule_is_looked_for_in_every_text_of_the_line(element: str) -> None:
    assert _of(_DAILY, **{element: "on days 1-21"}).schedule is _THREE_WEEKS


def test_the_schedule_is_looked_for_in_additional_instructions() -> None:
    assert _of(_DAILY, additionalInstruction=[{"text": "days 1-21 of each 28-day cycle"}]).schedule is _THREE_WEEKS


# --- Text against structure ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("repeat", "text"),
    [
        (_DAILY, "10 mg twice daily"),
        (_DAILY, "10 mg every other day"),
        ({"frequency": 1, "period": 2, "periodUnit": "d"}, "10 mg once daily"),
        ({"frequency": 1, "period": 2, "periodUnit": "d"}, "10 mg twice daily days 1-14"),
        ({"frequency": 2, "period": 1, "periodUnit": "d"}, "10 mg once daily"),
        ({**_DAILY, "boundsDuration": _days(21)}, "10 mg daily continuously"),
        ({"frequency": 1, "period": 2, "periodUnit": "d"}, "10 mg every other day, days 1-21"),
        (_DAILY, "15 mg by mouth daily"),
        (_DAILY, "10 mg daily days 1-14"),
    ],
)
def test_text_against_structure_is_unknown(repeat: dict[str, Any], text: str) -> None:
    assert _is_unknown(_of(repeat, text=text))


@pytest.mark.parametrize(
    "text", ["10 mg daily", "10 mg by mouth once daily", "Take 1 capsule daily", "with water", "swallow whole", ""]
)
def test_text_that_agrees_with_the_structure_changes_nothing(text: str) -> None:
    dosing = _of(_DAILY, text=text)

    assert (dosing.daily_mg, dosing.per_day, dosing.schedule) == (Decimal(10), 1, _CONTINUOUS)


def test_days_1_to_21_in_text_beside_a_bound_of_one_cycle_are_days_1_to_21() -> None:
    assert _of({**_DAILY, "boundsDuration": _days(28)}, text="10 mg daily on days 1-21").schedule is _THREE_WEEKS
