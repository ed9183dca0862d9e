"""Conditions, procedures, allergies and adverse events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, tzinfo

from cds.fhir.primitives import (
    Json,
    UnreadableError,
    check_concept,
    codings,
    contained,
    day,
    day_at_the_latest,
    first_code,
    items,
    mapping,
    number,
    reference_of,
    refuse_modifiers,
    shown,
    text,
    words_of,
)
from cds.protocol_areas import CONTRACEPTIVE_METHODS
from cds.snapshot import LENALIDOMIDE, AllergyFact, ConditionFact, Fault, ProcedureFact, Reaction
from cds.terminology import Terminology
from cds.toxicity import PERMANENT_STOP

_DIALYSIS, _OOPHORECTOMY = "dialysis", "oophorectomy"
_GRADE_EXTENSIONS = ("ctcae-grade", "ae-grade", "adverse-event-ctc-grade")
_ACTIVE = {
    "active": True,
    "recurrence": True,
    "relapse": True,
    "inactive": False,
    "remission": False,
    "resolved": False,
}
_NOT_A_FACT = {"refuted", "entered-in-error"}
_CONFIRMED = {"confirmed": True, "unconfirmed": False, "provisional": False, "differential": False}
_DATES = ("performedDateTime", "occurrenceDateTime", "onsetDateTime", "date", "authoredOn", "dateAsserted")
_OF_A_PREGNANCY = ("pregnancy", "pregnancy-unconfirmed")  # the graver one first
# What matters though it is over: an earlier thrombosis raises the risk, an earlier bleed forbids.
_MATTERS_FOR_EVER = {
    "vte",
    "vte-history",
    "thrombosis-history",
    "unusual-site-venous-thrombosis",
    "intracranial-bleeding",
}
_LISTS_EVERY_PREGNANCY = {"icd-10", "icd-10-cm", "icd-10-gm"}
# The longer ago these began, the more they permit: of a month or a year that is only its last day. Anything else is not over
# before the last day on which it may have ended.
_PERMITS_BY_AGE = CONTRACEPTIVE_METHODS | {"menopause"}
_CRITICALITIES = {"low", "high", "unable-to-assess"}
_NOT_RESOLVED = {"ongoing", "not-resolved", "notrecovered", "fatal"}


def read_condition(resource: Json, terminology: Terminology, now: datetime) -> ConditionFact | None:
    """A listed condition; None when it is not listed, refuted or entered in error. Unreadable when only text names it."""
    zone = now.tzinfo
    assert zone is not None
    if first_code(resource.get("verificationStatus")) in _NOT_A_FACT:
        return None
    check_concept(resource, "code")
    concept = resource.get("code")
    token = _gravest([terminology.conditions.token((coding,)) for coding in codings(concept, terminology)])
    refuse_modifiers(resource, token)
    if token is None:
        named = _gravest(terminology.conditions_named_in(words_of(concept)))
        if named is None:
            return None
        active = _ACTIVE.get(first_code(resource.get("clinicalStatus")))
        ended = _abated(resource, day_at_the_latest, now)
        over = active is False or (active is None and ended is not None and ended <= now.date())
        _refuse_text_only(concept, named, terminology.condition_names, terminology, over=over)
        return None
    token = terminology.narrowed(token, words_of(concept))
    begins, ends = (day_at_the_latest, day) if token in _PERMITS_BY_AGE else (day, day_at_the_latest)
    return ConditionFact(
        token,
        terminology.condition_names[token],
        reference_of(resource),
        _ACTIVE.get(first_code(resource.get("clinicalStatus"))),
        begins(resource.get("onsetDateTime") or mapping(resource.get("onsetPeriod")).get("start"), zone),
        _abated(resource, ends, now),
        begins(resource.get("recordedDate"), zone),
        read_grade(resource, terminology),
        _CONFIRMED.get(first_code(resource.get("verificationStatus"))),
        day_at_the_latest(resource.get("onsetDateTime") or mapping(resource.get("onsetPeriod")).get("start"), zone),
    )


def _abated(resource: Json, read: Callable[[object, tzinfo], date | None], now: datetime) -> date | None:
    zone = now.tzinfo
    assert zone is not None
    ended = mapping(resource.get("abatementPeriod")).get("end")
    return read(resource.get("abatementDateTime"), zone) or read(ended, zone)


def read_procedure(resource: Json, terminology: Terminology, zone: tzinfo) -> ProcedureFact | None:
    """A listed procedure that was done or is running, or an active order for one (dialysis)."""
    ordered = resource.get("resourceType") == "ServiceRequest"
    status = text(resource.get("status"))
    if not status:
        raise UnreadableError("its status cannot be read")
    if status not in ({"active"} if ordered else {"completed", "in-progress", "unknown"}):
        return None
    if resource.get("doNotPerform") is True or (
        ordered and text(resource.get("intent")) in {"proposal", "plan", "option"}
    ):
        return None
    check_concept(resource, "code")
    concept = resource.get("code")
    token = terminology.procedures.token(codings(concept, terminology))
    refuse_modifiers(resource, token)
    if token is None:
        _refuse_text_only(
            concept, terminology.procedure_named_in(words_of(concept)), terminology.procedure_names, terminology
        )
        return None
    period = mapping(resource.get("performedPeriod") or resource.get("occurrencePeriod"))
    named = resource.get("performedDateTime") or resource.get("occurrenceDateTime")
    dated = day_at_the_latest if token in _PERMITS_BY_AGE else day
    done = dated(named, zone) or dated(period.get("end"), zone) or dated(period.get("start"), zone)
    if token == _DIALYSIS and status == "completed" and done is None:
        raise UnreadableError(
            "is a dialysis without a date, so it does not tell whether the patient is on dialysis now"
        )
    token = _sided(token, resource, terminology)
    return ProcedureFact(
        token, terminology.procedure_names[token], reference_of(resource), done, "in-progress" if ordered else status
    )


def _sided(token: str, resource: Json, terminology: Terminology) -> str:
    """The token of the side on which an operation was done, where its body site tells it."""
    if token != _OOPHORECTOMY:
        return token
    sides = {terminology.body_sites.token(codings(site, terminology)) for site in items(resource.get("bodySite"))} - {
        None
    }
    if len(sides) > 1:
        return f"bilateral-{token}"
    return f"{sides.pop()}-{token}" if len(sides) == 1 else token


def _refuse_text_only(
    concept: object, token: str | None, names: dict[str, str], terminology: Terminology, *, over: bool = False
) -> None:
    """A concept without any known coding whose words look like a listed one is named, not dropped.

    What is ``over`` is named too, and says nothing of today.
    """
    systems = {coding.system for coding in codings(concept, terminology)} - {None}
    # A code that is not listed is another matter. Of SNOMED CT's many pregnancies not all are listed; of those of ICD all are.
    may_be_one = token in _OF_A_PREGNANCY and not systems & _LISTS_EVERY_PREGNANCY
    if token is not None and (not systems or may_be_one):
        why = f"looks like {names[token]} by its text only, without a known code"
        counts = not over or token in _MATTERS_FOR_EVER
        fault = Fault.WORDS if token in _OF_A_PREGNANCY else Fault.OTHER
        raise UnreadableError(why, fault, token if counts else None, over=over)


def _gravest(tokens: Iterable[str | None]) -> str | None:
    """The first token, unless one speaks of a pregnancy: where several codes or words are given, the gravest of these counts."""
    found = [token for token in tokens if token is not None]
    return next((token for token in _OF_A_PREGNANCY if token in found), found[0] if found else None)


def read_allergy(resource: Json, terminology: Terminology) -> AllergyFact | None:
    """An allergy to a listed drug."""
    if first_code(resource.get("verificationStatus")) in _NOT_A_FACT:
        return None
    reactions = items(resource.get("reaction"))
    if not any("substance" in reaction for reaction in reactions):
        check_concept(resource, "code")
    concepts = [resource.get("code"), *(reaction.get("substance") for reaction in reactions)]
    found = [terminology.drug(codings(concept, terminology)) for concept in concepts]
    drug = next((concept for concept in found if concept is not None), None)
    drug = drug or terminology.drug_named_in("; ".join(words_of(concept) for concept in concepts))
    if drug is None:
        return None
    manifestations = [
        token
        for reaction in reactions
        for concept in items(reaction.get("manifestation"))
        if (token := terminology.conditions.token(codings(concept.get("concept") or concept, terminology)))
    ]
    severities = {text(reaction.get("severity")) for reaction in reactions} - {""}
    severe: bool | None = None
    if (
        text(resource.get("criticality")) == "high"
        or "severe" in severities
        or set(PERMANENT_STOP) & set(manifestations)
    ):
        severe = True
    elif severities:
        severe = False
    over = _ACTIVE.get(first_code(resource.get("clinicalStatus"))) is False
    return AllergyFact(
        drug.token, drug.name, drug.drug_class, reference_of(resource), severe, tuple(manifestations), over
    )


def read_adverse_event(
    resource: Json, terminology: Terminology, zone: tzinfo, lenalidomide: set[str]
) -> Reaction | None:
    """An adverse event that happened; attributed when lenalidomide is a suspect, not when another cause is."""
    if text(resource.get("actuality")) == "potential":
        return None
    concept = resource.get("event") or resource.get("code")
    token = terminology.conditions.token(codings(concept, terminology)) or ""
    suspects = [_is_lenalidomide(suspect, resource, terminology, lenalidomide) for suspect in _suspects(resource)]
    outcome = first_code(items(resource.get("outcome"))[0] if items(resource.get("outcome")) else None)
    endings = [item for item in items(resource.get("extension")) if text(item.get("url")).endswith("resolved-date")]
    ended = day(endings[0].get("valueDate") or endings[0].get("valueDateTime"), zone) if endings else None
    return Reaction(
        token,
        terminology.condition_names.get(token) or words_of(concept) or "adverse event",
        reference_of(resource),
        read_grade(resource, terminology),
        day(resource.get("date") or resource.get("occurrenceDateTime") or resource.get("detected"), zone),
        bool(endings) or (outcome.startswith(("resolved", "recovered")) and outcome not in _NOT_RESOLVED),
        ended,
        True if any(suspects) else (False if suspects else None),
    )


def reaction_of(condition: ConditionFact, tokens: Iterable[str]) -> Reaction | None:
    """A condition that is a graded reaction, or one that is severe by its name."""
    if condition.token not in set(tokens) | set(PERMANENT_STOP) or (
        condition.grade is None and condition.token not in PERMANENT_STOP
    ):
        return None
    return Reaction(
        condition.token,
        condition.name,
        condition.reference,
        condition.grade,
        condition.onset or condition.recorded,
        resolved=condition.active is False or condition.abated is not None,
        resolved_on=condition.abated,
        attributed=None,
    )


def read_grade(resource: Json, terminology: Terminology) -> int | None:
    """The CTCAE grade, from the extensions that carry it or from a coded severity."""
    for extension in items(resource.get("extension")):
        if text(extension.get("url")).endswith(_GRADE_EXTENSIONS):
            if "valueInteger" in extension:
                return int(number(extension["valueInteger"], "grade"))
            found = terminology.grades.token(codings(extension.get("valueCodeableConcept"), terminology))
            return None if found is None else int(found)
    found = terminology.grades.token(codings(resource.get("severity"), terminology))
    return None if found is None else int(found)


def partly_unreadable(resource: Json, fact: object) -> list[str]:
    """What of a resource that was read could not be: it may have mattered."""
    found = [
        f"{name} {shown(resource[name])} is not a date"
        for name in _DATES
        if name in resource and day(resource[name], UTC) is None
    ]
    if "extension" in resource and any(not text(item.get("url")) for item in items(resource["extension"])):
        found.append("an extension without url was not read")
    if (
        isinstance(fact, AllergyFact)
        and "criticality" in resource
        and text(resource["criticality"]) not in _CRITICALITIES
    ):
        found.append(f"criticality {shown(resource['criticality'])} was not read")
    if isinstance(fact, Reaction) and resource.get("resourceType") == "AdverseEvent":
        found += _unread_of_event(resource, fact)
    return found


def _unread_of_event(resource: Json, reaction: Reaction) -> list[str]:
    found = [] if reaction.token else [f"its event {shown(reaction.name)} has no code that is known"]
    graded = any(text(item.get("url")).endswith(_GRADE_EXTENSIONS) for item in items(resource.get("extension")))
    if graded and reaction.grade is None:
        found.append("its grade cannot be read")
    if not any(text(resource.get(name)) for name in ("date", "detected", "occurrenceDateTime")):
        found.append("it is not dated")
    if "suspectEntity" in resource and not any(_can_be_read(item, resource) for item in _suspects(resource)):
        found.append("its suspect cannot be read")
    return found


def _can_be_read(instance: Json, holder: Json) -> bool:
    target = text(instance.get("reference"))
    drug = contained(holder, target)
    if target.startswith("#"):
        return drug is not None and bool(words_of(drug.get("code")) or first_code(drug.get("code")))
    return bool(target or text(instance.get("display")))


def _suspects(resource: Json) -> list[Json]:
    return [
        mapping(suspect.get("instance") or suspect.get("instanceReference"))
        for suspect in items(resource.get("suspectEntity"))
    ]


def _is_lenalidomide(instance: Json, holder: Json, terminology: Terminology, orders: set[str]) -> bool:
    target = text(instance.get("reference"))
    if target in orders:
        return True
    resource = contained(holder, target) or {}
    concept = resource.get("code") or resource.get("medicationCodeableConcept")
    drug = terminology.drug(codings(concept, terminology)) or terminology.drug_named_in(
        f"{words_of(concept)} {text(instance.get('display'))}"
    )
    return drug is not None and drug.token == LENALIDOMIDE
