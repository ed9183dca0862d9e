"""Kidney function as the renal rules see it: clearance, dialysis, and the cap that follows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from cds.calculations import adjusted_body_weight, body_mass_index, completed_years, creatinine_clearance
from cds.counted import highest_first, latest
from cds.level import Level, Schedule
from cds.protocol import Protocol
from cds.snapshot import ConditionFact, Fault, PatientSnapshot, ProcedureFact, Result

WEIGHTS = ("body-weight", "body-weight-stated")


@dataclass(frozen=True)
class Kidney:
    """Creatinine clearance (mL/min, None when it cannot be computed) and what it rests on.

    ``clearance_if_other_sex`` is the second value when the sex is not known (then ``clearance`` is the lower one);
    ``missing`` names what a computation lacks. ``stale_days`` is the age of a creatinine that is too old.
    """

    clearance: Decimal | None
    clearance_if_other_sex: Decimal | None
    adjusted: Decimal | None
    creatinine: Result | None
    weight: Result | None
    weight_is_old: bool
    dialysis: ProcedureFact | ConditionFact | None
    missing: tuple[str, ...]
    stale_days: int | None
    egfr: Result | None

    @property
    def is_known(self) -> bool:
        """Whether a cap can be told."""
        return self.dialysis is not None or (self.clearance is not None and not self.missing)


def assess_kidney(snapshot: PatientSnapshot, protocol: Protocol, today: date, *, new_start: bool) -> Kidney:
    """Cockcroft-Gault with the most recent actual weight; dialysis overrides any clearance."""
    creatinine = _latest_exact(snapshot.of("creatinine"))
    weight = _latest_exact([result for token in WEIGHTS for result in snapshot.of(token)])
    missing = _missing(snapshot, creatinine, weight)
    low, high = None, None
    adjusted = None
    if not missing:
        assert creatinine is not None
        assert weight is not None
        low, high = _clearances(snapshot, weight.value, creatinine.value, today)
        height = _latest_exact(snapshot.of("body-height"))
        if height is not None and protocol.renal.obesity.holds(body_mass_index(weight.value, height.value)):
            female = _is_female(snapshot)
            ideal = adjusted_body_weight(weight.value, height.value, female=female)
            adjusted = min(
                value for value in _clearances(snapshot, ideal, creatinine.value, today) if value is not None
            )
    stale = None
    if low is not None and creatinine is not None:
        fresh = protocol.freshness
        close = new_start or fresh.creatinine_close_clearance.holds(low)
        age = (today - creatinine.day).days
        if not (fresh.creatinine_close if close else fresh.creatinine_continuing).holds(age):
            stale = age
            missing = (f"creatinine is {age} days old",)
    return Kidney(
        clearance=low,
        clearance_if_other_sex=high,
        adjusted=adjusted,
        creatinine=creatinine,
        weight=weight,
        weight_is_old=weight is not None and not protocol.freshness.weight.holds((today - weight.day).days),
        dialysis=_dialysis(snapshot, protocol, today),
        missing=missing,
        stale_days=stale,
        egfr=_latest_exact(snapshot.of("egfr")),
    )


def clearance_on(snapshot: PatientSnapshot, day: date) -> Decimal | None:
    """Clearance as the latest creatinine and weight up to a day gave it; None when it could not be computed."""
    creatinine = _latest_exact([result for result in snapshot.of("creatinine") if result.day <= day])
    weights = [result for token in WEIGHTS for result in snapshot.of(token)]
    weight = _latest_exact([result for result in weights if result.day <= day]) or _latest_exact(weights)
    if _missing(snapshot, creatinine, weight) or creatinine is None or weight is None:
        return None
    return _clearances(snapshot, weight.value, creatinine.value, day)[0]


def cap_for(protocol: Protocol, clearance: Decimal, *, dialysis: bool) -> Level | None:
    """The highest level the kidney function allows; None when there is no cap."""
    if dialysis:
        return _scheduled(protocol, protocol.renal.dialysis_cap.value)
    band = next((band for band in protocol.renal.bands.value if band.contains(clearance)), None)
    return None if band is None else _scheduled(protocol, band.cap)


def cap_of(protocol: Protocol, kidney: Kidney) -> Level | None:
    """The cap of today's kidney function; None when there is none or it is not known."""
    if kidney.dialysis is not None:
        return cap_for(protocol, Decimal(0), dialysis=True)
    return None if kidney.clearance is None or kidney.missing else cap_for(protocol, kidney.clearance, dialysis=False)


def is_severe(protocol: Protocol, kidney: Kidney) -> bool:
    """Dialysis or a clearance in the lowest range."""
    low = kidney.clearance is not None and protocol.renal.severe.holds(kidney.clearance)
    return kidney.dialysis is not None or low


def _scheduled(protocol: Protocol, cap: Level) -> Level:
    schedule = protocol.renal.cap_schedule
    return cap if schedule is None else Level(cap.dose_mg, Schedule(schedule.value))


def _latest_exact(results: list[Result] | tuple[Result, ...]) -> Result | None:
    """The latest result that is an exact number: a clearance cannot be computed from a bound."""
    found = latest([result for result in results if result.measurement is not None], worse=highest_first)
    return None if found is None or found.measurement is None or found.measurement.comparator else found


def _missing(snapshot: PatientSnapshot, creatinine: Result | None, weight: Result | None) -> tuple[str, ...]:
    missing = []
    if creatinine is None:
        missing.append("no usable creatinine")
    if weight is None:
        missing.append("no usable body weight")
    if snapshot.patient is None or snapshot.patient.birth_date is None:
        missing.append("no birth date")
    return tuple(missing)


def _clearances(
    snapshot: PatientSnapshot, weight: Decimal, creatinine: Decimal, day: date
) -> tuple[Decimal, Decimal | None]:
    """The clearance, and a second one where the sex is not known (the lower first)."""
    patient = snapshot.patient
    assert patient is not None
    assert patient.birth_date is not None
    age = completed_years(patient.birth_date, day)
    as_woman = creatinine_clearance(age, weight, creatinine, female=True)
    as_man = creatinine_clearance(age, weight, creatinine, female=False)
    if patient.sex == "female":
        return as_woman, None
    return (as_man, None) if patient.sex == "male" else (as_woman, as_man)


def _is_female(snapshot: PatientSnapshot) -> bool:
    return snapshot.patient is not None and snapshot.patient.sex != "male"


def _dialysis(snapshot: PatientSnapshot, protocol: Protocol, today: date) -> ProcedureFact | ConditionFact | None:
    for procedure in snapshot.procedures_of("dialysis"):
        running = procedure.status == "in-progress"
        recent = (
            procedure.day is not None
            and (today - procedure.day).days >= 0
            and protocol.renal.dialysis_recent.holds((today - procedure.day).days)
        )
        if running or recent:
            return procedure
    return next(
        (condition for condition in snapshot.conditions_of("dialysis-dependence") if condition.active is not False),
        None,
    )


def implausible_inputs(snapshot: PatientSnapshot) -> list[str]:
    """Creatinine and weight results outside their limits that are newer than any usable one."""
    reasons = []
    for tokens in (("creatinine",), WEIGHTS):
        usable = max((result.day for token in tokens for result in snapshot.of(token)), default=date.min)
        reasons += [
            f"{unread.reference}: {unread.why}"
            for unread in snapshot.unread
            if unread.token in tokens and unread.fault is Fault.IMPLAUSIBLE and (unread.day or date.max) >= usable
        ]
    return reasons
