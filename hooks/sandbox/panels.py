"""The parts of the screen: for each what its template is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from cds import load_protocols
from cds.calculations import completed_years
from cds.evaluation import Judgement
from cds.fhir import read_drafts
from cds.findings import Indicator, Outcome
from cds.level import Schedule, plain
from cds.snapshot import LENALIDOMIDE, REQUIRED_KINDS, Result, Supply
from cds.terminology import load_terminology
from cds.words import amount
from hooks.card_kinds import shown_findings
from hooks.card_profile import PROFILES
from hooks.circumstances import NOW, told
from hooks.citations import citations
from hooks.request_resources import read_resources
from hooks.sandbox.comparison import compare, in_words
from hooks.sandbox.edits import ANSWERS
from hooks.sandbox.located import drafts, located
from hooks.sandbox.scene import Scene
from hooks.sandbox.timeline import holds_of
from hooks.sandbox.vignette import vignette
from hooks.wire import EXTENSION, SERVICES, Json, decode, encode_for_reading

_CLASSES = {
    "male": "male",
    "frp": "can become pregnant",
    "not-frp": "cannot become pregnant",
    "presumed-not-frp": "presumed past menopause",
}
_MINUTES = "%Y-%m-%dT%H:%M"
_WEEK = timedelta(days=7)
_TIMES = ("effectiveDateTime", "effectiveInstant", "issued")


@dataclass(frozen=True)
class Row:
    """One Observation of the request: what was sent, and what it was read as, or why it was not."""

    place: str
    reference: str
    name: str
    day: str
    value: str
    unit: str
    is_number: bool
    answer: str
    read_as: str
    unread: str


def banner(scene: Scene) -> Json:
    """Who the patient is, and where in treatment."""
    patient, course = scene.answer.snapshot.patient, scene.case.course
    born = None if patient is None else patient.birth_date
    return {
        "name": _name(scene),
        "sex": "sex not known" if patient is None or patient.sex is None else patient.sex,
        "age": None if born is None else completed_years(born, scene.now.date()),
        "transplant": None if course.transplant is None else course.transplant.day,
        "since": course.maintenance_start,
        "cycles": course.completed_cycles,
        "level": None if course.current_level is None else course.current_level.brief,
    }


def controls(scene: Scene) -> Json:
    """What the order is judged by: hook, protocol, card profile, now.

    A request without a now is judged by the clock; the day of its latest result is then another one to offer.
    """
    own = told(scene.request, "protocol") or ""
    in_use = None if scene.is_refused else scene.answer.evaluation.protocol
    days = (
        [] if scene.is_refused else [found.day for listed in scene.answer.snapshot.results.values() for found in listed]
    )
    return {
        "hooks": tuple(SERVICES.values()),
        "hook": scene.hook,
        "protocols": list(load_protocols().values()),
        "protocol": own,
        "profiles": PROFILES,
        "profile": scene.client.card_profile,
        "now": scene.now.strftime(_MINUTES),
        "week_back": (scene.now - _WEEK).strftime(_MINUTES),
        "week_on": (scene.now + _WEEK).strftime(_MINUTES),
        "in_use": in_use,
        "by_trial": in_use is not None and not own and in_use.id != scene.client.protocol,
        "by_clock": told(scene.request, NOW) is None,
        "latest": max(days, default=None),
    }


def order(scene: Scene) -> Json:
    """The drafts: those of lenalidomide to be changed, the others by name."""
    called = scene.answer.request
    resources = read_resources(called, scene.client, scene.now)
    read, _ = read_drafts(resources.drafts, None, resources.reading)
    ours = [found for found in read.orders if found.drug.token == LENALIDOMIDE]
    terminology = scene.client.terminology or load_terminology()
    names = {found.reference for found in ours}
    return {
        "orders": ours,
        "strengths": [
            plain(strength)
            for strength in sorted(terminology.products[LENALIDOMIDE])
            if terminology.product_like(LENALIDOMIDE, None, strength) is not None
        ],
        "together": [
            one.regimen.level.in_words
            for one in scene.answer.evaluation.judgements
            if one.regimen is not None and len(one.regimen.orders) > 1 and one.regimen.level is not None
        ],
        "schedules": [(schedule.value, schedule.in_words) for schedule in Schedule],
        "others": [
            _named_in(draft)
            for draft in drafts(scene.request)
            if f"{draft.get('resourceType')}/{draft.get('id')}" not in names
        ],
        "hook": scene.hook,
    }


def cards(scene: Scene) -> Json:
    """The response as a record system draws it."""
    exchange = scene.exchange
    issues = scene.response.get("issue", [])
    return {
        "status": exchange.status,
        "accepted": exchange.accepted,
        "judged": not scene.is_refused and bool(scene.answer.evaluation.judgements),
        "cards": scene.response.get("cards", []),
        "problem": issues[0] if issues else None,
        "overridden": exchange.overridden,
        "decision": f"{EXTENSION}.decision",
        "hook": scene.hook,
    }


def why(scene: Scene) -> Json:
    """Every finding, shown or not, with what it rests on; what was not known, and what was not read."""
    evaluation = scene.answer.evaluation
    shown_at = scene.client.shown_at[scene.hook]
    supply = scene.answer.snapshot.supply
    return {
        "hook": scene.hook,
        "classes": _CLASSES,
        "judgements": [
            {
                "verdict": None if judgement.recommendation is None else in_words(judgement.recommendation),
                "reasons": () if judgement.recommendation is None else judgement.recommendation.reasons,
                "others": sum(finding.indicator is not Indicator.INFO for finding in judgement.findings),
                "facts": scene.answer.explanation()["drafts"][_place(scene, judgement)]["facts"],
                "findings": [
                    (finding, finding.id in _shown(judgement, shown_at), citations(finding, evaluation.protocol))
                    for finding in judgement.findings
                ],
                "open": [finding for finding in judgement.findings if finding.outcome is not Outcome.FIRED],
            }
            for judgement in evaluation.judgements
        ],
        "unread": evaluation.unread,
        "supplied": [(kind, supply.get(kind, Supply.ABSENT)) for kind in REQUIRED_KINDS],
    }


def protocols(scene: Scene) -> Json:
    """The six protocols side by side."""
    return {"comparison": compare(scene.answers), "chosen": scene.answer.evaluation.protocol.id}


def results(scene: Scene) -> Json:
    """The numbers behind the picture: results to be changed, orders, episodes."""
    rows = list(_rows(scene))
    return {
        "answers": ANSWERS,
        "rows": sorted(rows, key=lambda row: (row.day, row.name), reverse=True),
        "periods": scene.case.course.periods,
        "holds": list(holds_of(scene.case)),
        "episodes": scene.case.course.episodes,
        "transplants": scene.case.course.transplants,
    }


def exchange(scene: Scene) -> Json:
    """The response as it came, and how long each stage took."""
    text = scene.exchange.response
    stages = [part.split(";dur=") for part in scene.exchange.stages.split(", ") if ";dur=" in part]
    return {
        "endpoint": f"/cds-services/{scene.service}",
        "status": scene.exchange.status,
        "response": encode_for_reading(decode(text)) if text else "",
        "stages": [(name, float(took)) for name, took in stages],
        "total": sum(float(took) for _, took in stages),
        "longest": max((float(took) for _, took in stages), default=0.0),
        "fields": [issue.get("expression", [""])[0] for issue in scene.response.get("issue", [])],
    }


def case(scene: Scene) -> Json:
    """The screen as a vignette for ``cases.yaml``."""
    evaluation = scene.answer.evaluation
    try:
        text = vignette(evaluation, scene.hook, _name_of_case(scene))
    except ValueError as error:
        return {"text": "", "why_not": str(error), "protocol": evaluation.protocol.id}
    return {"text": text, "why_not": "", "protocol": evaluation.protocol.id}


def lint(scene: Scene) -> Json:
    """What in the request is not valid FHIR R4."""
    if scene.fault is not None:
        raise scene.fault
    # The models take a second to import, and no other panel needs them.
    from hooks.lint import lint as linted  # noqa: PLC0415

    return {"complaints": linted(scene.request)}


PANELS: Mapping[str, Callable[[Scene], Json]] = {
    "banner": banner,
    "controls": controls,
    "order": order,
    "cards": cards,
    "why": why,
    "protocols": protocols,
    "results": results,
    "exchange": exchange,
    "case": case,
    "lint": lint,
}
"""Each is drawn by the template of its name."""


def _name(scene: Scene) -> str:
    """As the request's Patient is called; synthetic, or the visitor's own file."""
    for _, patient in located(scene.completed, "Patient"):
        for name in patient.get("name", []) if isinstance(patient.get("name"), list) else []:
            if isinstance(name, dict):
                given = name.get("given")
                parts = [*(given if isinstance(given, list) else []), name.get("family")]
                return str(name.get("text") or " ".join(str(part) for part in parts if part))
    return scene.answer.request.patient_id


def _name_of_case(scene: Scene) -> str:
    """By what the order is judged to be, and when: no word of the patient."""
    cards = scene.answer.response["cards"]
    lead = cards[0]["source"]["topic"]["display"] if cards else "in order"
    return f"{lead} {scene.now.date().isoformat()}"


def _named_in(resource: Mapping[str, Any]) -> str:
    """A resource in its own words."""
    concept = resource.get("medicationCodeableConcept") or resource.get("code")
    coded = concept.get("coding") if isinstance(concept, dict) else None
    codings = coded if isinstance(coded, list) else []
    displays = [coding.get("display") for coding in codings if isinstance(coding, dict)]
    text = concept.get("text") if isinstance(concept, dict) else None
    return str(text or next(filter(None, displays), None) or resource.get("resourceType") or "resource")


def _shown(judgement: Judgement, shown_at: Any) -> set[str]:
    return {finding.id for findings in shown_findings(judgement, shown_at).values() for finding in findings}


def _place(scene: Scene, judgement: Judgement) -> int:
    """Which of the explanation's drafts is this regimen's first."""
    place = 0
    for one in scene.answer.evaluation.judgements:
        if one is judgement:
            break
        place += len(one.regimen.references) if one.regimen is not None else 1
    return place


def _rows(scene: Scene) -> Iterator[Row]:
    read: dict[str, list[Result]] = {}
    for listed in scene.answer.snapshot.results.values():
        for result in listed:
            read.setdefault(result.reference, []).append(result)
    unread = {item.reference: item.why for item in scene.answer.evaluation.unread}
    for place, resource in located(scene.completed, "Observation"):
        reference = f"Observation/{resource.get('id')}"
        quantity = resource.get("valueQuantity")
        is_number = isinstance(quantity, dict)
        yield Row(
            place,
            reference,
            _named_in(resource),
            next((resource[name][:10] for name in _TIMES if isinstance(resource.get(name), str)), ""),
            _value(quantity.get("value")) if isinstance(quantity, dict) else _told_value(resource),
            str(quantity.get("unit") or quantity.get("code") or "") if isinstance(quantity, dict) else "",
            is_number,
            next((result.answer for result in read.get(reference, []) if result.answer in ANSWERS), "") or "",
            "; ".join(f"{result.token} {amount(result)}" for result in read.get(reference, [])),
            unread.get(reference, ""),
        )


def _value(value: object) -> str:
    return plain(value) if isinstance(value, Decimal) and value.is_finite() else str(value)


def _told_value(resource: Mapping[str, Any]) -> str:
    concept = resource.get("valueCodeableConcept")
    if isinstance(concept, dict):
        return _named_in({"code": concept})
    return next((str(value) for key, value in resource.items() if key.startswith("value")), "")
