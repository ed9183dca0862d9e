"""Area dosing, over time: escalation, re-escalation, the end of treatment, severe reactions."""

from __future__ import annotations

from datetime import date

from cds.calculations import months_after, years_after
from cds.case import Case
from cds.findings import Action, Evidence, Indicator
from cds.level import CYCLE_DAYS, Level
from cds.protocol_areas import SINGLE_STEP, STEPWISE
from cds.recommend import (
    climbs_back,
    exceeds,
    is_at_floor,
    level_after_reaction,
    next_step,
    reaction_to_answer,
    step_is_earned,
)
from cds.rules.rule import Report, rule
from cds.snapshot import Reaction, Supply
from cds.words import of_record, of_result, on

STRINGENT = "stringent-complete-response"
_REACTION_ADVICE: dict[Action | None, str] = {
    Action.DISCONTINUE: "Do not restart lenalidomide.",
    Action.HOLD: "Resume one level lower after resolution to grade 2 or less.",
    Action.MODIFY: "The reaction is resolved; the draft is not yet one level below the level at its onset.",
    Action.DEFER: "No source gives a lower level.",
}


def _increase(case: Case) -> tuple[Level, Level] | None:
    """Current and drafted level when the draft goes up on a known, settled course."""
    current = case.course.current_level
    draft = case.draft_level
    if current is None or draft is None or case.course.new_start or case.course.pending_reduction or case.combination:
        return None
    return (current, draft) if exceeds(draft, current) else None


@rule(
    "dosing.escalation-eligible",
    "After {dosing.escalation_cycles} the dose can be increased to {dosing.escalation_to} if tolerated.",
    cites=("dosing.escalation_cycles", "dosing.escalation_to"),
    applies=lambda protocol: protocol.dosing.escalation.value == SINGLE_STEP,
)
def escalation_eligible(case: Case) -> Report | None:
    """The single step of most protocols is open."""
    dosing, course = case.protocol.dosing, case.course
    draft = case.draft_level
    first, to, cycles = dosing.escalation_from, dosing.escalation_to, dosing.escalation_cycles
    if dosing.escalation.value != SINGLE_STEP or first is None or to is None or cycles is None or course.latest is None:
        return None
    capped = case.renal_cap is not None and case.renal_cap.cycle_mg < to.value.cycle_mg
    if (
        draft not in {first.value, to.value}
        or case.combination
        or capped
        or case.toxicity_since_start
        or step_is_earned(case) is not True
    ):
        return None
    cycles_before = course.treatment_days_before(course.latest.start) // CYCLE_DAYS
    return Report(
        Indicator.INFO,
        f"Dose may be increased to {to.value.in_words} if tolerated",
        f"{course.completed_cycles} cycles completed without a drop; counts are adequate.",
        (Evidence("completed_cycles", str(course.completed_cycles)),),
        found_before=draft == to.value or cycles.holds(cycles_before),
    )


@rule(
    "dosing.escalation-premature",
    "Dose increase: {dosing.escalation}[; after {dosing.escalation_cycles}, if tolerated].",
    cites=("dosing.escalation", "dosing.escalation_cycles", "dosing.escalation_months"),
)
def escalation_premature(case: Case) -> Report | None:
    """An increase that is too early, not tolerated, too large or not provided for."""
    increase = _increase(case)
    stepwise = case.protocol.dosing.escalation.value == STEPWISE
    if increase is None or (case.toxicity_since_start and not stepwise):
        return None
    current, draft = increase
    step, earned = next_step(case), step_is_earned(case)
    if climbs_back(case, draft):
        return None
    if draft == step and earned is not False:
        incomplete = case.history_may_hide_something or case.course.history is Supply.PARTIAL
        return _history_undecided(case, draft) if earned is None and incomplete else None
    stay = step if stepwise and earned is True and step is not None else current
    return Report(
        Indicator.WARNING,
        _instead(stay, current, draft),
        _why_not(case, draft),
        (Evidence("completed_cycles", str(case.course.completed_cycles)),),
        Action.MODIFY,
    )


def _history_undecided(case: Case, draft: Level) -> Report:
    """The increase may be due, but what was supplied does not show the whole course."""
    reason = "transplant date not found" if case.course.transplant_date_unknown else "the history is incomplete"
    return Report(
        Indicator.WARNING,
        f"Increase to {draft.in_words} cannot be checked: {reason}",
        f"At least {case.course.completed_cycles} cycles are recorded; an earlier drop or order may be missing. Check by hand.",
        action=Action.DEFER,
    )


