"""MedicationRequests of a case: lenalidomide history and drafts, and the other drugs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from cds.level import plain
from tests.support import codes
from tests.support.case import Draft, Line, Medication, PastOrders, Schedule

Json = dict[str, Any]

LENALIDOMIDE = "lenalidomide"
UCUM = "http://unitsofmeasure.org"
_TIMES_A_DAY = {1: "once", 2: "twice"}
# A bound that is neither the whole cycle nor days 1-21: the schedule cannot be told from it.
_UNTELLING_BOUND_DAYS = 10


def past_orders(item: PastOrders) -> Iterator[Json]:
    """The consecutive orders of one history item."""
    for index in range(item.orders):
        start = item.start + timedelta(days=index * item.days_supply)
        dosage = _dosage(item.dose_mg, item.schedule_days, item.doses_per_day, start)
        if item.hold_date is not None:
            dosage["timing"]["repeat"]["boundsPeriod"]["end"] = item.hold_date.isoformat()
            if item.schedule_days == "21":
                # The bound now says when treatment was stopped; only the text still tells the schedule.
                dosage["text"] += " on days 1-21 of each 28-day cycle"
        yield {
            **_order(item.status, codes.drug(LENALIDOMIDE, item.dose_mg), start),
            "dosageInstruction": [dosage],
            "dispenseRequest": _dispense(item.days_supply, refills=0),
        }


def drafted_order(draft: Draft, today: date) -> Json:
    """The lenalidomide order about to be signed."""
    order = _order("draft", codes.drug(LENALIDOMIDE, _strength(draft)), draft.authored_on or today)
    order["dosageInstruction"] = _dosages(draft, draft.start or today)
    dispense = _dispense(draft.days_supply, draft.refills)
    if draft.programme is not None:
        order["extension"] = [{"url": draft.programme, "valueString": "A-1"}]
    if draft.quantity is not None:
        dispense["quantity"] = {"value": number(draft.quantity), "unit": "capsule"}
    if draft.validity_end is not None:
        dispense["validityPeriod"] = {"start": order["authoredOn"], "end": draft.validity_end.isoformat()}
    return {**order, "dispenseRequest": dispense} if dispense else order


def other_order(medication: Medication, today: date) -> Json:
    """An order of another drug; its dose is text."""
    status = "draft" if medication.drafted else medication.status
    order = _order(status, codes.drug(medication.code), medication.start or today)
    if medication.days_supply is not None:
        order["dispenseRequest"] = _dispense(medication.days_supply, refills=None)
    return {**order, "dosageInstruction": [{"text": medication.dose}]} if medication.dose else order


def number(value: Decimal) -> int | Decimal:
    """As a JSON parser that keeps the text of numbers gives it."""
    return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else value


def _order(status: str, drug: Json, authored: date) -> Json:
    return {
        "resourceType": "MedicationRequest",
        "status": status,
        "intent": "order",
        "medicationCodeableConcept": drug,
        "authoredOn": authored.isoformat(),
    }


def _strength(draft: Draft) -> Decimal | None:
    """The capsule ordered: the stated one, else that of the dose where all lines have the same."""
    doses = {line.dose_mg for line in draft.lines} or {draft.dose_mg}
    return draft.strength_mg or (doses.pop() if len(doses) == 1 else None)


def _dosages(draft: Draft, start: date) -> list[Json]:
    if draft.text_only is not None:
        dosages: list[Json] = [{"text": draft.text_only}]
    else:
        dosages = [_line(line, draft, start) for line in draft.lines or (Line(dose_mg=draft.dose_mg),)]
    if draft.instructions is not None:
        dosages[0]["patientInstruction"] = draft.instructions
    return dosages


def _line(line: Line, draft: Draft, start: date) -> Json:
    schedule = line.schedule_days if "schedule_days" in line.model_fields_set else draft.schedule_days
    return _dosage(line.dose_mg, schedule, line.doses_per_day or draft.doses_per_day, line.start or start)


def _dosage(dose_mg: Decimal | None, schedule: Schedule | None, per_day: int, start: date) -> Json:
    every = "every other day" if schedule == "qod" else f"{_TIMES_A_DAY.get(per_day, f'{per_day} times')} daily"
    bounds = {"start": start.isoformat()}
    bounded_days = {"21": 21, None: _UNTELLING_BOUND_DAYS}.get(schedule)
    if bounded_days is not None:
        bounds["end"] = (start + timedelta(days=bounded_days - 1)).isoformat()
    period = 2 if schedule == "qod" else 1
    repeat = {"boundsPeriod": bounds, "frequency": per_day, "period": period, "periodUnit": "d"}
    if dose_mg is None:
        return {"text": f"by mouth {every}", "timing": {"repeat": repeat}}
    quantity = {"value": number(dose_mg), "unit": "mg", "system": UCUM, "code": "mg"}
    return {
        "text": f"{plain(dose_mg)} mg by mouth {every}",
        "timing": {"repeat": repeat},
        "doseAndRate": [{"doseQuantity": quantity}],
    }


def _dispense(days_supply: int | None, refills: int | None) -> Json:
    dispense: Json = {}
    if refills is not None:
        dispense["numberOfRepeatsAllowed"] = refills
    if days_supply is not None:
        dispense["expectedSupplyDuration"] = {"value": days_supply, "unit": "days", "system": UCUM, "code": "d"}
    return dispense
