"""The corrected order: the draft as it was received, with only the intended elements changed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from cds.fhir import is_in_pieces
from cds.findings import Correction
from cds.level import CYCLE_DAYS, Level, Schedule, plain
from cds.rules.supply import dosing_days
from cds.snapshot import MedicationOrder
from cds.terminology import Terminology
from hooks.wire import Json, number

_NAMES_A_DOSE = re.compile(r"\d\s*mg\b", re.IGNORECASE)
_DAY_UNIT = {"unit": "days", "system": "http://unitsofmeasure.org", "code": "d"}
_MG_UNIT = {"unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}
_CAPSULE_UNIT = {"unit": "capsule", "system": "http://unitsofmeasure.org", "code": "{capsule}"}


def corrected_order(
    draft: Mapping[str, Any],
    order: MedicationOrder,
    level: Level | None,
    corrections: Iterable[Correction],
    terminology: Terminology,
) -> Json | None:
    """The whole draft with dose, schedule, capsules, supply and instructions corrected.

    None when the level cannot be written with capsules that exist. ``draft`` is left as it is; what is not changed is shared.
    """
    changed: Json = dict(draft)
    wanted = {correction.field: correction.value for correction in corrections}
    start = wanted.get("start", order.bounds_start)
    final = order.level if level is None else level
    strength = order.drug.strength_mg
    if level is not None:
        if strength is not None:
            coding = _product(changed, order, level.dose_mg, terminology)
            if coding is None:
                return None
            strength = level.dose_mg
            _change_product(changed, coding)
        # The narrative describes the order as it was.
        changed.pop("text", None)
        # Where schedule and start stay, so does whatever else the timing says.
        keeps = _keeps(order, level)
        moved = None if keeps and "start" not in wanted else start
        _change_dosage(changed, level, strength, moved if isinstance(moved, date) else None, keep=keeps)
    if "instructions" in wanted:
        _add_instruction(changed, str(wanted["instructions"]))
    _change_supply(changed, order, final, strength, wanted, dose_changed=level is not None)
    return changed


def _product(draft: Json, order: MedicationOrder, dose: Decimal, terminology: Terminology) -> Json | None:
    """Coding of one capsule of this dose, in the draft's own code system and brand where that has one."""
    concept = draft.get("medicationCodeableConcept") or _part(draft, "medication").get("concept")
    listed = concept.get("coding") if isinstance(concept, dict) else None
    for raw in listed if isinstance(listed, list) else []:
        original = terminology.coding(raw) if isinstance(raw, dict) else None
        found = terminology.product_like(order.drug.token, original, dose)
        if found is not None and original is not None and found[0] in {original.system, "dmd"}:
            return {"system": raw["system"], "code": found[1], "display": found[2]}
    found = terminology.product_like(order.drug.token, None, dose)
    return (
        None if found is None else {"system": terminology.system_uris[found[0]], "code": found[1], "display": found[2]}
    )


def _part(order: Json, name: str) -> Json:
    """A member that is an object; empty where it is missing or something else."""
    part = order.get(name)
    return part if isinstance(part, dict) else {}


def _change_product(order: Json, coding: Json) -> None:
    concept = {"coding": [coding], "text": coding["display"]}
    reference = order.pop("medicationReference", None)
    if isinstance(reference, dict):
        _drop_contained(order, reference.get("reference"))
    if "medication" in order:
        order["medication"] = {"concept": concept}
    else:
        order["medicationCodeableConcept"] = concept


def _drop_contained(order: Json, reference: object) -> None:
    """A contained Medication that nothing refers to any more must go."""
    contained = order.get("contained")
    if isinstance(reference, str) and reference.startswith("#") and isinstance(contained, list):
        order["contained"] = [
            item for item in contained if not (isinstance(item, dict) and item.get("id") == reference[1:])
        ]
        if not order["contained"]:
            del order["contained"]


def _keeps(order: MedicationOrder, level: Level) -> bool:
    """Whether the draft's timing already says the schedule."""
    return order.dosing.schedule is level.schedule and order.dosing.per_day == 1


