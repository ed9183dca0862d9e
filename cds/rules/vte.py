"""Area vte: thrombosis now or lately, and what goes with it."""

from __future__ import annotations

from cds.case import Case
from cds.episodes import PLATELETS
from cds.findings import Action, Indicator, Outcome
from cds.parameters import Threshold
from cds.rules.rule import Report, rule
from cds.snapshot import ConditionFact
from cds.thrombosis_risk import VEIN_EVENTS
from cds.words import capital, drug_names, of_order, of_record, of_result, of_unread, on, reading

_TREATING_CLASSES = ("anticoagulant-lmwh", "anticoagulant-doac")
_ARTERIAL_EVENTS = ("myocardial-infarction", "stroke", "arterial-event")


@rule(
    "vte.active-event",
    "A thrombosis that began {vte.active_event} ago and is not treated with an anticoagulant holds lenalidomide; so does a heart "
    "attack or stroke during treatment without a drug against thrombosis.",
    cites=("vte.active_event", "vte.after_event"),
    sources=("F boxed warning", "F 5.4"),
    needs_draft=False,
)
def active_event(case: Case) -> Report | None:
    """A thrombosis that is still active, in a vein or since maintenance began in an artery."""
    if case.treatment_is_over:
        return None
    recent = case.recent_events(*VEIN_EVENTS)
    attacks = [fact for fact in case.recent_events(*_ARTERIAL_EVENTS) if _began_on_treatment(fact, case)]
    if recent and not case.antithrombotics.therapeutic and not _is_reduced(recent[-1], case):
        return _untreated(recent, case, "anticoagulant at a treating dose")
    if attacks and not case.antithrombotics.orders:
        return _untreated(attacks, case, "drug against thrombosis")
    if recent or attacks:
        return _treated([*recent, *attacks], case)
    if case.antithrombotics.therapeutic:
        return None
    old = [fact for fact in case.conditions_now(*VEIN_EVENTS) if _began_on_treatment(fact, case)]
    return _old(old[-1], case) if old else _in_words_only(case)


def _is_reduced(event: ConditionFact, case: Case) -> bool:
    """Whether since the event an anticoagulant is taken at a lower dose because platelets are few."""
    since = event.day
    begun = [
        drug.order
        for drug in case.antithrombotics.protecting
        if drug.order.drug.drug_class in _TREATING_CLASSES
        and since is not None
        and drug.order.start is not None
        and drug.order.start >= since
    ]
    return bool(begun) and _has_few_platelets(case, case.protocol.vte.anticoagulant_reduce)


def _has_few_platelets(case: Case, limit: Threshold) -> bool:
    platelets = case.count(PLATELETS, limit)
    return platelets is not None and limit.holds_for(platelets.measurement) is True


def _in_words_only(case: Case) -> Report | None:
    """A thrombosis that is recorded without a code, or only suspected."""
    unread = [item for item in case.snapshot.unread_of(*VEIN_EVENTS) if not item.over]
    limit = case.protocol.vte.active_event
    unread = [item for item in unread if item.day is None or limit.holds((case.today - item.day).days)]
    suspected = [
        fact
        for fact in case.snapshot.conditions_of(*VEIN_EVENTS)
        if fact.confirmed is False and not fact.is_over(case.today)
    ]
    if not unread and not suspected:
        return None
    told = unread[0].why if unread else f"{suspected[-1].name} ({_when(suspected[-1], case)}) is not confirmed"
    return Report(
        Indicator.WARNING,
        f"A thrombosis is possible: an entry {told}" if unread else f"A thrombosis is possible: {told}",
        "Find out; if there is one, hold lenalidomide until it is treated.",
        (*(of_unread(item) for item in unread), *(of_record(fact) for fact in suspected)),
        found_before=case.was_known(
            *(item.day for item in unread), *(fact.recorded or fact.onset for fact in suspected)
        ),
    )


def _untreated(events: list[ConditionFact], case: Case, lacking: str) -> Report:
    event = events[-1]
    unknown = case.antithrombotics.dose_unknown
    suspended = _has_few_platelets(case, case.protocol.vte.anticoagulant_suspend)
    advice = f"{'Treat it when platelets allow.' if suspended else 'Treat it.'} {case.protocol.vte.after_event.value}."
    if case.antithrombotics.orders and not unknown:
        advice = f"Taken now: {drug_names(case.antithrombotics.orders)}. {advice}"
    if unknown:
        lacking = f"{lacking} that could be read"
        advice = f"{capital(drug_names(unknown))}: the dose could not be read; if it treats, go on. {advice}"
    supply = case.snapshot.supplied("MedicationRequest")
    lacks = f"no {lacking}" if supply.proves_absence else f"no {lacking} known (medication orders {supply.value})"
    return Report(
        Indicator.CRITICAL if event.onset is not None else Indicator.WARNING,
        f"Hold lenalidomide: {event.name} ({_when(event, case)}), {lacks}",
        advice,
        (*(of_record(fact) for fact in events), *(of_order(order) for order in case.antithrombotics.orders)),
        Action.HOLD,
    )