def _instead(stay: Level, current: Level, draft: Level) -> str:
    if stay == current:
        return f"Stay at {stay.in_words}: increase to {draft.in_words} not provided for now"
    return f"Increase to {stay.in_words} only, not to {draft.in_words}: one level at a time"


def _why_not(case: Case, draft: Level) -> str:
    dosing, course = case.protocol.dosing, case.course
    if dosing.escalation.value == "none":
        return f"{case.protocol.id} has no dose increase."
    months, cycles = dosing.escalation_months, dosing.escalation_cycles
    if dosing.escalation.value == STEPWISE and months is not None and course.level_since is not None:
        due = on(months_after(course.level_since, int(months.value)), case.today)
        return f"One level every {months.amount} with adequate counts; next step from {due}."
    if cycles is not None and not cycles.holds(course.completed_cycles):
        return f"Only {course.completed_cycles} of {cycles.amount} so far ({course.on_treatment_days} treatment days)."
    if case.tolerated is False:
        return "Treatment was not tolerated well enough: counts or toxicity."
    first, step = dosing.escalation_from, next_step(case)
    if first is None or step is None or course.current_level is None:
        return f"{case.protocol.id} does not provide for {draft.in_words}."
    now = f"the current level is {course.current_level.in_words}" if draft == step else f"the draft is {draft.in_words}"
    return f"The one step of {case.protocol.id} leads from {first.value.in_words} to {step.in_words}; {now}."


@rule(
    "dosing.revallo-escalation",
    "One level up every {dosing.escalation_months} with platelets {dosing.escalation_platelets} and neutrophils "
    "{dosing.escalation_anc}.",
    cites=("dosing.escalation_months", "dosing.escalation_platelets", "dosing.escalation_anc"),
    applies=lambda protocol: protocol.dosing.escalation.value == STEPWISE,
)
def stepwise_escalation(case: Case) -> Report | None:
    """The trial's three-monthly step is open."""
    step, current = next_step(case), case.course.current_level
    draft = case.draft_level
    if step is None or step_is_earned(case) is not True:
        return None
    capped = case.renal_cap is not None and case.renal_cap.cycle_mg < step.cycle_mg
    asked_for = draft == step
    if (
        not (asked_for or draft == current)
        or case.course.pending_reduction
        or case.combination
        or (capped and not asked_for)
    ):
        return None
    since = on(case.course.level_since, case.today)
    return Report(
        Indicator.INFO,
        f"May be increased one level, to {step.in_words}",
        f"At this level since {since}; counts are adequate, with or without G-CSF.",
        tuple(of_result(result) for result in case.latest_counts),
        found_before=asked_for,
    )


@rule(
    "dosing.re-escalation",
    "No source gives a rule for increasing again after a reduction for toxicity in maintenance.",
    sources=("F 2.1 Table 2", "S4 Table 2"),
    applies=lambda protocol: protocol.dosing.escalation.value != STEPWISE,
)
def re_escalation(case: Case) -> Report | None:
    """Going back up after a toxicity reduction."""
    increase = _increase(case)
    if increase is None or not case.toxicity_since_start:
        return None
    current, draft = increase
    return Report(
        Indicator.WARNING,
        f"Stay at {current.in_words}: {draft.in_words} would be an increase after toxicity",
        "After a reduction for toxicity no source provides for an increase.",
        action=Action.MODIFY,
    )


@rule(
    "dosing.duration-stop",
    "Treatment ends by plan[ after {dosing.duration_on_maintenance.amount} of maintenance]"
    "[ {dosing.duration_after_transplant.amount} after transplant]"
    "[, or after {dosing.duration_stringent_response.amount} of stringent complete response].",
    cites=("dosing.duration_on_maintenance", "dosing.duration_after_transplant", "dosing.duration_stringent_response"),
    applies=lambda protocol: any((protocol.dosing.duration_on_maintenance, protocol.dosing.duration_after_transplant)),
)
def duration_stop(case: Case) -> Report | None:
    """The protocol's end date is reached."""
    if case.combination:
        return None
    dosing, course = case.protocol.dosing, case.course
    ends: list[tuple[date, str]] = []
    if dosing.duration_on_maintenance is not None and course.maintenance_start is not None:
        years = int(dosing.duration_on_maintenance.value)
        ends.append(
            (years_after(course.maintenance_start, years), f"{dosing.duration_on_maintenance.amount} of maintenance")
        )
    if (
        dosing.duration_after_transplant is not None
        and course.transplant is not None
        and course.transplant.day is not None
    ):
        years = int(dosing.duration_after_transplant.value)
        ends.append(
            (years_after(course.transplant.day, years), f"{dosing.duration_after_transplant.amount} after transplant")
        )
    response = _stringent_since(case)
    if dosing.duration_stringent_response is not None and response is not None:
        months = int(dosing.duration_stringent_response.value)
        span = dosing.duration_stringent_response.amount
        ends.append((months_after(response, months), f"stringent complete response for {span}"))
    reached = [(day, why) for day, why in ends if course.draft_start >= day]
    if reached:
        day, why = min(reached)
        return Report(
            Indicator.WARNING,
            f"Stop by protocol: {why} reached on {on(day, case.today)}",
            f"{case.protocol.id} ends treatment here.",
            action=Action.DISCONTINUE,
        )
    if dosing.duration_after_transplant is not None and course.transplant is None:
        return Report(
            Indicator.INFO, "Planned end not checked: transplant date not found", "Record the transplant date."
        )
    return None


