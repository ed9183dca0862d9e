"""Area dosing: the draft's dose, schedule and frequency."""

from __future__ import annotations

import re

from cds.case import Case
from cds.findings import Action, Correction, Evidence, Indicator
from cds.level import Schedule, next_lower, plain
from cds.recommend import corrected_level, exceeds, target_level
from cds.regimen import Regimen
from cds.rules.rule import Report, rule
from cds.words import listed, of_order

_IN_BRACKETS = re.compile(r" \([^)]*\)")


def _regimen(case: Case) -> Regimen:
    assert case.regimen is not None
    return case.regimen


def _drafted(case: Case) -> tuple[Evidence, ...]:
    return tuple(of_order(order) for order in _regimen(case).orders)


@rule(
    "dosing.level-unknown",
    "Drug, dose and schedule of the draft and of the latest order must be known (gap not {dosing.gap_unknown}).",
    cites=("dosing.gap_unknown",),
)
def level_unknown(case: Case) -> Report | None:
    """What has been taken, or what is drafted, cannot be told."""
    regimen = _regimen(case)
    of_draft = [
        problem for problem in regimen.problems if not (regimen.daily_mg and problem in _schedule_problems(regimen))
    ]
    smallest = min(case.protocol.dosing.daily_doses.value)
    if (
        regimen.daily_mg is not None
        and regimen.daily_mg < smallest
        and regimen.schedule is not Schedule.EVERY_OTHER_DAY
    ):
        of_draft.append(f"{plain(regimen.daily_mg)} mg a day is less than the smallest capsule")
    problems = [*of_draft, *case.course.level_problems]
    pending = case.course.pending_reduction or case.course.open_episode
    if pending is not None and case.course.onset_level(pending) is None:
        problems.append(f"the level at the drop of {pending.opened.isoformat()} is not known")
    if not problems:
        return None
    waits = bool(of_draft) and not regimen.dose_stated and not case.course.level_problems
    return Report(
        Indicator.WARNING,
        f"Cannot be judged: {_IN_BRACKETS.sub('', problems[0])}",
        f"Clarify before signing: {listed(problems)}.",
        _drafted(case),
        Action.DEFER,
        waits_for_dose=waits,
    )


def _schedule_problems(regimen: Regimen) -> list[str]:
    """Complaints about the schedule of a draft whose dose is known: another rule speaks of these."""
    return [problem for problem in regimen.problems if "schedule" in problem]


@rule(
    "dosing.induction-schedule",
    "A dose of {dosing.induction_daily_dose} on days 1–21, or {dosing.induction_any_schedule} on any schedule, is a "
    "combination regimen.",
    cites=("dosing.induction_daily_dose", "dosing.induction_any_schedule"),
)
def induction_schedule(case: Case) -> Report | None:
    """The draft looks like induction or relapse therapy."""
    regimen, dosing = _regimen(case), case.protocol.dosing
    daily = regimen.daily_mg
    if daily is None:
        return None
    if case.combination and case.steroid is not None:
        return Report(
            Indicator.WARNING,
            f"{plain(daily)} mg with {case.steroid.drug.name}: combination regimen? Maintenance dose rules not applied",
            "This is not single-agent maintenance; check the dose against the combination regimen.",
            (*_drafted(case), of_order(case.steroid)),
            Action.DEFER,
        )
    large = dosing.induction_daily_dose.holds(daily) and regimen.schedule in {Schedule.THREE_WEEKS, None}
    if not large and not dosing.induction_any_schedule.holds(daily):
        return None
    return Report(
        Indicator.CRITICAL,
        f"{plain(daily)} mg is a combination-regimen dose{_corrected(case, '; maintenance: ')}",
        "25 mg on days 1–21 is the induction or relapse regimen. Is this really maintenance?",
        _drafted(case),
        Action.MODIFY,
    )


def _corrected(case: Case, lead: str) -> str:
    """The corrected level behind the words that lead to it; nothing where there is none."""
    level = corrected_level(case)
    return "" if level is None else f"{lead}{level.in_words}"


@rule(
    "dosing.max-dose",
    "No maintenance dose is {dosing.ceiling}; this protocol allows none {dosing.maximum_daily_dose}.",
    cites=("dosing.maximum_daily_dose", "dosing.ceiling"),
)
def max_dose(case: Case) -> Report | None:
    """The largest dose on any single day."""
    daily, dosing = _regimen(case).daily_mg, case.protocol.dosing
    if daily is None or case.combination or case.every_other_day_is_allowed:
        return None
    beyond_all = dosing.ceiling.holds(daily)
    if not beyond_all and not dosing.maximum_daily_dose.holds(daily):
        return None
    limit = dosing.ceiling if beyond_all else dosing.maximum_daily_dose
    return Report(
        Indicator.CRITICAL if beyond_all else Indicator.WARNING,
        f"Reduce{_corrected(case, ' to ')}: {plain(daily)} mg/day is above the maximum of {limit.amount}",
        "Larger doses belong to combination therapy.",
        _drafted(case),
        Action.MODIFY,
    )


