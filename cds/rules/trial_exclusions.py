"""Area eligibility: limits of single trials, in organ function, time and earlier treatment."""

from __future__ import annotations

from cds.case import Case
from cds.counted import latest, lowest_first
from cds.findings import Action, Indicator, Outcome
from cds.periods import covered_days, periods_of
from cds.rules.rule import Report, rule
from cds.snapshot import LENALIDOMIDE
from cds.toxicity import liver_above
from cds.words import NAMES, capital, of_order, of_record, of_result, reading

_HEART, _LUNG = "lvef", "dlco-percent-predicted"


@rule(
    "eligibility.start-window",
    "Maintenance starts [{eligibility.start_from} and ]{eligibility.start_until} after the transplant.",
    cites=("eligibility.start_from", "eligibility.start_until"),
    applies=lambda protocol: protocol.eligibility.start_until is not None,
)
def start_window(case: Case) -> Report | None:
    """How long after the transplant the first order starts."""
    limits, transplant = case.protocol.eligibility, case.course.transplant
    if not case.course.new_start or transplant is None or transplant.day is None or limits.start_until is None:
        return None
    elapsed = (case.course.draft_start - transplant.day).days
    if limits.start_until.holds(elapsed) and (limits.start_from is None or limits.start_from.holds(elapsed)):
        return None
    window = limits.start_until.in_words
    if limits.start_from is not None:
        window = f"{limits.start_from.value} to {limits.start_until.amount}"
    return Report(
        # A protocol that opens the window too is a trial's; an end alone is what a pivotal trial happened to do.
        Indicator.INFO if limits.start_from is None else Indicator.WARNING,
        f"Start on day {elapsed} after the transplant: {case.protocol.id} says {window}",
        "",
        (of_record(transplant),),
    )


@rule(
    "eligibility.revallo-hepatic",
    "Not started with ALT, AST or bilirubin {eligibility.liver} (bilirubin aside in Gilbert syndrome).",
    cites=("eligibility.liver",),
    applies=lambda protocol: protocol.eligibility.liver is not None,
)
def trial_liver(case: Case) -> Report | None:
    """The trial's liver exclusion at a new start."""
    limit = case.protocol.eligibility.liver
    if limit is None or not case.course.new_start:
        return None
    high = liver_above(case.snapshot, limit, limit)
    if high is None:
        return None
    return Report(
        Indicator.WARNING,
        f"Hold: {reading(high, case.today)}, {limit.in_words}; {case.protocol.id} excludes it at the start",
        "Repeat the liver tests before the start.",
        (of_result(high),),
        Action.HOLD,
    )


@rule(
    "eligibility.revallo-cardiopulmonary",
    "Excluded with an ejection fraction {eligibility.ejection_fraction} or a diffusing capacity "
    "{eligibility.diffusing_capacity} of predicted.",
    cites=("eligibility.ejection_fraction", "eligibility.diffusing_capacity"),
    applies=lambda protocol: protocol.eligibility.ejection_fraction is not None,
)
def trial_heart_and_lung(case: Case) -> Report | None:
    """The trial's limits for heart and lung."""
    limits = case.protocol.eligibility
    checked = {_HEART: limits.ejection_fraction, _LUNG: limits.diffusing_capacity}
    missing = []
    for token, limit in checked.items():
        result = latest(case.snapshot.of(token), worse=lowest_first) if limit is not None else None
        if limit is None:
            continue
        verdict = None if result is None else limit.holds_for(result.measurement)
        if verdict and result is not None:
            return Report(
                Indicator.WARNING,
                f"{capital(reading(result, case.today))}: {case.protocol.id} excludes it",
                f"Excluded when {limit.in_words}.",
                (of_result(result),),
                found_before=case.was_known(result.day),
            )
        if verdict is None:
            missing.append(NAMES[token])
    if not missing or not case.course.new_start:
        return None
    return Report(
        Indicator.INFO,
        f"Not found: {' and '.join(missing)}",
        f"{case.protocol.id} asks for both before the start.",
        outcome=Outcome.UNKNOWN,
    )


@rule(
    "eligibility.revallo-exposure",
    "Excluded when lenalidomide was taken for {eligibility.exposure} before.",
    cites=("eligibility.exposure",),
    applies=lambda protocol: protocol.eligibility.exposure is not None,
)
def trial_exposure(case: Case) -> Report | None:
    """Days on lenalidomide before maintenance."""
    limit, before = case.protocol.eligibility.exposure, case.course.maintenance_start or case.today
    if limit is None:
        return None
    earlier = [
        order
        for order in case.snapshot.orders
        if order.drug.token == LENALIDOMIDE and order.start is not None and order.start < before
    ]
    periods = periods_of(earlier, case.protocol, case.today)
    days, evidence = covered_days(periods, before), tuple(of_order(order) for order in earlier)
    if limit.holds(days):
        return Report(
            Indicator.WARNING,
            f"Lenalidomide for {days} days before maintenance: {case.protocol.id} excludes it",
            f"Excluded when {limit.in_words}.",
            evidence,
            found_before=not case.course.new_start,
        )
    if not case.snapshot.supplied("MedicationRequest").proves_absence or any(period.end is None for period in periods):
        return Report(
            Indicator.INFO,
            "Earlier lenalidomide not fully known: its days cannot be counted",
            f"{case.protocol.id} excludes {limit.in_words}.",
            evidence,
            outcome=Outcome.UNKNOWN,
        )
    return None


RULES = (start_window, trial_liver, trial_heart_and_lung, trial_exposure)
