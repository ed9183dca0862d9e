"""Area renal: creatinine clearance, dialysis, and the caps that follow."""

from __future__ import annotations

import re

from cds.case import Case
from cds.findings import Action, Correction, Evidence, Indicator
from cds.kidney import WEIGHTS, Kidney, cap_for
from cds.level import Level, plain
from cds.recommend import exceeds, renal_dose_is_tolerated, target_level
from cds.rules.rule import Report, rule
from cds.snapshot import Fault
from cds.words import listed, of_record, of_result, on, reading

AFTER_DIALYSIS = "On dialysis days take the dose after dialysis."
_AFTER_DIALYSIS = re.compile(r"\b(?:after|following|post)\b[^.;]{0,40}dialy[sz]", re.IGNORECASE)


def _evidence(kidney: Kidney) -> tuple[Evidence, ...]:
    facts = [of_result(result) for result in (kidney.creatinine, kidney.weight) if result is not None]
    if kidney.clearance is not None:
        facts.insert(0, Evidence("crcl", kidney.clearance, "mL/min"))
    return (of_record(kidney.dialysis), *facts) if kidney.dialysis is not None else tuple(facts)


def _function(case: Case) -> str:
    """``CrCl 45.0 mL/min (4 Sep)`` or ``dialysis``."""
    kidney = case.kidney
    if kidney.dialysis is not None:
        return "dialysis"
    assert kidney.creatinine is not None
    return f"CrCl {kidney.clearance} mL/min ({on(kidney.creatinine.day, case.today)})"


def _basis(case: Case) -> str:
    kidney = case.kidney
    if kidney.dialysis is not None or kidney.creatinine is None or kidney.weight is None:
        return ""
    old = ", weight is old" if kidney.weight_is_old else ""
    return (
        f" Cockcroft-Gault from {reading(kidney.creatinine, case.today)} and {reading(kidney.weight, case.today)}{old}."
    )


def _over_cap(case: Case) -> Level | None:
    cap, draft = case.renal_cap, case.draft_level
    if cap is None or draft is None or case.combination or not exceeds(draft, cap):
        return None
    return cap


@rule(
    "renal.cap",
    "Start dose by creatinine clearance ({renal.bands}); in dialysis at most {renal.dialysis_cap}.",
    cites=("renal.bands", "renal.dialysis_cap", "renal.cap_schedule"),
)
def cap_at_start(case: Case) -> Report | None:
    """The start dose is above the renal dose."""
    cap = _over_cap(case)
    if cap is None or not case.is_start:
        return None
    return Report(
        Indicator.CRITICAL if case.renal_is_severe else Indicator.WARNING,
        f"Start at {cap.in_words}: {_function(case)}",
        f"The starting dose for this kidney function is {cap.in_words}.{_basis(case)}",
        _evidence(case.kidney),
        Action.MODIFY,
    )


@rule(
    "renal.decline",
    "Dose by creatinine clearance ({renal.bands}; dialysis {renal.dialysis_cap}); these are starting doses, later changes "
    "follow tolerance.",
    cites=("renal.bands", "renal.dialysis_cap", "renal.cap_schedule"),
)
def decline(case: Case) -> Report | None:
    """A continuing patient is now above the renal dose."""
    cap = _over_cap(case)
    if cap is None or case.is_start:
        return None
    if renal_dose_is_tolerated(case):
        return Report(
            Indicator.INFO,
            f"Above the renal starting dose but tolerated: {_function(case)}",
            f"The same kidney function and dose were tolerated before; the starting dose would be {cap.in_words}.",
            _evidence(case.kidney),
        )
    return Report(
        Indicator.CRITICAL if case.renal_is_severe else Indicator.WARNING,
        f"Reduce to {cap.in_words}: {_function(case)}",
        f"The renal doses are starting doses and later changes follow tolerance: re-assess.{_basis(case)}",
        _evidence(case.kidney),
        Action.MODIFY,
    )


@rule(
    "renal.dialysis-timing",
    "On dialysis days the dose is taken after dialysis.",
    cites=("renal.dialysis_cap",),
    sources=("C3 abstract",),
)
def dialysis_timing(case: Case) -> Report | None:
    """The instruction to take the dose after dialysis is missing."""
    assert case.regimen is not None
    texts = " ".join(order.dosing.instructions for order in case.regimen.orders)
    if case.kidney.dialysis is None or _AFTER_DIALYSIS.search(texts):
        return None
    return Report(
        Indicator.WARNING,
        "Add the instruction: on dialysis days take lenalidomide after dialysis",
        "Dialysis removes about 30 % of the drug in four hours.",
        (of_record(case.kidney.dialysis),),
        corrections=(Correction("instructions", AFTER_DIALYSIS),),
    )


