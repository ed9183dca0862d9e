"""Findings, ladder and caps become one recommendation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from cds import protocol_areas as areas
from cds.calculations import months_after
from cds.case import Case
from cds.episodes import NEUTROPHILS, Episode
from cds.findings import Action, Finding, Indicator, Outcome, Recommendation
from cds.kidney import caps_on
from cds.lazy import once
from cds.level import Level, Schedule, next_higher, next_lower
from cds.parameters import Truth
from cds.snapshot import Reaction, Supply

_DECIDING_AREAS = {"dosing", "renal", "heme", "teratogenicity", "vte", "interaction", "monitoring", "eligibility"}
_ORDER = list(Action)


@dataclass(frozen=True)
class Target:
    """The level a draft should have: ``ladder`` by course and protocol, ``level`` after the caps; None where none exists."""

    level: Level | None
    ladder: Level | None


def recommend(case: Case, findings: Sequence[Finding]) -> Recommendation:
    """The one recommendation for the case's regimen."""
    asked = [(action, finding.id) for finding in findings if (action := _action(finding)) is not None]
    top = min((action for action, _ in asked), key=_ORDER.index, default=Action.PROCEED)
    reasons = tuple(rule for action, rule in asked if action is top)
    if top in {Action.DISCONTINUE, Action.HOLD, Action.DEFER}:
        return Recommendation(top, resume_at=resume_level(case) if top is Action.HOLD else None, reasons=reasons)
    draft = case.draft_level
    target = corrected_level(case)
    if draft is None or target is None or (target == draft and not _is_split(case)):
        return Recommendation(Action.PROCEED, draft)
    return Recommendation(Action.MODIFY, target, reasons=reasons)


def _action(finding: Finding) -> Action | None:
    """What a finding asks for; a critical one that names nothing holds, and so does not being able to tell defer."""
    if finding.outcome is Outcome.FAILED and finding.area in _DECIDING_AREAS:
        return Action.DEFER
    if finding.action is None and finding.indicator is Indicator.CRITICAL and finding.outcome is Outcome.FIRED:
        return Action.HOLD
    return finding.action


@once
def target_level(case: Case) -> Target:
    """The target by course and ladder, capped by the protocol's maximum and by kidney function."""
    ladder = _ladder_target(case)
    if ladder is None:
        return Target(None, None)
    capped = _within_maximum(case, ladder)
    cap = None if renal_dose_is_tolerated(case) else case.renal_cap
    if cap is not None and exceeds(capped, cap):
        capped = cap
    return Target(capped, ladder)


def _within_maximum(case: Case, level: Level) -> Level:
    """The level itself, or the highest rung below it that the protocol's maximum allows."""
    dosing = case.protocol.dosing
    if not dosing.maximum_daily_dose.holds(level.dose_mg):
        return level
    allowed = tuple(rung for rung in dosing.ladder.value if not dosing.maximum_daily_dose.holds(rung.dose_mg))
    return next_lower(level.cycle_mg, allowed) or dosing.start_level.value


@once
def corrected_level(case: Case) -> Level | None:
    """The draft's level where it may stand, else the level it is to be changed to; None where there is no target."""
    draft, target = case.draft_level, target_level(case).level
    if draft is None or target is None:
        return None
    if case.frequency_is_wrong:
        once_daily = _once_daily(case, draft)
        if once_daily is None and not exceeds(draft, target):
            return draft
        return once_daily if once_daily is not None and not exceeds(once_daily, target) else target
    return target if exceeds(draft, target) else draft


def _is_split(case: Case) -> bool:
    return case.regimen is not None and case.regimen.per_day > 1


def exceeds(draft: Level, target: Level) -> bool:
    """More milligrams per cycle, or a higher daily dose, than the target."""
    return draft.cycle_mg > target.cycle_mg or draft.daily_mg > target.daily_mg


def resume_level(case: Case) -> Level | None:
    """The level at which to resume after an open or a closed but undischarged drop, after the caps."""
    episode = case.course.open_episode or case.course.pending_reduction
    onset = None if episode is None else case.course.onset_level(episode)
    if onset is None or not case.kidney.is_known:
        return None
    level = level_after_drop(case, onset)
    if level is not None and case.renal_cap is not None and case.renal_cap.cycle_mg < level.cycle_mg:
        return case.renal_cap
    return level


def level_after_drop(case: Case, onset: Level) -> Level | None:
    """One rung down; on the lowest rung the same rung again, unless the protocol stops there; below it none."""
    ladder = case.protocol.dosing.ladder.value
    lower = next_lower(onset.cycle_mg, ladder)
    if lower is not None:
        return lower
    stops_at_lowest = case.protocol.heme.lowest_level_stop_anc is not None
    return onset if onset in ladder and not stops_at_lowest else None


@once
def reaction_to_answer(case: Case) -> tuple[Reaction, Level] | None:
    """A resolved severe reaction that no later order has answered yet, and the level at its onset."""
    for reaction in case.reactions.resolved_severe:
        if reaction.onset is None:
            continue
        before = [period for period in case.course.periods if period.start <= reaction.onset]
        over = max(reaction.onset, reaction.resolved_on or reaction.onset)
        later = [period for period in case.course.periods if period.start > reaction.onset and period.start >= over]
        if before and not later and before[-1].level is not None:
            return reaction, before[-1].level
    return None