def _change_dosage(order: Json, level: Level, strength: Decimal | None, start: date | None, *, keep: bool) -> None:
    lines = order.get("dosageInstruction")
    line: Json = dict(lines[0]) if isinstance(lines, list) and lines and isinstance(lines[0], dict) else {}
    line["text"] = f"Take {plain(level.dose_mg)} mg by mouth {_in_words(level)}"
    ordered = _ordered_rate(line)
    beside = {name: value for name, value in ordered.items() if name not in {"doseQuantity", "doseRange"}}
    given = _part(ordered, "doseQuantity") or _part(line, "doseQuantity")
    line["doseAndRate"] = [{**beside, "doseQuantity": _dose(given, level, strength)}]
    line.pop("doseQuantity", None)
    # What tells the patient the old dose would contradict the new one.
    if _NAMES_A_DOSE.search(str(line.get("patientInstruction", ""))):
        del line["patientInstruction"]
    if _NAMES_A_DOSE.search(str(line.get("additionalInstruction", ""))):
        del line["additionalInstruction"]
    if not keep or start is not None:
        timing = dict(_part(line, "timing"))
        period = 2 if level.schedule is Schedule.EVERY_OTHER_DAY else 1
        repeat = dict(_part(timing, "repeat")) if keep else {"frequency": 1, "period": period, "periodUnit": "d"}
        if not keep:
            timing.pop("code", None)
        _bound(repeat, level.schedule, start)
        line["timing"] = {**timing, "repeat": repeat}
    order["dosageInstruction"] = [line]


def _ordered_rate(line: Json) -> Json:
    """The dose that was ordered, where a calculated one stands beside it."""
    rates = line.get("doseAndRate")
    given: list[Json] = [rate for rate in rates if isinstance(rate, dict)] if isinstance(rates, list) else []
    ordered = [rate for rate in given if "ordered" in str(rate.get("type", ""))]
    return next(iter(ordered or given), {})


def _in_words(level: Level) -> str:
    if level.schedule is Schedule.EVERY_OTHER_DAY:
        return "every other day"
    return f"once daily on days 1–{level.schedule.value} of each {CYCLE_DAYS}-day cycle"


def _bound(repeat: Json, schedule: Schedule, start: date | None) -> None:
    """Days 1-21 as a bound of 21 days; a continuous schedule keeps only its start."""
    if schedule is not Schedule.THREE_WEEKS:
        if start is not None and "boundsDuration" not in repeat:
            repeat["boundsPeriod"] = {"start": start.isoformat()}
        return
    for bound in ("boundsDuration", "boundsRange", "boundsPeriod"):
        repeat.pop(bound, None)
    if start is None:
        repeat["boundsDuration"] = {"value": schedule.dosing_days, **_DAY_UNIT}
    else:
        end = start + timedelta(days=schedule.dosing_days - 1)
        repeat["boundsPeriod"] = {"start": start.isoformat(), "end": end.isoformat()}


def _dose(given: Json, level: Level, strength: Decimal | None) -> Json:
    """One dose: in capsules where the draft counts capsules, else in milligrams."""
    if not given or strength is None or not is_in_pieces(given):
        return {"value": number(level.dose_mg), **_MG_UNIT}
    return {**given, "value": number(level.dose_mg / strength)}


def _add_instruction(order: Json, instruction: str) -> None:
    lines = order.get("dosageInstruction", [{}])
    if isinstance(lines, list) and lines and isinstance(lines[0], dict):
        first, *others = lines
        present = first.get("patientInstruction")
        said = f"{present} {instruction}" if isinstance(present, str) and present else instruction
        order["dosageInstruction"] = [{**first, "patientInstruction": said}, *others]


def _change_supply(
    order: Json,
    draft: MedicationOrder,
    level: Level | None,
    strength: Decimal | None,
    wanted: Mapping[str, object],
    *,
    dose_changed: bool,
) -> None:
    """Days' supply and quantity go together; both follow a change of dose."""
    dispense = dict(_part(order, "dispenseRequest"))
    days = wanted.get(
        "days_supply", draft.days_supply or (CYCLE_DAYS if dose_changed and strength is not None else None)
    )
    if isinstance(days, int) and days != draft.days_supply:
        dispense["expectedSupplyDuration"] = {"value": days, **_DAY_UNIT}
    resized = dose_changed or "days_supply" in wanted or "quantity" in wanted
    if (
        resized
        and isinstance(days, int)
        and strength
        and level is not None
        and (dose_changed or draft.quantity is not None)
    ):
        capsules = level.dose_mg / strength * dosing_days(level.schedule, days)
        present = _part(dispense, "quantity")
        unit = {key: value for key, value in present.items() if key != "value"} or _CAPSULE_UNIT
        in_mg = str(unit.get("code") or unit.get("unit")).casefold() == "mg"
        dispense["quantity"] = {"value": number(capsules * strength if in_mg else capsules), **unit}
    if "refills" in wanted:
        dispense["numberOfRepeatsAllowed"] = wanted["refills"]
    validity_end = wanted.get("validity_end")
    if isinstance(validity_end, date):
        dispense["validityPeriod"] = {**_part(dispense, "validityPeriod"), "end": validity_end.isoformat()}
    if dispense:
        order["dispenseRequest"] = dispense