def _treated(events: list[ConditionFact], case: Case) -> Report:
    event, drugs = events[-1], case.antithrombotics.therapeutic or case.antithrombotics.orders
    return Report(
        Indicator.WARNING,
        f"{capital(event.name)} ({_when(event, case)}), treated with {drug_names(drugs)}",
        "Weigh benefit and risk of going on.",
        (*(of_record(fact) for fact in events), *(of_order(order) for order in drugs)),
        found_before=case.was_known(event.day),
    )


def _old(event: ConditionFact, case: Case) -> Report:
    return Report(
        Indicator.WARNING,
        f"{capital(event.name)} ({_when(event, case)}) still listed as active",
        "Confirm whether it is over; if not, it needs an anticoagulant.",
        (of_record(event),),
    )


def _began_on_treatment(fact: ConditionFact, case: Case) -> bool:
    since = case.course.maintenance_start
    return since is not None and fact.day is not None and fact.day >= since


@rule(
    "vte.recent-60d",
    "No new start with a thrombosis {vte.recent_event} ago.",
    cites=("vte.recent_event", "vte.recent_event_is"),
)
def recent_event(case: Case) -> Report | None:
    """A thrombosis shortly before a new start."""
    if not case.course.new_start:
        return None
    limits = case.protocol.vte
    indicator = Indicator(limits.recent_event_is.value)
    excluded = indicator is Indicator.CRITICAL
    events = case.conditions_ever(*VEIN_EVENTS)
    for event in events:
        if (
            event.onset is not None
            and event.onset <= case.today
            and limits.recent_event.holds((case.today - event.onset).days)
        ):
            return Report(
                indicator,
                f"{capital(event.name)} {(case.today - event.onset).days} days ago ({on(event.onset, case.today)})",
                f"{case.protocol.id} excludes it." if excluded else "Weigh benefit and risk.",
                (of_record(event),),
            )
    undated = [event for event in events if _may_be_recent(event, case)]
    if not undated:
        return None
    return Report(
        Indicator.WARNING,
        f"{capital(undated[0].name)} without a usable date",
        f"Find out whether it was {limits.recent_event.in_words} ago.",
        tuple(of_record(event) for event in undated),
        outcome=Outcome.UNKNOWN,
    )


def _may_be_recent(event: ConditionFact, case: Case) -> bool:
    """Whether its date does not tell: none, one to come, or a month or year that may be recent."""
    if event.onset is None:
        long_ago = event.recorded is not None and not case.protocol.vte.recent_event.holds(
            (case.today - event.recorded).days
        )
        return not long_ago
    latest = event.onset_by or event.onset
    return event.onset > case.today or case.protocol.vte.recent_event.holds((case.today - latest).days)


@rule(
    "vte.anticoag-thrombocytopenia",
    "An anticoagulant at a treating dose with platelets {vte.anticoagulant_reduce} is reduced, and {vte.anticoagulant_suspend} "
    "suspended.",
    cites=("vte.anticoagulant_reduce", "vte.anticoagulant_suspend", "vte.acute_clot"),
    needs_draft=False,
)
def anticoagulation_and_platelets(case: Case) -> Report | None:
    """A treating dose of an anticoagulant with few platelets."""
    drugs, limits = case.antithrombotics.therapeutic, case.protocol.vte
    platelets = case.count(PLATELETS, limits.anticoagulant_reduce)
    if not drugs or platelets is None or case.treatment_is_over:
        return None
    low = limits.anticoagulant_reduce.holds_for(platelets.measurement)
    very_low = limits.anticoagulant_suspend.holds_for(platelets.measurement)
    if not low and not very_low:
        return None
    names, evidence = drug_names(drugs), (of_result(platelets), *(of_order(order) for order in drugs))
    if very_low:
        return Report(
            Indicator.CRITICAL,
            f"Suspend {names}: {reading(platelets, case.today)}",
            limits.acute_clot.value,
            evidence,
            Action.PROCEED,
        )
    return Report(
        Indicator.WARNING,
        f"Reduce {names} to half or to a prophylactic dose: {reading(platelets, case.today)}",
        limits.acute_clot.value,
        evidence,
    )


@rule(
    "vte.duplicate-antithrombotic",
    "Aspirin is not added to an anticoagulant at a treating dose.",
    sources=("[policy]",),
)
def duplicate_antithrombotic(case: Case) -> Report | None:
    """Aspirin beside a treating dose of an anticoagulant."""
    aspirin, drugs = case.antithrombotics.aspirin, case.antithrombotics.therapeutic
    if not aspirin or not drugs:
        return None
    return Report(
        Indicator.INFO,
        f"Aspirin beside {drug_names(drugs)}: more bleeding",
        "Check that the aspirin has a reason of its own.",
        tuple(of_order(order) for order in (*aspirin, *drugs)),
    )


def _when(fact: ConditionFact, case: Case) -> str:
    return on(fact.day, case.today)


# What to do with the anticoagulant goes before that there is one.
RULES = (anticoagulation_and_platelets, active_event, recent_event, duplicate_antithrombotic)
