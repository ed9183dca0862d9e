"""What a patient's record says beside the orders, as a clinical case states it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timezone
from typing import Any

from cds.snapshot import (
    AllergyFact,
    ConditionFact,
    DeviceFact,
    Fault,
    Patient,
    PatientSnapshot,
    ProcedureFact,
    Reaction,
    Result,
    Supply,
    Unread,
)
from cds.terminology import load_terminology

Entry = dict[str, Any]

_KINDS = {
    "observations": "Observation",
    "medications": "MedicationRequest",
    "conditions": "Condition",
    "procedures": "Procedure",
    "allergies": "AllergyIntolerance",
}
# Every token that the baseline of a file of cases names.
_ALWAYS_STATED = ("anc", "platelets", "creatinine", "body-weight", "body-height", "hcg")
_CLINICAL_SEX = {"male": "male-typical", "female": "female-typical", None: "specified"}
_TRANS_MAN = "trans man"
_CLINICAL_STATUS: dict[bool | None, Entry] = {True: {}, False: {"status": "inactive"}, None: {"status": None}}
_VERIFICATION: dict[bool | None, Entry] = {
    True: {},
    False: {"verification": "provisional"},
    None: {"verification": None},
}
_EVENT = "AdverseEvent"
_DECEMBER = 12
_ANSWER = re.compile(r"[a-z][a-z0-9-]+")
_FIRST_WORD = re.compile(r"[A-Za-z]*")


def known(**facts: Any) -> Entry:
    """Those facts that are known."""
    return {key: value for key, value in facts.items() if value is not None}


def record(snapshot: PatientSnapshot, now: datetime) -> Entry:
    """Every part of a case that is no order; an empty one too, so that no baseline shows through."""
    return {
        "patient": _patient(snapshot),
        "conditions": [_condition(fact) for fact in snapshot.conditions],
        "procedures": [_procedure(fact) for fact in snapshot.procedures],
        "allergies": [_allergy(fact) for fact in snapshot.allergies],
        "adverse_events": [_adverse_event(reaction) for reaction in _events(snapshot) if reaction.token],
        "responses": [],
        "contraception": [],
        "devices": [_device(fact) for fact in snapshot.devices],
        "flags": [],
        "labs": _labs(snapshot, now),
    }


def supply(snapshot: PatientSnapshot, stated: Entry) -> Entry:
    """The kinds that were withheld or failed, as far as none of their data are ``stated`` all the same."""
    bare = {key: snapshot.supplied(kind) for key, kind in _KINDS.items() if not _has(key, stated)}
    return {
        "withheld": [key for key, state in bare.items() if state is Supply.ABSENT],
        "failed": [key for key, state in bare.items() if state is Supply.FAILED],
    }


def not_stated(snapshot: PatientSnapshot, stated: Entry) -> Iterator[str]:
    """What a case cannot say of the record."""
    yield from _not_stated_of_patient(snapshot.patient)
    for key, kind in _KINDS.items():
        state = snapshot.supplied(kind)
        if state is Supply.PARTIAL or (not state.proves_absence and _has(key, stated)):
            yield f"that the {key} were {state.value}"
    for reaction in _events(snapshot):
        if not reaction.token:
            yield "an adverse event without a code that is known"
        elif reaction.attributed is False:
            yield f"the other cause of the adverse event {reaction.token}"
    for result in _results(snapshot):
        if not _can_be_stated(result):
            yield f"a result of {result.token} of {result.day}: its answer is none that is known"
        elif result.note:
            yield f"that {result.token} of {result.day} is calculated from its parts"


def _not_stated_of_patient(who: Patient | None) -> Iterator[str]:
    if who is None:
        yield "that the patient's demographics were not supplied"
        return
    if who.deceased:
        yield "that the patient has died"
    if len(who.races) > 1:
        yield "all races declared but the first"


def unread(found: tuple[Unread, ...]) -> Iterator[str]:
    """What was not read, without its words: these may name the patient. What is only post-dated is stated."""
    for item in found:
        if item.fault is not Fault.FUTURE:
            kind = _FIRST_WORD.match(item.reference)
            of = f" of {item.token}" if item.token else ""
            on = f" of {item.day}" if item.day else ""
            why = "" if item.fault is Fault.OTHER else f" ({item.fault.value})"
            yield f"{kind[0] if kind else ''}{of}{on}, which was not read in full{why}"


def _has(key: str, stated: Entry) -> bool:
    if key == "observations":
        return any(stated["labs"].values())
    return bool(stated[key]) or (key == "medications" and bool(stated["history"]))


def _patient(snapshot: PatientSnapshot) -> Entry:
    programme = load_terminology().programme
    stated: Entry = dict.fromkeys(("birth_date", "sex", "race", "birth_sex", "sex_for_clinical_use", "gender_identity"))
    stated["programme"] = min(programme.identifiers - programme.extensions) if snapshot.in_programme else None
    who = snapshot.patient
    if who is None:
        return stated
    stated |= {
        "birth_date": _as_told(who.birth_date, who.born_by),
        "sex": who.sex or "unknown",
        "race": min(who.races, default=None),
    }
    if who.sex_source == "sex for clinical use":
        stated["sex_for_clinical_use"] = _CLINICAL_SEX[who.sex]
    if who.recorded_female == _TRANS_MAN:
        stated["gender_identity"] = "trans-man"
    elif who.recorded_female:
        stated["birth_sex"] = "F"
    return stated


def _condition(fact: ConditionFact) -> Entry:
    told = known(
        code=fact.token,
        onset=_as_told(fact.onset, fact.onset_by),
        recorded=fact.recorded,
        abated=fact.abated,
        grade=fact.grade,
    )
    return {**told, **_CLINICAL_STATUS[fact.active], **_VERIFICATION[fact.confirmed]}


def _procedure(fact: ProcedureFact) -> Entry:
    return known(code=fact.token, date=fact.day, status=None if fact.status == "completed" else fact.status)


def _allergy(fact: AllergyFact) -> Entry:
    return known(
        code=fact.token,
        status="inactive" if fact.over else None,
        manifestations=list(fact.manifestations) or None,
        severity={True: "severe", False: "moderate", None: None}[fact.severe],
    )


def _device(fact: DeviceFact) -> Entry:
    return known(code=fact.token, since=fact.since)


def _events(snapshot: PatientSnapshot) -> list[Reaction]:
    """The reactions that are no conditions: those are reactions by what they are."""
    return [reaction for reaction in snapshot.reactions if reaction.reference.startswith(_EVENT)]


def _adverse_event(reaction: Reaction) -> Entry:
    return known(
        code=reaction.token,
        grade=reaction.grade,
        onset=reaction.onset,
        status="resolved" if reaction.resolved else None,
        resolved=reaction.resolved_on,
        attributed=reaction.attributed or None,
    )


def _labs(snapshot: PatientSnapshot, now: datetime) -> Entry:
    labs: dict[str, list[Entry]] = {token: [] for token in _ALWAYS_STATED}
    for result in _results(snapshot):
        if _can_be_stated(result):
            labs.setdefault(result.token, []).append(_reading(result, now))
    return labs


def _results(snapshot: PatientSnapshot) -> list[Result]:
    """All results; those of one day in an order that does not depend on what they were called."""

    def place(result: Result) -> tuple[str, date, datetime, str]:
        instant = result.effective.instant or datetime.min.replace(tzinfo=UTC)
        return result.token, result.day, instant, f"{result.measurement} {result.answer}"

    return sorted((result for listed in snapshot.results.values() for result in listed), key=place)


def _can_be_stated(result: Result) -> bool:
    """An answer may be words as they came."""
    return result.answer is None or bool(_ANSWER.fullmatch(result.answer))


def _reading(result: Result, now: datetime) -> Entry:
    return {
        **_value(result),
        **_when(result, now),
        **known(
            comparator=result.measurement.comparator if result.measurement is not None else None,
            status="preliminary" if result.preliminary else None,
            **_limits(result),
        ),
    }


def _limits(result: Result) -> Entry:
    """The range of normal, where any rule asks for it."""
    asked = load_terminology().kind(result.token).ranged
    return {"uln": result.upper_limit, "lln": result.lower_limit} if asked else {}


def _value(result: Result) -> Entry:
    if result.measurement is None:
        return known(tells=result.told, result=result.answer)
    units = load_terminology().kind(result.token).units
    # Where no unit is listed, the one that came is no more than words.
    measured: Entry = {"value": result.value, "unit": None if units is None else units.canonical}
    return {**measured, **known(interpretation=result.answer)}


def _when(result: Result, now: datetime) -> Entry:
    """Nothing for today; the instant where there is one and a reader in the offset of ``now`` takes it for the same day."""
    instant, offset = result.effective.instant, now.utcoffset()
    assert offset is not None
    local = None if instant is None else instant.astimezone(timezone(offset))
    if local is not None and local.date() == result.day:
        return {"at": local}
    return {} if result.day == now.date() else {"date": result.day}


def _as_told(first: date | None, last: date | None) -> date | str | int | None:
    """A date, or the month or the year that was told of it; ``first`` and ``last`` are its first and last day."""
    if last is None or first == last:
        return first
    whole_year = last.month == _DECEMBER and (first is None or first.month == 1)
    return last.year if whole_year else f"{last:%Y-%m}"
