"""Cancers beside the myeloma: before maintenance an exclusion of some protocols, during it a reason to weigh or to stop."""

from __future__ import annotations

from datetime import date

from cds.calculations import months_after, years_after
from cds.case import Case
from cds.findings import Action, Indicator, Outcome
from cds.rules.rule import Report, rule
from cds.snapshot import ConditionFact
from cds.words import capital, listed, of_record, on

_SKIN = ("non-melanoma-skin-cancer", "skin-carcinoma-in-situ", "skin-cancer-history")
_DURING = (
    "second-cancer",
    "acute-leukaemia",
    "melanoma",
    *_SKIN[:2],
    "myelodysplastic-syndrome",
    "lymphoma",
    "chronic-lymphocytic-leukaemia",
    "mantle-cell-lymphoma",
    "follicular-lymphoma",
    "marginal-zone-lymphoma",
    "small-b-cell-lymphoma",
)
_ENDS = " The protocol ends with a new cancer."
_BEFORE = (*_DURING, "cancer-history", "haematological-cancer-history", _SKIN[2])


@rule(
    "monitoring.spm",
    "A new cancer during treatment: weigh the benefit against the risk of second cancers.[ The protocol stops: "
    "{eligibility.new_cancer_stops}.] Reminded {freshness.cancer_screen} after the start.",
    cites=("eligibility.new_cancer_stops", "freshness.cancer_screen"),
    sources=("F 5.6", "S4 5.2"),
    needs_draft=False,
)
def second_cancer(case: Case) -> Report | None:
    """A cancer that began on or after the day maintenance did."""
    since = case.course.maintenance_start
    if since is None or case.treatment_is_over:
        return None
    cancers = case.conditions_ever(*_DURING)
    found = [fact for fact in cancers if fact.onset is not None and fact.onset >= since]
    undated = [fact for fact in cancers if fact not in found and _may_have_begun_since(fact, since)]
    if not found and undated:
        return Report(
            Indicator.WARNING,
            f"{capital(undated[-1].name)} ({on(undated[-1].day, case.today)}), exact onset not recorded: new on treatment?",
            f"Find out when it began.{_ENDS if _stops(case) else ''}",
            tuple(of_record(fact) for fact in undated),
            outcome=Outcome.FIRED if undated[-1].day is not None else Outcome.UNKNOWN,
            found_before=case.knew_of(undated),
        )
    if not found:
        return _reminder(case, since)
    stop = _stops(case)
    only_skin = all(fact.token in _SKIN for fact in found)
    names = listed([f"{fact.name} ({on(fact.day, case.today)})" for fact in found])
    return Report(
        Indicator.INFO if only_skin and not stop else Indicator.WARNING,
        f"Stop lenalidomide: new cancer, {names}" if stop else f"New cancer during treatment: {names}",
        f"{case.protocol.id} ends with a new cancer."
        if stop
        else "Weigh the benefit against the risk of second cancers.",
        tuple(of_record(fact) for fact in found),
        Action.DISCONTINUE if stop else None,
        found_before=not stop and case.knew_of(found),
    )


def _stops(case: Case) -> bool:
    stops = case.protocol.eligibility.new_cancer_stops
    return stops is not None and stops.value


def _may_have_begun_since(fact: ConditionFact, since: date) -> bool:
    """One recorded during treatment may have begun before it or not; one recorded before it did begin before."""
    if fact.onset is not None:
        return (fact.onset_by or fact.onset) >= since
    return fact.recorded is None or fact.recorded >= since


def _reminder(case: Case, since: date) -> Report | None:
    """Where no order is being written, once treatment is a year old."""
    if case.regimen is not None or months_after(since, int(case.protocol.freshness.cancer_screen.value)) > case.today:
        return None
    return Report(Indicator.INFO, "Screen for second cancers once a year", f"Treated since {on(since, case.today)}.")


@rule(
    "eligibility.prior-cancer",
    "Another cancer before maintenance is excluded[ when it is {eligibility.prior_cancer} old][ unless in complete remission for "
    "{eligibility.prior_cancer_remission}]. The source exempts no skin cancer.",
    cites=("eligibility.prior_cancer", "eligibility.prior_cancer_remission"),
    applies=lambda protocol: (
        protocol.eligibility.prior_cancer is not None or protocol.eligibility.prior_cancer_remission is not None
    ),
)
def prior_cancer(case: Case) -> Report | None:
    """Another cancer before maintenance, as the trials exclude it."""
    since = case.course.maintenance_start or case.course.draft_start
    before = [fact for fact in case.conditions_ever(*_BEFORE) if fact.day is None or fact.day < since]
    excluded = [fact for fact in before if fact.day is not None and _is_excluded(fact, case)]
    undated = [fact for fact in before if fact.day is None]
    if not excluded and not undated:
        return None
    known = case.knew_of(excluded)
    if excluded:
        return Report(
            Indicator.WARNING,
            f"{capital(excluded[-1].name)} ({on(excluded[-1].day, case.today)}): {case.protocol.id} excludes it",
            "Consider another protocol; skin cancers are not exempted in the source.",
            tuple(of_record(fact) for fact in excluded),
            found_before=known,
        )
    return Report(
        Indicator.WARNING,
        f"{capital(undated[0].name)} without a date: {case.protocol.id} may exclude it",
        "Find out when it began and when it was last treated.",
        tuple(of_record(fact) for fact in undated),
        outcome=Outcome.UNKNOWN,
    )


def _is_excluded(fact: ConditionFact, case: Case) -> bool:
    limits = case.protocol.eligibility
    if limits.prior_cancer is not None and fact.day is not None:
        # Of a month or a year the last day counts: it is not known that it was earlier.
        return years_after(fact.onset_by or fact.day, int(limits.prior_cancer.value)) >= case.today
    if limits.prior_cancer_remission is None:
        return False
    # A remission of exactly as many years is not yet longer.
    return fact.abated is None or years_after(fact.abated, int(limits.prior_cancer_remission.value)) >= case.today


RULES = (second_cancer, prior_cancer)
