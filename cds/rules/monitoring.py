"""Area monitoring: which results are missing, too old, or came in an unknown unit."""

from __future__ import annotations

from cds.case import COUNTS, HIDES, Case
from cds.episodes import NEUTROPHILS, PLATELETS
from cds.findings import Action, Indicator
from cds.level import plain
from cds.parameters import Threshold
from cds.pregnancy import HCG
from cds.recommend import next_step, step_is_earned
from cds.rules.rule import Report, rule
from cds.snapshot import Fault, Supply
from cds.words import NAMES, amount, listed, of_result, of_unread, on

_WITH_UNITS = (*COUNTS, "creatinine", "body-weight", "body-weight-stated", HCG)


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
    problems = _problems(case)
    if not problems or case.treatment_is_over:
        return None
    may_exist = any(_is_missing(case, token) for token in COUNTS) and not _supply(case).proves_absence
    look = "It may be in the record all the same; look there first. " if may_exist else ""
    return Report(
        Indicator.WARNING,
        f"Blood count needed before lenalidomide: {listed(problems)}",
        f"{look}Order a blood count with differential; it may be at most {plain(case.cbc_window)} days old now.",
        tuple(of_result(result) for result in case.latest_counts),
        None if case.regimen is None else Action.DEFER,
        ("cbc",),
    )


def _problems(case: Case) -> list[str]:
    """What is wrong with each count; what did not come is named together."""
    missing = [NAMES[token] for token in COUNTS if _is_missing(case, token)]
    problems = [problem for token in COUNTS if not _is_missing(case, token) and (problem := _problem(case, token))]
    if not missing:
        return problems
    supply = _supply(case)
    if supply.proves_absence:
        return [*(f"no {name}" for name in missing), *problems]
    return [f"{listed(missing)} not available (laboratory data {supply.value})", *problems]


def _is_missing(case: Case, token: str) -> bool:
    return case.count(token) is None and case.hides_newer(token) is None


def _supply(case: Case) -> Supply:
    return case.snapshot.supplied("Observation")


def _problem(case: Case, token: str) -> str:
    """What is wrong with a count that came; empty where nothing is."""
    result, name = case.count(token), NAMES[token]
    hidden = case.hides_newer(token)
    if hidden is not None:
        return f"{name} of {on(hidden.day, case.today)} could not be read"
    assert result is not None
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
    "A result without a unit, in a unit that is not known, or under a code that is not known, is not used. A pregnancy test that "
    "could not be read may have been positive, until two negative ones of different days have followed.",
    sources=("[policy]",),
    needs_draft=False,
)
def unit_unknown(case: Case) -> Report | None:
    """Values that could not be read for their unit."""
    if not case.snapshot.unread:
        return None
    # For a man there is no pregnancy test, so none can be missing.
    tokens = [token for token in _WITH_UNITS if not (token == HCG and case.reproductive_class.male)]
    found = [unread for token in tokens for unread in case.newer_unread((token,), *_faults(token))]
    if not found:
        return None
    return Report(
        Indicator.WARNING,
        f"Result not used: {found[0].why}",
        f"Not used: {'; '.join(f'{unread.reference}, {unread.why}' for unread in found)}.",
        tuple(of_unread(unread) for unread in found),
    )


def _faults(token: str) -> tuple[Fault, ...]:
    """Why a result is worth a card of its own; of a pregnancy test whatever the reason."""
    return (*HIDES, Fault.CODE) if token == HCG else (Fault.UNIT, Fault.CODE)


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
    if case.regimen is not None or case.treatment_is_over or kidney.dialysis is not None or not kidney.missing:
        return None
    return Report(
        Indicator.INFO,
        f"Creatinine due: {listed(list(kidney.missing))}",
        "The lenalidomide dose depends on creatinine clearance.",
        () if kidney.creatinine is None else (of_result(kidney.creatinine),),
        order_tests=("creatinine",),
    )


RULES = (cbc_due, unit_unknown, creatinine_due)
