"""The parts of the screen: for each what its template is told."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cds import load_protocols
from cds.calculations import completed_years
from cds.findings import Indicator, Outcome
from cds.level import Schedule, plain
from cds.snapshot import LENALIDOMIDE, Result, Supply
from cds.terminology import load_terminology
from cds.words import amount
from hooks.card_profile import PROFILES
from hooks.circumstances import NOW, told
from hooks.citations import citations
from hooks.sandbox.comparison import compare, in_words
from hooks.sandbox.edits import ANSWERS
from hooks.sandbox.located import drafts, effective, located, reference_of
from hooks.sandbox.renewal import order_of
from hooks.sandbox.scene import Scene
from hooks.sandbox.timeline import holds_of
from hooks.sandbox.vignette import vignette
from hooks.wire import EXTENSION, SERVICES, Json, encode_for_reading

_CLASSES = {
    "male": "male",
    "frp": "can become pregnant",
    "not-frp": "cannot become pregnant",
    "presumed-not-frp": "presumed past menopause",
}
_DATE_LENGTH = len("2024-05-15")
_LONGEST_NUMBER = 30
_MINUTES = "%Y-%m-%dT%H:%M"
_WHOLE = {state.value for state in Supply if state.proves_absence}
_STAGE = re.compile(r"(\w+);dur=(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Row:
    """One Observation: what came, and what it was read as, or why it was not; ``is_own`` where the request holds it."""

    place: str
    reference: str
    name: str
    day: str
    value: str
    unit: str
    is_own: bool
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
    own = told(scene.request, "protocol") or "" if scene.fault is None else ""
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
        "now": "" if scene.fault is not None else scene.now.strftime(_MINUTES),
        "in_use": in_use,
        "by_trial": in_use is not None and not own and in_use.id != scene.client.protocol,
        "by_clock": not scene.is_refused and told(scene.request, NOW) is None,
        "latest": max(days, default=None),
    }


def order(scene: Scene) -> Json:
    """The drafts: those of lenalidomide to be changed, the others by name."""
    terminology = scene.client.terminology or load_terminology()
    drawn = [(place, draft, order_of(draft, scene)) for place, draft in drafts(scene.request) if not scene.is_refused]
    levels = [
        one.regimen.level for one in scene.answer.evaluation.judgements if one.regimen and len(one.regimen.orders) > 1
    ]
    return {
        "orders": [(place, ours) for place, _, ours in drawn if ours is not None],
        "others": [_named_in(draft) for _, draft, ours in drawn if ours is None],
        "together": [level.in_words for level in levels if level is not None],
        "strengths": [
            plain(strength)
            for strength in sorted(terminology.products[LENALIDOMIDE])
            if terminology.product_like(LENALIDOMIDE, None, strength) is not None
        ],
        "schedules": [(schedule.value, schedule.in_words) for schedule in Schedule],
        "hook": scene.hook,
    }


def cards(scene: Scene) -> Json:
    """The response as a record system draws it."""
    return {
        "status": scene.exchange.status,
        "judged": not scene.is_refused and bool(scene.answer.evaluation.judgements),
        "missing": [] if scene.is_refused else _missing(scene),
        "cards": scene.cards,
        "problem": scene.issue,
        "accepted": scene.exchange.accepted,
        "overridden": scene.exchange.overridden,
        "decision": f"{EXTENSION}.decision",
        "hook": scene.hook,
    }


def why(scene: Scene) -> Json:
    """Every finding, shown or not, with what it rests on; what was not known, and what was not read."""
    explained = scene.answer.explanation()
    evaluation, drafted = scene.answer.evaluation, list(explained["drafts"])
    judgements = []
    for judgement in evaluation.judgements:
        told = drafted[0]
        # The explanation has an entry for each draft, and those of one regimen are the same.
        del drafted[: len(judgement.regimen.references) if judgement.regimen is not None else 1]
        shown = {finding["id"] for finding in told["findings"] if finding["shown"]}
        judgements.append(
            {
                "verdict": None if judgement.recommendation is None else in_words(judgement.recommendation),
                "reasons": () if judgement.recommendation is None else judgement.recommendation.reasons,
                "others": any(finding.indicator is not Indicator.INFO for finding in judgement.findings),
                "facts": told["facts"],
                "findings": [
                    (finding, finding.id in shown, citations(finding, evaluation.protocol))
                    for finding in judgement.findings
                ],
                "open": [finding for finding in judgement.findings if finding.outcome is not Outcome.FIRED],
            }
        )
    return {
        "hook": scene.hook,
        "classes": _CLASSES,
        "judgements": judgements,
        "unread": explained["unread"],
        "supplied": explained["supplied"],
        "whole": _WHOLE,
    }


def protocols(scene: Scene) -> Json:
    """The six protocols side by side."""
    several = len(scene.answer.evaluation.judgements) > 1
    return {"several": several, "comparison": compare(scene.answers), "chosen": scene.answer.evaluation.protocol.id}


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
    stages = [(name, float(took)) for name, took in _STAGE.findall(scene.exchange.stages)]
    return {
        "endpoint": f"/cds-services/{scene.service}",
        "status": scene.exchange.status,
        "response": encode_for_reading(scene.response) if text else "",
        "stages": stages,
        "total": sum(took for _, took in stages),
        "longest": max((took for _, took in stages), default=0.0),
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


def _missing(scene: Scene) -> list[str]:
    """The kinds of data that did not come, or not whole: silence does not speak of them."""
    supplied = scene.answer.explanation()["supplied"]
    return [f"{kind} ({state})" for kind, state in supplied.items() if state not in _WHOLE]


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
    medication = resource.get("medication")
    in_r5 = medication.get("concept") if isinstance(medication, dict) else None
    concept = resource.get("medicationCodeableConcept") or in_r5 or resource.get("code")
    coded = concept.get("coding") if isinstance(concept, dict) else None
    codings = coded if isinstance(coded, list) else []
    displays = [coding.get("display") for coding in codings if isinstance(coding, dict)]
    text = concept.get("text") if isinstance(concept, dict) else None
    return str(text or next(filter(None, displays), None) or resource.get("resourceType") or "resource")


def _rows(scene: Scene) -> Iterator[Row]:
    read: dict[str, list[Result]] = {}
    for listed in scene.answer.snapshot.results.values():
        for result in listed:
            read.setdefault(result.reference, []).append(result)
    unread = {item.reference: item.why for item in scene.answer.evaluation.unread}
    own = {place for place, _ in located(scene.request, "Observation")}
    for place, resource in located(scene.completed, "Observation"):
        reference = reference_of(resource)
        quantity = resource.get("valueQuantity")
        is_number = isinstance(quantity, dict)
        yield Row(
            place,
            reference,
            _named_in(resource),
            effective(resource)[:_DATE_LENGTH],
            _measured(quantity) if isinstance(quantity, dict) else _told_value(resource),
            str(quantity.get("unit") or quantity.get("code") or "") if isinstance(quantity, dict) else "",
            place in own,
            is_number,
            next((result.answer for result in read.get(reference, []) if result.answer in ANSWERS), "") or "",
            "; ".join(f"{result.token} {amount(result)}" for result in read.get(reference, [])),
            unread.get(reference, ""),
        )


def _measured(quantity: Mapping[str, Any]) -> str:
    value = quantity.get("value")
    # Written out, a number such as 1e9999999 would fill the screen and the memory.
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) <= _LONGEST_NUMBER:
        value = plain(value)
    return f"{quantity.get('comparator', '')}{value}"


def _told_value(resource: Mapping[str, Any]) -> str:
    concept = resource.get("valueCodeableConcept")
    if isinstance(concept, dict):
        return _named_in({"code": concept})
    return next((str(value) for key, value in resource.items() if key.startswith("value")), "")