def level_after_reaction(case: Case) -> Level | None:
    """One rung below the level at which a severe reaction began, once it is resolved."""
    pending = reaction_to_answer(case)
    return None if pending is None else next_lower(pending[1].cycle_mg, case.protocol.dosing.ladder.value)


def is_at_floor(case: Case, onset: Level) -> bool:
    """Whether the ladder has no rung below a level."""
    return next_lower(onset.cycle_mg, case.protocol.dosing.ladder.value) is None


def gcsf_keeps_dose(case: Case, episode: Episode) -> bool:
    """Whether the protocol lets a neutropenia-only drop be answered by G-CSF at the same dose."""
    heme = case.protocol.heme
    onset = case.course.onset_level(episode)
    if not heme.gcsf_keeps_dose.value or onset is None:
        return False
    if heme.lowest_level_stop_anc is not None and is_at_floor(case, onset):
        return False
    platelets = episode.lowest_platelets
    other_cytopenia = platelets is None or heme.gcsf_other_cytopenia.holds_for(platelets.measurement) is not False
    return episode.lineages == {NEUTROPHILS} and not other_cytopenia


@once
def step_is_earned(case: Case) -> Truth:
    """Whether course and tolerance allow the next step up, kidneys aside; None when counts cannot tell."""
    match case.protocol.dosing.escalation.value:
        case areas.SINGLE_STEP:
            return _single_step(case)
        case areas.STEPWISE:
            return _stepwise(case)
        case _:
            return False


@once
def next_step(case: Case) -> Level | None:
    """The level the next escalation leads to."""
    dosing, current = case.protocol.dosing, case.course.current_level
    if current is None:
        return None
    if dosing.escalation.value == areas.SINGLE_STEP:
        return dosing.escalation_to.value if dosing.escalation_to is not None else None
    return next_higher(current.cycle_mg, dosing.ladder.value) if dosing.escalation.value == areas.STEPWISE else None


def climbs_back(case: Case, draft: Level) -> bool:
    """An increase that only returns to at most the start level, without any toxicity so far."""
    start = case.protocol.dosing.start_level.value
    return draft.cycle_mg <= start.cycle_mg and not case.toxicity_since_start


@once
def renal_dose_is_tolerated(case: Case) -> bool:
    """A continuing patient who already took this level in the same band without a drop keeps it."""
    level, latest_order = case.draft_level, case.course.latest
    if case.is_start or case.renal_is_severe or case.renal_cap is None or case.course.episodes:
        return False
    completed = [
        period for period in case.course.periods if all(order.status == "completed" for order in period.orders)
    ]
    if level is None or latest_order is None or not completed:
        return False
    before = caps_on(case.snapshot, case.protocol, completed[-1].start)
    if before is None or completed[-1].level is None:
        return False
    same_band = before == {case.renal_cap}
    return same_band and completed[-1].level.cycle_mg >= level.cycle_mg


def _ladder_target(case: Case) -> Level | None:
    course, draft = case.course, case.draft_level
    if course.new_start:
        return case.protocol.dosing.start_level.value
    episode = course.pending_reduction
    if episode is not None:
        onset = course.onset_level(episode)
        if onset is None:
            return None
        if gcsf_keeps_dose(case, episode) and case.gcsf is not None and draft == onset:
            return onset
        return level_after_drop(case, onset)
    reduced = level_after_reaction(case)
    current = course.current_level
    if reduced is not None:
        return reduced if current is None or reduced.cycle_mg <= current.cycle_mg else current
    if current is None or draft is None or not exceeds(draft, current):
        return current
    if climbs_back(case, draft):
        return draft
    step = next_step(case)
    if step_is_earned(case) is True and step is not None:
        stepwise = case.protocol.dosing.escalation.value == areas.STEPWISE
        return step if stepwise or draft == step else current
    return current


def _single_step(case: Case) -> Truth:
    dosing, course = case.protocol.dosing, case.course
    if dosing.escalation_from is None or dosing.escalation_to is None or dosing.escalation_cycles is None:
        return False
    if course.current_level != dosing.escalation_from.value:
        return False
    if not dosing.escalation_cycles.holds(course.completed_cycles):
        return None if course.history is Supply.PARTIAL else False
    return case.tolerated


def _stepwise(case: Case) -> Truth:
    dosing, course = case.protocol.dosing, case.course
    if dosing.escalation_months is None or course.level_since is None or next_step(case) is None:
        return False
    if course.draft_start < months_after(course.level_since, int(dosing.escalation_months.value)):
        return None if course.history is Supply.PARTIAL else False
    return case.counts_permit(dosing.escalation_anc, dosing.escalation_platelets)


def _once_daily(case: Case, draft: Level) -> Level | None:
    """The draft's own daily total once daily; where no such dose exists, the next lower rung."""
    level = (
        Level(draft.dose_mg / Decimal(2), Schedule.CONTINUOUS) if draft.schedule is Schedule.EVERY_OTHER_DAY else draft
    )
    if level.dose_mg in case.protocol.dosing.daily_doses.value:
        return level
    return next_lower(level.cycle_mg, case.protocol.dosing.ladder.value)
