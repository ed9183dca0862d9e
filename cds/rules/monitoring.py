"""Area monitoring: which results are missing, too old, or came in an unknown unit."""

from __future__ import annotations

from cds.case import COUNTS, Case
from cds.episodes import NEUTROPHILS, PLATELETS
from cds.findings import Action, Indicator
from cds.level import plain
from cds.parameters import Threshold
from cds.recommend import next_step, step_is_earned
from cds.rules.rule import Report, rule
from cds.snapshot import Fault
from cds.words import NAMES, amount, listed, of_result, on, reading

_WITH_UNITS = (*COUNTS, "creatinine", "body-weight", "body-weight-stated", "hcg")


def _limit(case: Case, token: str) -> Threshold:
    """The limit that a count must be able to decide now."""
    heme = case.protocol.heme
    if case.course.new_start:
        return heme.start_anc if token == NEUTROPHILS else heme.start_platelets
    return heme.anc_interrupt if token == NEUTROPHILS else heme.platelets_interrupt


@rule(
    "monitoring.cbc-due",
    "A blood count is needed: at start {freshness.cbc_new_start}; {freshness.cbc_by_cycle}; after an interruption "
    "{freshness.cbc_after_interruption}.",
    cites=("freshness.cbc_by_cycle", "freshness.cbc_new_start", "freshness.cbc_after_interruption"),
    needs_draft=False,
)
def cbc_due(case: Case) -> Report | None:
    """Neutrophils or platelets are missing, too old or undecidable."""
    problems = [problem for token in COUNTS if (problem := _problem(case, token))]
    finished = case.regimen is None and case.course.restart
    if not problems or finished:
        return None
    return Report(
        Indicator.WARNING,
        f"Blood count needed before lenalidomide: {listed(problems)}",
        f"Order a blood count with differential; it may be at most {plain(case.cbc_window)} days old now.",
        tuple(of_result(result) for result in case.latest_counts),
        None if case.regimen is None else Action.DEFER,
        ("cbc",),
    )


def _problem(case: Case, token: str) -> str:
    result, name = case.count(token), NAMES[token]
    hidden = case.hides_newer(token)
    if hidden is not None:
        return f"{name} of {on(hidden.day, case.today)} could not be read"
    if result is None:
        supply = case.snapshot.supplied("Observation")
        return f"no {name}" if supply.proves_absence else f"{name} not available (laboratory data {supply.value})"
    age = (case.today - result.day).days
    if age > case.cbc_window:
        return f"{name} {'are' if token == PLATELETS else 'is'} {age} days old ({on(result.day, case.today)})"
    if case.meets(token, _limit(case, token)) is None or _escalation_hangs_on(case, token):
        return f"{name} {amount(result)} does not decide"
    return ""


def _escalation_hangs_on(case: Case, token: str) -> bool:
    """Whether the draft asks for the next step and this count cannot tell whether it is tolerated."""
    draft = case.draft_level
    if draft is None or draft != next_step(case) or step_is_earned(case) is not None:
        return False
    dosing = case.protocol.dosing
    limit = dosing.escalation_anc if token == NEUTROPHILS else dosing.escalation_platelets
    return case.meets(token, limit) is None


@rule(
    "monitoring.unit-unknown",
    "A result without a unit, in a unit that is not known, or under a code that is not known, is not used.",
    sources=("[policy]",),
    needs_draft=False,
)
def unit_unknown(case: Case) -> Report | None:
    """Values that could not be read for their unit."""
    found = [unread for token in _WITH_UNITS for unread in case.newer_unread((token,), Fault.UNIT, Fault.CODE)]
    if not found:
        return None
    return Report(
        Indicator.WARNING,
        f"Result not used: {found[0].why}",
        f"Not used: {'; '.join(f'{unread.reference}, {unread.why}' for unread in found)}.",
    )


@rule(
    "monitoring.creatinine-due",
    "A creatinine is due: {freshness.creatinine_close} at start or with a clearance "
    "{freshness.creatinine_close_clearance}, else {freshness.creatinine_continuing}.",
    cites=("freshness.creatinine_close", "freshness.creatinine_continuing"),
    needs_draft=False,
)
def creatinine_due(case: Case) -> Report | None:
    """Creatinine is missing or too old where no order is being written."""
    kidney = case.kidney
    finished = case.course.restart
    if case.regimen is not None or finished or kidney.dialysis is not None or not kidney.missing:
        return None
    return Report(
        Indicator.INFO,
        f"Creatinine due: {listed(list(kidney.missing))}",
        "The lenalidomide dose depends on creatinine clearance.",
        () if kidney.creatinine is None else (of_result(kidney.creatinine),),
        order_tests=("creatinine",),
    )


@rule(
    "monitoring.hepatotoxicity",
    "Hold when ALT or AST is {liver.transaminases_hold}, or bilirubin {liver.bilirubin_hold} (Gilbert syndrome aside).",
    cites=("liver.transaminases_hold", "liver.bilirubin_hold"),
    sources=("F 5.8",),
    needs_draft=False,
)
def hepatotoxicity(case: Case) -> Report | None:
    """A liver test so far above its own upper limit that treatment stops."""
    result = case.liver_hold
    if result is None or result.upper_limit is None or case.combination:
        return None
    return Report(
        Indicator.CRITICAL,
        f"Hold lenalidomide: {reading(result, case.today)}, upper limit {plain(result.upper_limit)}",
        "Stop on elevation; a lower dose may be considered after return to baseline.",
        (of_result(result),),
        Action.HOLD,
    )


RULES = (cbc_due, unit_unknown, creatinine_due, hepatotoxicity)