@rule(
    "dosing.start-dose",
    "Maintenance starts at {dosing.start_level}; a larger dose is only for later escalation.",
    cites=("dosing.start_level",),
)
def start_dose(case: Case) -> Report | None:
    """The first maintenance order is larger than the protocol's start dose."""
    regimen = _regimen(case)
    start = case.protocol.dosing.start_level.value
    if not case.course.new_start or case.combination or case.every_other_day_is_allowed or regimen.daily_mg is None:
        return None
    draft = regimen.level
    too_much = exceeds(draft, start) if draft is not None else regimen.daily_mg > start.dose_mg
    above_renal_dose = case.renal_cap is not None and draft is not None and exceeds(draft, case.renal_cap)
    # The renal rule speaks of the start dose then.
    if not too_much or above_renal_dose:
        return None
    larger = case.protocol.dosing.ceiling.holds(regimen.daily_mg)
    drafted = draft.in_words if draft is not None else f"{plain(regimen.daily_mg)} mg/day"
    return Report(
        Indicator.CRITICAL if larger else Indicator.WARNING,
        f"Start at {start.in_words}, not {drafted}",
        "Larger doses are for later escalation.",
        _drafted(case),
        Action.MODIFY,
    )


@rule(
    "dosing.schedule-mismatch",
    "The schedule is that of the protocol's level with the same daily dose: {dosing.ladder}.",
    cites=("dosing.ladder", "dosing.start_level"),
)
def schedule_mismatch(case: Case) -> Report | None:
    """Right dose, wrong days."""
    regimen = _regimen(case)
    if regimen.daily_mg is None or case.combination or regimen.schedule is Schedule.EVERY_OTHER_DAY:
        return None
    if regimen.schedule is None:
        return Report(
            Indicator.WARNING,
            "State days 1–28 or days 1–21: the schedule of this order is not clear",
            f"The schedule is not clear: {listed(_schedule_problems(regimen)) or 'it is not stated'}.",
            _drafted(case),
            Action.DEFER,
        )
    draft, target = regimen.level, target_level(case).level
    levels = [*case.protocol.dosing.ladder.value, *([case.renal_cap] if case.renal_cap else [])]
    same_dose = [level for level in levels if level.dose_mg == regimen.daily_mg]
    if draft is None or draft in levels or not same_dose:
        return None
    own = max(same_dose, key=lambda level: level.cycle_mg)
    more = target is not None and draft.cycle_mg > target.cycle_mg
    decides = more and target is not None and target.dose_mg == draft.dose_mg
    less = draft.cycle_mg < own.cycle_mg
    note = (
        "Less drug per cycle; used by some trials, off the EU label." if less else "More drug per cycle than intended."
    )
    return Report(
        Indicator.WARNING if more else Indicator.INFO,
        f"Schedule differs: {case.protocol.id} takes it on {own.schedule.in_words}",
        note,
        _drafted(case),
        Action.MODIFY if decides else None,
    )


@rule(
    "dosing.frequency",
    "Once daily only: twice-daily dosing raised grade 3–4 myelosuppression.",
    sources=("S4 5.1", "F 2.1", "F 2.7"),
)
def frequency(case: Case) -> Report | None:
    """Split over the day, or every other day."""
    if not case.frequency_is_wrong or _regimen(case).daily_mg is None:
        return None
    what = "every other day" if _regimen(case).per_day == 1 else f"{_regimen(case).per_day} times a day"
    return Report(
        Indicator.WARNING,
        f"Give once daily, not {what}{_corrected(case, ': ')}",
        "The same daily total once daily, up to the target level.",
        _drafted(case),
        Action.MODIFY,
    )


@rule(
    "dosing.nonstandard-dose",
    "The daily dose is one of {dosing.daily_doses}.",
    cites=("dosing.daily_doses",),
)
def nonstandard_dose(case: Case) -> Report | None:
    """A dose that stands on no rung."""
    regimen, dosing = _regimen(case), case.protocol.dosing
    daily = regimen.daily_mg
    if (
        daily is None
        or daily in dosing.daily_doses.value
        or daily in dosing.combination_doses.value
        or case.combination
    ):
        return None
    lower = None if regimen.cycle_mg is None else next_lower(regimen.cycle_mg, dosing.ladder.value)
    return Report(
        Indicator.WARNING,
        f"{plain(daily)} mg is not a maintenance dose of {case.protocol.id}",
        f"Doses are {dosing.daily_doses.in_words}; take the next lower one.",
        _drafted(case),
        Action.MODIFY if _exceeds_target(case) else None,
        corrections=() if lower is None else (Correction("level", lower),),
    )


def _exceeds_target(case: Case) -> bool:
    draft, target = _regimen(case).level, target_level(case).level
    return draft is not None and target is not None and exceeds(draft, target)


@rule(
    "dosing.treatment-gap",
    "A gap of more than {dosing.gap_unexplained.amount} since the last order, without a recorded hold, is to be explained.",
    cites=("dosing.gap_unexplained",),
    needs_draft=False,
)
def treatment_gap(case: Case) -> Report | None:
    """The latest order ended a while ago."""
    gap, latest_order = case.course.gap_days, case.course.latest
    if (
        gap is None
        or latest_order is None
        or case.course.restart
        or latest_order.interrupted
        or not case.protocol.dosing.gap_unexplained.holds(gap)
    ):
        return None
    return Report(
        Indicator.INFO,
        f"No lenalidomide order for {gap} days",
        "Confirm whether treatment was interrupted, and why.",
        tuple(of_order(order) for order in latest_order.orders),
    )


@rule(
    "dosing.missed-dose",
    "A missed dose may be taken late on the same day, within the label's limit; otherwise skip it, never double.",
    sources=("F 17",),
    needs_draft=False,
)
def missed_dose(case: Case) -> Report | None:
    """Counselling, where no order is being written."""
    if case.regimen is not None:
        return None
    return Report(Indicator.INFO, "Missed dose: late on the same day or skip it", "Never take two doses at once.")


RULES = (
    level_unknown,
    induction_schedule,
    max_dose,
    start_dose,
    schedule_mismatch,
    frequency,
    nonstandard_dose,
    treatment_gap,
    missed_dose,
)
