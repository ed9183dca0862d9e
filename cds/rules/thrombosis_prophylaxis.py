"""Area vte: the risk of thrombosis, and what is taken against it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cds import protocol_areas as areas
from cds.antithrombotics import ASPIRIN
from cds.case import Case
from cds.episodes import PLATELETS
from cds.findings import DrugOffer, Evidence, Indicator, Outcome
from cds.level import plain
from cds.parameters import Threshold, signed
from cds.rules.rule import Report, rule
from cds.snapshot import AllergyFact, MedicationOrder
from cds.thrombosis_risk import EVENT, VEIN_EVENTS, VEIN_HISTORY, Item, Score
from cds.words import capital, drug_names, listed, of_fact, of_order, of_record, of_result, on, reading

_BLEEDING, _EVER = ("bleeding", "haemorrhagic-disorder"), ("intracranial-bleeding",)
_TAKEN_BY_CODE = ("long-term-anticoagulant", "long-term-antiplatelet", "long-term-aspirin")
_ASPIRIN_ALLERGY = "aspirin-allergy"
_OTHER_ORDERS = ("MedicationRequest/", "MedicationStatement/")


@rule(
    "vte.impede",
    "IMPEDE VTE: {vte.impede}. Intermediate {vte.impede_intermediate}, high {vte.impede_high}. Derived in patients who start a "
    "first treatment: in maintenance everybody scores for the drug itself, so it never decides alone.",
    cites=("vte.impede", "vte.impede_intermediate", "vte.impede_high", "vte.impede_bmi", "vte.high_dose_dexamethasone"),
)
def impede(case: Case) -> Report:
    """IMPEDE VTE, as a range where an item is not known."""
    limits = case.protocol.vte
    return _scored("IMPEDE VTE", case.thrombosis_risk.impede, limits.impede_high, limits.impede_intermediate)


@rule(
    "vte.saved",
    "SAVED: {vte.saved}. High {vte.saved_high}. It never decides alone.",
    cites=(
        "vte.saved",
        "vte.saved_high",
        "vte.surgery_counts",
        "vte.saved_age",
        "vte.high_dose_dexamethasone",
        "vte.standard_dose_dexamethasone",
    ),
)
def saved(case: Case) -> Report:
    """SAVED, as a range where an item is not known."""
    return _scored("SAVED", case.thrombosis_risk.saved, case.protocol.vte.saved_high)


@rule(
    "vte.imwg",
    "Risk factors of the myeloma working group: {vte.imwg_high}, or dexamethasone {vte.imwg_dexamethasone}, doxorubicin or other "
    "chemotherapy, are high risk. Myeloma itself is not counted in maintenance.",
    cites=("vte.imwg_high", "vte.imwg_bmi", "vte.imwg_dexamethasone"),
)
def risk_factors(case: Case) -> Report | None:
    """The risk factors that are on record."""
    risk = case.thrombosis_risk
    present = [item for item in risk.factors if item.low]
    unknown = [item.name for item in risk.factors if item.is_open]
    if not present and not unknown and not risk.therapy_factors:
        return None
    therapy = (
        f"; high by treatment: {listed([item.name for item in risk.therapy_factors])}" if risk.therapy_factors else ""
    )
    count = len([item for item in risk.factors if item.low])
    supply = case.snapshot.supplied("Condition")
    most = " or more" if unknown else ""
    missing = f"; not known: {listed(unknown)}" if supply.proves_absence else f"; diagnoses {supply.value}"
    missing = missing if unknown else ""
    names = f": {listed([item.name for item in present])}" if present else ""
    return Report(
        Indicator.INFO,
        f"Thrombosis risk factors {count}{most}{names}{missing}{therapy}",
        "",
        _evidence((*present, *risk.therapy_factors)),
        outcome=Outcome.UNKNOWN if unknown and not present and not risk.therapy_factors else Outcome.FIRED,
    )


@rule(
    "vte.prophylaxis-missing",
    "Prophylaxis of thrombosis: {vte.prophylaxis}. Aspirin {vte.aspirin_dose} a day where the risk is not high; with a high risk "
    "or an earlier thrombosis low-molecular-weight heparin or a treating anticoagulant, the clinician's choice.",
    cites=("vte.prophylaxis", "vte.aspirin_dose", "vte.imwg_high"),
)
def prophylaxis_missing(case: Case) -> Report | None:
    """Nothing is taken against thrombosis though the protocol asks for it."""
    indicator = _asked_for(case)
    if indicator is None:
        return None
    supply = case.snapshot.supplied("MedicationRequest")
    if not supply.proves_absence:
        return Report(
            Indicator.INFO,
            f"Thrombosis prophylaxis not known: medication orders {supply.value}",
            "Ask what is taken.",
            outcome=Outcome.UNKNOWN,
        )
    if _bleeding_risks(case, ()):
        return None
    risk, others = case.thrombosis_risk, case.antithrombotics.other_antiplatelets
    required = " (required by the protocol)" if case.protocol.vte.prophylaxis.value == areas.REQUIRED else ""
    # Not where something is unknown that would forbid it, nor on top of another antiplatelet drug.
    aspirin = not _may_be_high(case) and risk.prior_event is False and not others and _nothing_is_hidden(case)
    return Report(
        indicator,
        f"No thrombosis prophylaxis on record{required}{_because(case)}",
        _choice(case, aspirin=aspirin, others=others),
        _evidence(item for item in risk.factors if item.low),
        order_drugs=(DrugOffer(ASPIRIN, case.protocol.vte.aspirin_dose.value[0]),) if aspirin else (),
    )


@rule(
    "vte.prophylaxis-contraindicated",
    "With bleeding, a bleed in the skull ever, platelets {vte.prophylaxis_platelets} or an allergy to the drug neither aspirin "
    "nor an anticoagulant is offered. For prophylactic anticoagulants one guideline asks for platelets "
    "{vte.anticoagulant_platelets}.",
    cites=("vte.prophylaxis_platelets", "vte.anticoagulant_platelets"),
)
def prophylaxis_contraindicated(case: Case) -> Report | None:
    """Prophylaxis that is taken, or would be asked for, and a risk of bleeding."""
    found = case.antithrombotics
    agents = tuple(drug.order for drug in found.protecting if drug.order not in found.therapeutic)
    asked_for = _asked_for(case) if case.snapshot.supplied("MedicationRequest").proves_absence else None
    risks = _bleeding_risks(case, agents)
    bleeding = [risk for risk in risks if risk.by_diagnosis]
    if bleeding and found.therapeutic:
        agents, risks = tuple(drug.order for drug in found.protecting), bleeding
    if not risks or not (agents or asked_for) or (not bleeding and _treats_an_event(case)):
        return None
    required = case.protocol.vte.prophylaxis.value == areas.REQUIRED and not agents
    why = listed([risk.words for risk in risks])
    return Report(
        Indicator.WARNING if agents or asked_for is None else asked_for,
        f"Weigh {drug_names(agents)} against bleeding: {why}"
        if agents
        else f"No thrombosis prophylaxis proposed: {why}",
        f"{'Consider stopping it.' if agents else 'Weigh thrombosis against bleeding; other agents are the clinician’s choice.'}"
        f"{' The protocol’s condition cannot be met.' if required else ''}",
        (*(risk.evidence for risk in risks), *(of_order(order) for order in agents)),
        found_before=case.was_known(*(risk.evidence.effective for risk in risks)),
    )


def _treats_an_event(case: Case) -> bool:
    """Whether an anticoagulant is there for a recent thrombosis: what to do with few platelets another rule says."""
    return bool(case.recent_events(*VEIN_EVENTS)) and len(case.antithrombotics.protecting) > len(
        case.antithrombotics.aspirin
    )


@dataclass(frozen=True)
class _BleedingRisk:
    words: str
    evidence: Evidence
    by_diagnosis: bool = False


def _bleeding_risks(case: Case, agents: Sequence[MedicationOrder]) -> list[_BleedingRisk]:
    """Why an agent must not be given; without any it is aspirin that would be."""
    snapshot, today = case.snapshot, case.today
    diagnoses = [*case.conditions_now(*_BLEEDING), *case.conditions_ever(*_EVER)]
    risks = [
        _BleedingRisk(f"{fact.name} ({on(fact.day, today)})", of_record(fact), by_diagnosis=True) for fact in diagnoses
    ]
    limit = case.protocol.vte.prophylaxis_platelets
    platelets = case.count(PLATELETS, limit)
    if platelets is not None and limit.holds_for(platelets.measurement) is True:
        risks.append(_BleedingRisk(reading(platelets, today), of_result(platelets)))
    tokens = {order.drug.token for order in agents} or {ASPIRIN}
    risks += [
        _BleedingRisk(f"allergy to {allergy.name}", _of_allergy(allergy))
        for allergy in snapshot.allergies
        if allergy.token in tokens and not allergy.over
    ]
    if ASPIRIN in tokens:
        allergies = case.conditions_now(_ASPIRIN_ALLERGY)
        risks += [_BleedingRisk(fact.name, of_record(fact)) for fact in allergies]
    return risks


def _of_allergy(allergy: AllergyFact) -> Evidence:
    return Evidence("allergy", allergy.name, None, None, allergy.reference)


def _nothing_is_hidden(case: Case) -> bool:
    """Whether all that would forbid aspirin is known: diagnoses, allergies, platelets, and what else is or was taken."""
    snapshot = case.snapshot
    supplied = all(snapshot.supplied(kind).proves_absence for kind in ("Condition", "AllergyIntolerance"))
    hides = (*_BLEEDING, *_EVER, *VEIN_HISTORY, ASPIRIN, _ASPIRIN_ALLERGY)
    unread = any(item.token in hides or item.reference.startswith(_OTHER_ORDERS) for item in snapshot.unread)
    suspected = any(
        fact.confirmed is False and not fact.is_over(case.today) for fact in snapshot.conditions_of(*_BLEEDING, *_EVER)
    )
    # A code that says a drug is taken, or an order that rests, speaks of one that is not on the list of orders.
    elsewhere = bool(case.conditions_now(*_TAKEN_BY_CODE)) or any(
        order.drug.drug_class.startswith(("anticoagulant", "antiplatelet")) and order.status in {"on-hold", "unknown"}
        for order in snapshot.orders
    )
    platelets = case.count(PLATELETS, case.protocol.vte.prophylaxis_platelets)
    enough = platelets is not None and case.protocol.vte.prophylaxis_platelets.holds_for(platelets.measurement) is False
    return supplied and enough and case.is_fresh(PLATELETS) and not (unread or suspected or elsewhere)


def _asked_for(case: Case) -> Indicator | None:
    """How urgently the protocol asks for prophylaxis that is not taken; None where it does not, or it is taken."""
    risk = case.thrombosis_risk
    if case.antithrombotics.protecting:
        return None
    others = [item for item in risk.factors if item.low and item.name != EVENT]
    match case.protocol.vte.prophylaxis.value:
        case areas.BY_RISK:
            return Indicator.WARNING if others or risk.prior_event else Indicator.INFO
        case areas.AFTER_AN_EVENT:
            return Indicator.WARNING if risk.prior_event else Indicator.INFO if others else None
        case _:
            return Indicator.WARNING


def _is_high(case: Case) -> bool:
    risk = case.thrombosis_risk
    return bool(risk.therapy_factors) or case.protocol.vte.imwg_high.holds(sum(item.low for item in risk.factors))


def _may_be_high(case: Case) -> bool:
    """Whether the risk is high, or would be if what is not known of it were so."""
    risk = case.thrombosis_risk
    most = sum(item.high for item in risk.factors)
    return _is_high(case) or risk.dexamethasone_unknown or case.protocol.vte.imwg_high.holds(most)


def _because(case: Case) -> str:
    factors = [item.name for item in (*case.thrombosis_risk.factors, *case.thrombosis_risk.therapy_factors) if item.low]
    return f"; risk factors: {listed(factors)}" if factors else ""


def _choice(case: Case, *, aspirin: bool, others: Sequence[MedicationOrder]) -> str:
    if aspirin:
        return f"Aspirin {plain(case.protocol.vte.aspirin_dose.value[0])} mg daily, if nothing is taken already."
    if others:
        return f"{capital(drug_names(others))} is no prophylaxis in veins; the agent is the clinician's choice."
    if _is_high(case) or case.thrombosis_risk.prior_event:
        return "Low-molecular-weight heparin or a treating anticoagulant: the clinician's choice."
    return "Whether aspirin is enough, and allowed, is not fully known: check risk factors, bleeding, allergies and platelets."


def _scored(name: str, score: Score, high: Threshold, intermediate: Threshold | None = None) -> Report:
    low, most = _band(score.low, high, intermediate), _band(score.high, high, intermediate)
    total = (
        _plain_points(score.low)
        if score.low == score.high
        else f"{_plain_points(score.low)} to {_plain_points(score.high)}"
    )
    items = [_item_in_words(item) for item in score.items]
    missing = f"; not recorded: {listed(list(score.missing))}" if score.missing else ""
    because = f": {', '.join(items)}" if items else ""
    return Report(
        Indicator.INFO,
        f"{name} {total} ({low if low == most else f'{low} to {most}'} risk in a first treatment){because}{missing}",
        "",
        _evidence(score.items),
    )


def _plain_points(points: int) -> str:
    """``4``, ``−3``."""
    return signed(points).removeprefix("+")


def _evidence(items: Iterable[Item]) -> tuple[Evidence, ...]:
    return tuple(dict.fromkeys(of_fact(fact) for item in items for fact in item.facts))


def _item_in_words(item: Item) -> str:
    if item.is_open:
        known = "" if "not known" in item.name else " not known"
        return f"{item.name}{known} ({signed(item.low)} to {signed(item.high)})"
    return f"{item.name} {signed(item.low)}"


def _band(points: int, high: Threshold, intermediate: Threshold | None) -> str:
    if high.holds(points):
        return "high"
    return "intermediate" if intermediate is not None and intermediate.holds(points) else "low"


RULES = (impede, saved, risk_factors, prophylaxis_missing, prophylaxis_contraindicated)
