"""Area eligibility: heart, graft-versus-host disease, and what the capsules contain."""

from __future__ import annotations

from cds import protocol_areas as areas
from cds.calculations import months_after
from cds.case import Case
from cds.findings import Action, Indicator, Outcome
from cds.rules.rule import Report, rule
from cds.snapshot import ConditionFact
from cds.words import capital, listed, of_record, on

_INFARCTION = "myocardial-infarction"
_GVHD, _STEROID_REFRACTORY = "gvhd", "steroid-refractory-gvhd"
_SUGAR_DISORDERS = ("lactose-intolerance", "galactose-disorder")


@rule(
    "eligibility.cardiac",
    "Excluded[ with a heart attack {eligibility.infarction} ago][ with {eligibility.cardiac}].",
    cites=("eligibility.infarction", "eligibility.cardiac"),
    applies=lambda protocol: protocol.eligibility.infarction is not None or protocol.eligibility.cardiac is not None,
)
def cardiac(case: Case) -> Report | None:
    """Heart disease, and infections, that a trial excludes."""
    limits = case.protocol.eligibility
    found: list[ConditionFact] = []
    if limits.cardiac is not None:
        found = [fact for fact in case.conditions_now(*limits.cardiac.value) if not case.is_old_infection(fact)]
    if limits.infarction is not None:
        attacks = case.conditions_ever(_INFARCTION)
        undated = [fact for fact in attacks if fact.onset is None and not fact.is_over(case.today)]
        months = int(limits.infarction.value)
        found += [
            fact
            for fact in attacks
            if fact.onset is not None and months_after(fact.onset_by or fact.onset, months) >= case.today
        ]
        if undated and not found:
            return Report(
                Indicator.WARNING,
                f"Myocardial infarction without a date: {case.protocol.id} excludes a recent one",
                f"Find out whether it was {limits.infarction.in_words} ago.",
                tuple(of_record(fact) for fact in undated),
                outcome=Outcome.UNKNOWN,
            )
    if not found:
        return None
    names = listed([f"{fact.name} ({on(fact.day, case.today)})" for fact in found])
    return Report(
        Indicator.WARNING,
        f"{capital(names)}: {case.protocol.id} excludes it",
        "Consider another protocol.",
        tuple(of_record(fact) for fact in found),
        found_before=case.knew_of(found),
    )


@rule(
    "eligibility.gvhd",
    "Graft-versus-host disease: {eligibility.gvhd}.",
    cites=("eligibility.gvhd",),
    sources=("F 6.2",),
    needs_draft=False,
)
def graft_versus_host(case: Case) -> Report | None:
    """Graft-versus-host disease; refractory to steroids it ends the trial of allografts."""
    refractory, other = case.conditions_now(_STEROID_REFRACTORY), case.conditions_now(_GVHD)
    if case.treatment_is_over or not (refractory or other):
        return None
    found = [*refractory, *other]
    stops = case.protocol.eligibility.gvhd.value == areas.ENDS_WHEN_REFRACTORY
    if refractory and stops:
        return Report(
            Indicator.CRITICAL,
            f"{'Do not start' if case.course.new_start else 'Stop'} lenalidomide: {refractory[-1].name} "
            f"({on(refractory[-1].day, case.today)})",
            f"{case.protocol.id} excludes it.",
            tuple(of_record(fact) for fact in refractory),
            Action.DISCONTINUE,
        )
    advice = (
        f"{case.protocol.id} ends when it is refractory to steroids; the record does not say."
        if stops
        else "Lenalidomide after an allograft is outside this protocol; graft-versus-host disease was reported."
    )
    return Report(
        Indicator.WARNING,
        f"{capital(found[0].name)} recorded ({on(found[0].day, case.today)})",
        advice,
        tuple(of_record(fact) for fact in found),
        found_before=case.knew_of(found),
    )


@rule(
    "eligibility.lactose",
    "The capsules contain lactose.",
    sources=("F Medication Guide", "E1 6.1"),
)
def lactose(case: Case) -> Report | None:
    """Lactose intolerance, or a disorder of galactose."""
    found = case.conditions_now(*_SUGAR_DISORDERS)
    if not found:
        return None
    return Report(
        Indicator.INFO,
        f"{capital(found[0].name)}: the capsules contain lactose",
        "",
        tuple(of_record(fact) for fact in found),
        found_before=case.knew_of(found),
    )


RULES = (cardiac, graft_versus_host, lactose)
