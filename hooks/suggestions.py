"""What a card offers with one click: the corrected order, its removal, a missing test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID, uuid5

from cds.evaluation import Judgement
from cds.findings import Action, Correction, DrugOffer, Finding
from cds.level import Level, plain
from cds.recommend import resume_level
from cds.terminology import Terminology, load_terminology
from hooks.corrections import corrected_order
from hooks.wire import Json, number

_RESUMES_LATER = "heme.wait-next-cycle"


def suggestions_for(
    judgement: Judgement,
    findings: Sequence[Finding],
    drafts: Mapping[str, Mapping[str, Any]],
    patient_id: str,
    card: UUID,
    *,
    may_wait: bool,
) -> list[Json]:
    """Suggestions of one card; ``drafts`` are the draft orders as received, by reference.

    ``may_wait``: an order that cannot be judged yet may also be taken back, and written again when it can.
    """
    terminology = load_terminology()
    offers = _draft_offers(judgement, findings, drafts, terminology)
    drugs = dict.fromkeys(drug for finding in findings for drug in finding.order_drugs)
    offers += [_order_drug(drug, terminology, patient_id) for drug in drugs]
    tests = dict.fromkeys(test for finding in findings for test in finding.order_tests)
    offers += [_order_test(test, terminology, patient_id) for test in tests]
    recommendation = judgement.recommendation
    if (
        may_wait
        and recommendation is not None
        and recommendation.action is Action.DEFER
        and judgement.regimen is not None
    ):
        offers += _removal(judgement.regimen.references, drafts)
    return [
        {"label": label, "uuid": str(uuid5(card, f"{index} {label}")), "actions": actions}
        for index, (label, actions) in enumerate(offers)
    ]


def changes_an_order(suggestion: Json) -> bool:
    """Whether a suggestion changes, removes or adds a medication order."""
    return any(
        action["type"] != "create" or action["resource"]["resourceType"] == "MedicationRequest"
        for action in suggestion["actions"]
    )


def _draft_offers(
    judgement: Judgement, findings: Sequence[Finding], drafts: Mapping[str, Mapping[str, Any]], terminology: Terminology
) -> list[tuple[str, list[Json]]]:
    recommendation, regimen = judgement.recommendation, judgement.regimen
    if recommendation is None or regimen is None:
        return []
    corrections = [correction for finding in findings for correction in finding.corrections]
    match recommendation.action:
        case Action.DISCONTINUE | Action.HOLD:
            waiting = [finding for finding in findings if finding.id == _RESUMES_LATER]
            level = resume_level(judgement.case)
            update = _update(judgement, level, waiting[0].corrections, drafts, terminology) if waiting and level else []
            return [*update, *_removal(regimen.references, drafts)]
        case Action.DEFER:
            return []
        case Action.MODIFY:
            return _update(judgement, recommendation.level, corrections, drafts, terminology)
        case _:
            levels = [item.value for item in corrections if isinstance(item.value, Level)]
            level = levels[0] if levels else None
            return _update(judgement, level, corrections, drafts, terminology) if corrections else []


def _update(
    judgement: Judgement,
    level: Level | None,
    corrections: Iterable[Correction],
    drafts: Mapping[str, Mapping[str, Any]],
    terminology: Terminology,
) -> list[tuple[str, list[Json]]]:
    """One draft becomes the whole corrected regimen and the others go; without a new level each draft is corrected."""
    regimen, corrections = judgement.regimen, tuple(corrections)
    assert regimen is not None
    orders = [order for order in regimen.orders if order.reference in drafts and _is_echoable(drafts[order.reference])]
    if not orders or (level is not None and orders[0] is not regimen.orders[0]):
        return []
    if level is None:
        label = f"Correct {_named(corrections)}"
        changes = [
            (order, corrected_order(drafts[order.reference], order, None, corrections, terminology)) for order in orders
        ]
        updates = [
            _updated(label, changed) for order, changed in changes if changed not in (None, drafts[order.reference])
        ]
        return [(label, updates)] if updates else []
    first, *others = orders
    changed = corrected_order(drafts[first.reference], first, level, corrections, terminology)
    reason = ""
    if changed is None:
        reason = f" (no {plain(level.dose_mg)} mg capsule)"
        stocked = _stocked(judgement)
        if stocked is None:
            return []
        level = stocked
        changed = corrected_order(drafts[first.reference], first, level, corrections, terminology)
    if changed is None:
        return []
    label = f"Change to {level.in_words}{reason}"
    return [(label, [_updated(label, changed), *(_delete(order.reference) for order in others)])]


def _updated(label: str, changed: Json | None) -> Json:
    return {"type": "update", "description": label, "resource": changed}


def _stocked(judgement: Judgement) -> Level | None:
    """The lower level to offer where no capsule of the target's strength exists."""
    alternative = judgement.case.protocol.renal.unstocked_alternative
    return None if alternative is None else alternative.value


def _named(corrections: Sequence[Correction]) -> str:
    return ", ".join(dict.fromkeys(_correction(correction) for correction in corrections))


def _correction(correction: Correction) -> str:
    """``days supply to 28``; words to be added stand in the order itself."""
    name = correction.field.replace("_", " ")
    match correction.value:
        case Decimal():
            return f"{name} to {plain(correction.value)}"
        case int() | date():
            return f"{name} to {correction.value}"
        case _:
            return name


def _removal(references: Sequence[str], drafts: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[Json]]]:
    actions = [_delete(reference) for reference in references if reference in drafts]
    return [("Remove this lenalidomide order", actions)] if actions else []


def _delete(reference: str) -> Json:
    return {"type": "delete", "description": "Remove the lenalidomide order", "resourceId": reference}


def _order_test(test: str, terminology: Terminology, patient_id: str) -> tuple[str, list[Json]]:
    name, coding = terminology.orderable(test)
    resource = {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "order",
        "code": {
            "coding": [dict(coding)],
            "text": name,
        },
        "subject": {"reference": f"Patient/{patient_id}"},
    }
    label = f"Order {name}"
    return label, [{"type": "create", "description": label, "resource": resource}]


def _order_drug(drug: DrugOffer, terminology: Terminology, patient_id: str) -> tuple[str, list[Json]]:
    """An order of a drug: by name only where dose and duration are the clinician's, else once daily."""
    name, code, display = terminology.ingredient(drug.token)
    dosage: Json = {}
    label = f"Keep the dose and order {name}"
    if drug.daily_mg is not None:
        product = terminology.product_like(drug.token, None, drug.daily_mg)
        code, display = product[1:] if product is not None else (code, display)
        label = f"Order {name} {plain(drug.daily_mg)} mg once daily"
        dosage = {"dosageInstruction": [_once_daily(drug.daily_mg)]}
    resource = {
        "resourceType": "MedicationRequest",
        "status": "draft",
        "intent": "proposal" if drug.daily_mg is None else "order",
        "medicationCodeableConcept": {
            "coding": [{"system": terminology.system_uris["rxnorm"], "code": code, "display": display}],
            "text": name,
        },
        "subject": {"reference": f"Patient/{patient_id}"},
        **dosage,
    }
    return label, [{"type": "create", "description": label, "resource": resource}]


def _once_daily(dose_mg: Decimal) -> Json:
    milligrams = {"value": number(dose_mg), "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}
    return {
        "text": f"{plain(dose_mg)} mg once daily",
        "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
        "doseAndRate": [{"doseQuantity": milligrams}],
    }


def _is_echoable(draft: object) -> bool:
    """Whether a draft can be sent back as JSON: a number that is none cannot."""
    pending = [draft]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, float | Decimal) and not isfinite(value):
            return False
    return True
