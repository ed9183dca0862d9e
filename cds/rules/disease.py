"""Area eligibility: what the myeloma itself does. Progression ends maintenance."""

from __future__ import annotations

from cds.case import HIDES, Case
from cds.findings import Action, Indicator, Outcome
from cds.rules.rule import Report, rule
from cds.snapshot import ConditionFact, Fault, Result
from cds.words import listed, of_fact, of_record, of_unread, on

_RESPONSE, _STABLE = "disease-response", "stable-disease"
_PROGRESSING = ("progressive-disease", "relapse")
_BETTER = (
    "stringent-complete-response",
    "complete-response",
    "very-good-partial-response",
    "partial-response",
    "minimal-response",
    "improved",
    _STABLE,
)


@rule(
    "eligibility.progression",
    "Maintenance continues only until the myeloma progresses.[ Not started in stable disease either: "
    "{eligibility.excludes_stable_disease}.]",
    cites=("eligibility.excludes_stable_disease",),
    sources=("F 2.1", "F 14.1", "S1 treatment plan", "S2 arm description", "S4 3"),
    needs_draft=False,
)
def progression(case: Case) -> Report | None:
    """Progression since maintenance began, or when it is about to; a better response later clears it."""
    if case.combination or case.treatment_is_over:
        return None
    response = _latest_response(case)
    if response is not None and response.answer in _PROGRESSING:
        return _stop(case, response, "the myeloma progresses", "Maintenance ends with progression")
    relapse = _relapse_on_treatment(case, response)
    if relapse is not None and relapse.onset is not None:
        return _stop(case, relapse, "a relapse is recorded", "Maintenance ends with progression")
    if relapse is not None:
        # A diagnosis of a visit repeats what is known; only its onset would tell that it is new.
        return Report(
            Indicator.WARNING,
            f"Relapse of the myeloma recorded on {on(relapse.recorded, case.today)}: is it new?",
            "Maintenance ends with progression.",
            (of_record(relapse),),
            found_before=case.knew_of([relapse]),
        )
    unread = case.newer_unread((_RESPONSE,), *HIDES, Fault.CODE)
    if unread:
        # It may hide a progression, never take one back.
        return Report(
            Indicator.INFO,
            f"Response of the myeloma not known: {unread[0].why}",
            "Read it in the record: maintenance ends with progression.",
            tuple(of_unread(item) for item in unread),
            outcome=Outcome.UNKNOWN,
        )
    if response is None:
        return None
    excluded = case.protocol.eligibility.excludes_stable_disease
    if case.course.new_start and response.answer == _STABLE and excluded is not None and excluded.value:
        return _stop(case, response, "stable disease", f"{case.protocol.id} starts in remission only")
    return None


def _relapse_on_treatment(case: Case, response: Result | None) -> ConditionFact | None:
    """A relapse among the diagnoses since maintenance began, unless a response was assessed after it."""
    since = case.course.maintenance_start
    earlier = [
        fact
        for fact in case.conditions_ever("relapsed-myeloma")
        if fact.day is not None and since is not None and fact.day < since
    ]
    found = [
        fact
        for fact in case.conditions_now("relapsed-myeloma")
        if since is not None
        and fact.day is not None
        and fact.day >= since
        and (response is None or response.day <= fact.day)
        and (fact.onset is not None or not earlier)
    ]
    return found[-1] if found else None


def _stop(case: Case, response: Result | ConditionFact, what: str, why: str) -> Report:
    started = "Do not start" if case.course.new_start else "Stop"
    return Report(
        Indicator.CRITICAL,
        f"{started} lenalidomide maintenance: {what} ({on(response.day, case.today)})",
        f"{why}: decide on the next treatment.",
        (of_fact(response),),
        Action.DISCONTINUE,
    )


def _latest_response(case: Case) -> Result | None:
    """The latest assessment since maintenance began or, before it, since the transplant; of one day the worst."""
    course = case.course
    transplant = course.transplant
    since = course.maintenance_start if not course.new_start else (transplant.day if transplant is not None else None)
    told = [
        result
        for result in case.snapshot.of(_RESPONSE)
        if (result.answer in _PROGRESSING or (result.answer in _BETTER and not result.only_against))
        and (since is None or result.day >= since)
    ]
    if not told:
        return None
    of_the_day = [result for result in told if result.day == told[-1].day]
    return next((result for result in of_the_day if result.answer in _PROGRESSING), of_the_day[-1])


@rule(
    "eligibility.refractory",
    "Disease that was refractory to lenalidomide: {eligibility.refractory}.",
    cites=("eligibility.refractory",),
)
def refractory(case: Case) -> Report | None:
    """Refractory disease; no code tells to which drug."""
    found = case.conditions_ever("refractory-cancer")
    if not found:
        return None
    return Report(
        Indicator(case.protocol.eligibility.refractory.value),
        f"Refractory disease recorded ({on(found[0].day, case.today)})",
        "Confirm that it was not refractory to lenalidomide: the record does not say to which drug.",
        tuple(of_record(item) for item in found),
        found_before=case.knew_of(found),
    )


@rule(
    "eligibility.plasma-cell-leukemia",
    "Plasma cell leukaemia: {eligibility.plasma_cell_leukaemia}.",
    cites=("eligibility.plasma_cell_leukaemia",),
)
def plasma_cell_leukaemia(case: Case) -> Report | None:
    """Plasma cell leukaemia, also in remission."""
    found = case.conditions_ever("plasma-cell-leukaemia")
    if not found:
        return None
    grade = Indicator(case.protocol.eligibility.plasma_cell_leukaemia.value)
    excluded = f": {case.protocol.id} excludes it" if grade is Indicator.WARNING else ""
    return Report(
        grade,
        f"{listed(sorted({item.name.capitalize() for item in found}))} recorded ({on(found[0].day, case.today)}){excluded}",
        "The maintenance trials are about multiple myeloma; decide whether this treatment fits.",
        tuple(of_record(item) for item in found),
        found_before=case.knew_of(found),
    )


RULES = (progression, refractory, plasma_cell_leukaemia)