def _stringent_since(case: Case) -> date | None:
    """Day of the first stringent response of the unbroken run that is still the latest response."""
    since = None
    for result in reversed(case.snapshot.of("disease-response")):
        if result.answer != STRINGENT:
            break
        since = result.day
    return since


@rule(
    "dosing.nonheme-g3",
    "A non-haematological reaction of {reactions.hold_grade} holds treatment and resumes one level lower; a rash of "
    "{reactions.permanent_stop_rash_grade}, and any severe skin or allergic reaction, ends it.",
    cites=("reactions.hold_grade", "reactions.permanent_stop_rash_grade"),
    sources=("F 5.15", "S4 5.8"),
    needs_draft=False,
)
def severe_reaction(case: Case) -> Report | None:
    """Reactions other than blood counts."""
    found = case.reactions
    for reaction in found.permanent_stop:
        return _reaction(case, reaction, "Stop lenalidomide for good", Indicator.CRITICAL, Action.DISCONTINUE)
    for reaction in (*found.open_severe, *found.resolved_severe):
        if _lowest_level_stops(case, reaction):
            return _reaction(case, reaction, "Stop lenalidomide (lowest dose)", Indicator.CRITICAL, Action.DISCONTINUE)
    for reaction in sorted(found.open_severe, key=lambda item: -(item.grade or 0)):
        worst = reaction.grade is not None and case.protocol.reactions.open_critical_grade.holds(reaction.grade)
        indicator = Indicator.CRITICAL if worst else Indicator.WARNING
        return _reaction(case, reaction, "Hold lenalidomide", indicator, Action.HOLD)
    report = _after_resolution(case)
    if report is not None:
        return report
    for reaction in found.mild_rash:
        return _reaction(case, reaction, "Consider interrupting lenalidomide", Indicator.WARNING, None)
    for reaction in found.resolved_severe:
        if reaction.onset is None:
            return _reaction(case, reaction, "Date not recorded", Indicator.WARNING, None)
    for reaction in found.ungraded:
        return _reaction(case, reaction, "Grade not recorded", Indicator.WARNING, None)
    return None


def _reaction(case: Case, reaction: Reaction, what: str, indicator: Indicator, action: Action | None) -> Report:
    grade = f" grade {reaction.grade}" if reaction.grade is not None else ""
    return Report(
        indicator,
        f"{what}: {reaction.name}{grade} ({on(reaction.onset, case.today)})",
        _REACTION_ADVICE.get(action, "Consider interruption; record the grade."),
        (of_record(reaction),),
        action,
    )


def _lowest_level_stops(case: Case, reaction: Reaction) -> bool:
    stops = case.protocol.heme.lowest_level_stop_anc is not None
    before = [p for p in case.course.periods if reaction.onset is not None and p.start <= reaction.onset]
    level = before[-1].level if before else case.course.current_level
    return stops and level is not None and is_at_floor(case, level)


def _after_resolution(case: Case) -> Report | None:
    """Resume one level below the level at onset, unless a later order already did."""
    pending, draft = reaction_to_answer(case), case.draft_level
    if pending is None or draft is None:
        return None
    reaction, onset = pending
    lower = level_after_reaction(case)
    if lower is None:
        return _reaction(
            case, reaction, f"No level below {onset.in_words}: ask a specialist", Indicator.WARNING, Action.DEFER
        )
    if not exceeds(draft, lower):
        return None
    return _reaction(case, reaction, f"Resume at {lower.in_words}", Indicator.WARNING, Action.MODIFY)


RULES = (
    duration_stop,
    severe_reaction,
    escalation_premature,
    re_escalation,
    stepwise_escalation,
    escalation_eligible,
)