@rule(
    "renal.unknown",
    "Creatinine clearance needs a creatinine ({freshness.creatinine_close} at start or with a clearance "
    "{freshness.creatinine_close_clearance}, else {freshness.creatinine_continuing}), weight, age and sex.",
    cites=("freshness.creatinine_close", "freshness.creatinine_continuing"),
    sources=("F 2.6",),
)
def unknown(case: Case) -> Report | None:
    """The clearance cannot be computed."""
    kidney = case.kidney
    if kidney.dialysis is not None:
        return None
    if kidney.missing:
        egfr = " A laboratory eGFR is not a substitute." if kidney.egfr is not None else ""
        tests = [token for token in ("creatinine", "body-weight") if _lacks(kidney, token)]
        return Report(
            Indicator.WARNING,
            f"Kidney function not known: {listed(list(kidney.missing))}",
            f"The dose depends on creatinine clearance.{egfr}",
            _evidence(kidney),
            Action.DEFER,
            tuple(tests),
        )
    if kidney.clearance is None or kidney.clearance_if_other_sex is None:
        return None
    caps = [
        cap_for(case.protocol, value, dialysis=False) for value in (kidney.clearance, kidney.clearance_if_other_sex)
    ]
    if caps[0] == caps[1]:
        return None
    return Report(
        Indicator.WARNING,
        f"Sex not known: CrCl {kidney.clearance} or {kidney.clearance_if_other_sex} mL/min; the lower is used",
        "The two values fall into different bands. Record the sex for clinical use.",
        _evidence(kidney),
    )


def _lacks(kidney: Kidney, token: str) -> bool:
    return (
        kidney.weight is None if token == "body-weight" else kidney.creatinine is None or kidney.stale_days is not None
    )


@rule(
    "renal.implausible",
    "A creatinine or weight outside the plausible limits is not used.",
    sources=("[policy]",),
    needs_draft=False,
)
def implausible(case: Case) -> Report | None:
    """Creatinine or weight outside the limits."""
    found = [unread for tokens in (("creatinine",), WEIGHTS) for unread in case.newer_unread(tokens, Fault.IMPLAUSIBLE)]
    if not found:
        return None
    return Report(
        Indicator.WARNING,
        "Implausible creatinine or weight was not used",
        f"{'; '.join(f'{unread.reference}: {unread.why}' for unread in found)}. Check value and unit.",
    )


@rule(
    "renal.weight-sensitivity",
    "With a body mass index of {renal.obesity} the clearance is also computed with the adjusted weight.",
    cites=("renal.obesity",),
    sources=("C1", "C2 abstract"),
)
def weight_sensitivity(case: Case) -> Report | None:
    """Actual and adjusted weight fall into different bands."""
    kidney = case.kidney
    if kidney.dialysis is not None or kidney.adjusted is None or kidney.clearance is None:
        return None
    if cap_for(case.protocol, kidney.clearance, dialysis=False) == cap_for(
        case.protocol, kidney.adjusted, dialysis=False
    ):
        return None
    return Report(
        Indicator.INFO,
        f"CrCl {kidney.clearance} mL/min with actual, {kidney.adjusted} with adjusted weight",
        "The two fall into different bands; the value with the actual weight is used.",
        _evidence(kidney),
    )


@rule(
    "renal.conflict",
    "Where ladder and renal cap differ, the smaller amount per cycle applies.",
    cites=("renal.bands", "dosing.ladder"),
)
def conflict(case: Case) -> Report | None:
    """Both a ladder or escalation target and a renal cap exist, and differ."""
    target, cap = target_level(case), case.renal_cap
    current = case.course.current_level
    moved = case.course.pending_reduction is not None or (current is not None and target.ladder != current)
    if case.course.new_start or not moved or cap is None or target.ladder is None:
        return None
    if cap.cycle_mg == target.ladder.cycle_mg:
        return None
    draft = case.draft_level
    if draft is None or renal_dose_is_tolerated(case):
        return None
    wins = min(cap, target.ladder, key=lambda level: level.cycle_mg)
    too_much, severe = exceeds(draft, wins), exceeds(draft, cap) and case.renal_is_severe
    return Report(
        Indicator.CRITICAL if severe else Indicator.WARNING if too_much else Indicator.INFO,
        f"Ladder {target.ladder} and renal dose {cap}: {wins.in_words}",
        f"Ladder {target.ladder.in_words}, kidneys {cap.in_words}: the smaller amount per cycle ({plain(wins.cycle_mg)} mg).",
        _evidence(case.kidney),
        # It explains; the rules it explains ask for the change.
        Action.PROCEED,
    )


RULES = (cap_at_start, decline, dialysis_timing, unknown, implausible, weight_sensitivity, conflict)
