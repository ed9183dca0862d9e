"""Kidney function as the renal rules see it: clearance, dialysis, and the cap that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from cds import counted
from cds.calculations import adjusted_body_weight, body_mass_index, completed_years, creatinine_clearance
from cds.counted import highest_first, latest, lowest_first
from cds.level import Level, Schedule
from cds.protocol import Protocol
from cds.snapshot import ConditionFact, PatientSnapshot, ProcedureFact, Result, Unread

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


def assess_kidney(
    snapshot: PatientSnapshot, protocol: Protocol, today: date, hidden: Unread | None, *, new_start: bool
) -> Kidney:
    """Cockcroft-Gault with the most recent actual weight; dialysis overrides any clearance.

    ``hidden`` is a creatinine that could not be read and is later than any that could.
    """
    creatinine, weight = _latest_creatinine(snapshot), _latest_weight(snapshot)
    missing = _missing(snapshot, creatinine, weight)
    low, high = None, None
    adjusted = None
    if not missing:
        assert creatinine is not None
        assert weight is not None
        low, high = _clearances(snapshot, weight.value, creatinine.value, today)
        height = _exact(latest(snapshot.of("body-height"), worse=highest_first))
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
    if hidden is not None and creatinine is not None:
        missing = (*missing, "a later creatinine could not be read")
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
        egfr=latest(snapshot.of("egfr"), worse=lowest_first),
    )


def caps_on(snapshot: PatientSnapshot, protocol: Protocol, day: date) -> set[Level | None] | None:
    """The caps that creatinine and weight up to a day gave, for every sex possible; None when they could not be computed."""
    values = clearances_on(snapshot, day)
    return {cap_for(protocol, value, dialysis=False) for value in values} or None


def clearances_on(snapshot: PatientSnapshot, day: date) -> tuple[Decimal, ...]:
    """The clearances that creatinine and weight up to a day gave, lowest first: one for every sex possible, or none."""
    creatinine = _latest_creatinine(snapshot, day)
    weight = _latest_weight(snapshot, day) or _latest_weight(snapshot)
    if _missing(snapshot, creatinine, weight) or creatinine is None or weight is None:
        return ()
    values = _clearances(snapshot, weight.value, creatinine.value, day)
    return tuple(value for value in values if value is not None)


def cap_for(protocol: Protocol, clearance: Decimal, *, dialysis: bool) -> Level | None:
    """The highest level the kidney function allows; None when there is no cap."""
    if dialysis:
        return scheduled(protocol, protocol.renal.dialysis_cap.value)
    band = next((band for band in protocol.renal.bands.value if band.contains(clearance)), None)
    return None if band is None else scheduled(protocol, band.cap)


def cap_of(protocol: Protocol, kidney: Kidney) -> Level | None:
    """The cap of today's kidney function; None when there is none or it is not known."""
    if kidney.dialysis is not None:
        return cap_for(protocol, Decimal(0), dialysis=True)
    return None if kidney.clearance is None or kidney.missing else cap_for(protocol, kidney.clearance, dialysis=False)


def is_severe(protocol: Protocol, kidney: Kidney) -> bool:
    """Dialysis or a clearance in the lowest range."""
    low = kidney.clearance is not None and protocol.renal.severe.holds(kidney.clearance)
    return kidney.dialysis is not None or low


def scheduled(protocol: Protocol, cap: Level) -> Level:
    """A cap on the days of the cycle on which the protocol gives it."""
    schedule = protocol.renal.cap_schedule
    return cap if schedule is None else Level(cap.dose_mg, Schedule(schedule.value))


def _latest_creatinine(snapshot: PatientSnapshot, until: date | None = None) -> Result | None:
    """The latest creatinine; a preliminary or post-dated one only where it is higher than the latest final one."""
    results = _until(snapshot.of("creatinine"), until)
    final = latest(results, worse=highest_first)

    def against(result: Result) -> bool:
        return final is None or result.value > final.value

    return _exact(latest(results, worse=highest_first, against=against))


def _latest_weight(snapshot: PatientSnapshot, until: date | None = None) -> Result | None:
    """The latest body weight, measured or stated; the lower of simultaneous ones gives the lower clearance."""
    measured, stated = (_until(snapshot.of(token), until) for token in WEIGHTS)
    both = sorted((*measured, *stated), key=lambda result: result.day) if stated else measured
    return _exact(latest(both, worse=lowest_first))


def _until(results: Sequence[Result], day: date | None) -> Sequence[Result]:
    return results if day is None else counted.until(results, day)


def _exact(result: Result | None) -> Result | None:
    """A clearance cannot be computed from a bound."""
    exact = result is not None and result.measurement is not None and result.measurement.comparator is None
    return result if exact else None


def _missing(snapshot: PatientSnapshot, creatinine: Result | None, weight: Result | None) -> tuple[str, ...]:
    missing: list[str] = []
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
        (
            condition
            for condition in snapshot.conditions_of("dialysis-dependence")
            if condition.active is not False and condition.abated is None
        ),
        None,
    )
