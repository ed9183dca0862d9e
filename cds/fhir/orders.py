"""MedicationRequest, MedicationDispense and MedicationStatement, in the shapes of R4, R4B and R5."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import tzinfo
from decimal import Decimal
from typing import Any, NamedTuple, TypedDict

from cds.fhir.amounts import amount_in_28_days, amount_on_a_day, dose_per_kilogram
from cds.fhir.dosage import marked_as_needed, read_dosing
from cds.fhir.identity import Medications
from cds.fhir.primitives import (
    Json,
    UnreadableError,
    codings,
    day,
    first_code,
    items,
    mapping,
    number,
    reference_of,
    text,
    whole_number,
    words_of,
)
from cds.fhir.timing import cycle_by_extension, duration_days
from cds.level import CYCLE_DAYS, Schedule
from cds.remembering import remembered, spotting
from cds.snapshot import INTERRUPTED, Dosing, Drug, MedicationOrder
from cds.terminology import Terminology

_STRENGTH_IN_TEXT = re.compile(r"(\d+(?:[.,]\d+)?)\s*mg\b", re.IGNORECASE)
_TOPICAL_WORDS = spotting(
    r"ophthalm|\beyes?\b|\botic\b|\bears?\b|topical|(?<!sub)(?<!sub[ -])(?<!intra)(?<!per)cutaneous|\bnasal|intravitreal"
    r"|inhal|cream|ointment"
)
# Through the skin into the blood: a gel or patch of a hormone is not topical in this sense.
_THROUGH_THE_SKIN = spotting(r"transderm|\bgel\b|patch")
_DROPS = spotting(r"\bdrops? (?:in|into|to|both|each)\b|\bapply\b|\bpuffs?\b")
_HAS_LOCAL_FORMS = {"corticosteroid"}
_NEEDED_FOR = spotting(r"\b(?:as|if|when) needed for\b|\bprn\b")
_ONCE = spotting(r"\bonce (?:only|before|prior|for|pre)\b|\bsingle dose\b|\bone[- ]time\b|\bone dose only\b")
_VAGINAL_WORDS = spotting(r"vagin")
_ORAL_WORDS = spotting(r"\boral\b|\btablets?\b|\bcapsules?\b|by mouth|per os")
_LONG_NAME = 80
_DOSED_CLASSES = {"corticosteroid", "anticoagulant-lmwh", "anticoagulant-doac", "anticoagulant-other"}
_RECORDED, _ORDERED = "recorded", "order"
_NOT_TAKEN = {"not-taking", "not-taking-refused", "stopped", "stopped-per-doctor", "on-hold", "unknown"}


class DrugRead(NamedTuple):
    """The drug of an order: None when it is none the rules know; ``unresolved`` a Medication that could not be had."""

    drug: Drug | None
    unresolved: str = ""
    words: str = ""
    coded: bool = False


def read_drug(order: Json, medications: Medications, terminology: Terminology) -> DrugRead:
    """Identity by the most specific coding; by text only as a possibility; strength also from the Medication."""
    medication = mapping(order.get("medication"))
    concept: Any = order.get("medicationCodeableConcept") or medication.get("concept")
    reference = mapping(order.get("medicationReference") or medication.get("reference"))
    resource: Json = {}
    unresolved = ""
    target = text(reference.get("reference"))
    if not concept and target:
        resolved = medications.resolve(target, order)
        resource = mapping(resolved)
        concept = resource.get("code")
        unresolved = target if resolved is None else ""
    found = codings(concept, terminology)
    coded = terminology.drug(found) or _by_ingredient(resource, terminology)
    words = "; ".join(part for part in (words_of(concept), text(reference.get("display"))) if part)
    if coded is not None:
        strength = coded.strength_mg or _ingredient_strength(resource) or _strength_in(words)
        drug = Drug(
            coded.token,
            coded.name,
            coded.drug_class,
            strength_mg=strength,
            contraceptive=coded.contraceptive,
            per_international_unit=coded.per_international_unit,
        )
        return DrugRead(drug, words=words)
    named = terminology.drug_named_in(words) if words else None
    if named is None:
        return DrugRead(None, unresolved, words, coded=bool(found))
    return DrugRead(
        Drug(
            named.token,
            _shortened(words),
            named.drug_class,
            coded=False,
            strength_mg=_strength_in(words),
            per_international_unit=named.per_international_unit,
        ),
        unresolved,
        words,
    )


def _shortened(words: str) -> str:
    return words if len(words) <= _LONG_NAME else f"{words[:_LONG_NAME]}…"


def read_order(order: Json, drug: Drug, terminology: Terminology, zone: tzinfo) -> MedicationOrder:
    """A MedicationRequest of a known drug. Elements that cannot be read leave the dose unknown, with the reason."""
    status = text(order.get("status"))
    lines = items(order.get("dosageInstruction"))
    dispense = mapping(order.get("dispenseRequest"))
    supply, quantity, refills = None, None, None
    problems: tuple[str, ...] = ()
    try:
        cycle = cycle_by_extension(order)
        if cycle is not None and cycle != CYCLE_DAYS:
            problems = (f"the schedule repeats every {cycle} days",)
        supply = duration_days(dispense.get("expectedSupplyDuration"))
        quantity = _pieces(dispense.get("quantity"), drug.strength_mg)
        if "numberOfRepeatsAllowed" in dispense:
            refills = whole_number(dispense["numberOfRepeatsAllowed"], "dispenseRequest.numberOfRepeatsAllowed")
    except UnreadableError as error:
        problems = (*problems, error.why)
    read = read_dosing(lines, drug, terminology, zone, stopped=status in INTERRUPTED)
    dosing = _with_quantity_schedule(read.dosing, status, drug, supply, quantity)
    if problems:
        dosing = Dosing(dose_stated=dosing.dose_stated, instructions=dosing.instructions, problems=problems)
    validity = mapping(dispense.get("validityPeriod"))
    effective = mapping(order.get("effectiveDosePeriod"))
    authored = day(order.get("authoredOn"), zone)
    bounds_start = read.start or day(effective.get("start"), zone) or day(validity.get("start"), zone)
    changed = day(order.get("statusChanged"), zone) if status in INTERRUPTED else None
    return MedicationOrder(
        reference=reference_of(order),
        drug=drug,
        status=status,
        dosing=dosing,
        # What a patient reports to take is taken, whatever the intent of the entry says.
        intent=_ORDERED
        if order.get("reportedBoolean") is True or order.get("reported") is True
        else text(order.get("intent")),
        start=bounds_start or authored,
        bounds_start=bounds_start,
        end=read.end or day(effective.get("end"), zone) or changed,
        days_supply=supply,
        quantity=quantity,
        refills=refills,
        authored=authored,
        validity_end=day(validity.get("end"), zone),
        prior=order_reference(mapping(order.get("priorPrescription"))) or None,
        **_amounts(lines, drug, terminology),
        **_manner(order, lines, drug),
    )


def read_dispense(dispense: Json, drug: Drug, terminology: Terminology, zone: tzinfo) -> MedicationOrder:
    """A MedicationDispense as an order of its own: it starts when it was handed over."""
    lines = items(dispense.get("dosageInstruction"))
    read = read_dosing(lines, drug, terminology, zone, stopped=False)
    days = mapping(dispense.get("daysSupply"))
    handed = day(dispense.get("whenHandedOver"), zone) or day(dispense.get("whenPrepared"), zone)
    return MedicationOrder(
        reference=reference_of(dispense),
        drug=drug,
        status="active" if text(dispense.get("status")) == "in-progress" else text(dispense.get("status")),
        dosing=read.dosing,
        **_amounts(lines, drug, terminology),
        start=handed or read.start,
        bounds_start=read.start,
        end=read.end,
        days_supply=duration_days({"unit": "d", **days}) if days else None,
        quantity=_pieces(dispense.get("quantity"), drug.strength_mg),
        authored=handed,
        **_manner(dispense, lines, drug),
    )


def read_statement(statement: Json, drug: Drug, terminology: Terminology, zone: tzinfo) -> MedicationOrder:
    """A MedicationStatement: what the patient is said to take, by R4's status or by R5's adherence."""
    lines = items(statement.get("dosage"))
    read = read_dosing(lines, drug, terminology, zone, stopped=False)
    taken = mapping(statement.get("effectivePeriod"))
    status, adherence = text(statement.get("status")), first_code(mapping(statement.get("adherence")).get("code"))
    return MedicationOrder(
        reference=reference_of(statement),
        drug=drug,
        status="active" if status == _RECORDED and adherence not in _NOT_TAKEN else status,
        dosing=read.dosing,
        **_amounts(lines, drug, terminology),
        intent="",
        start=day(taken.get("start") or statement.get("effectiveDateTime"), zone),
        end=day(taken.get("end"), zone),
        authored=day(statement.get("dateAsserted"), zone),
        **_manner(statement, lines, drug),
    )


class _Amounts(TypedDict):
    amount_in_28_days: Decimal | None
    amount_per_day: Decimal | None
    dose_per_kilogram: Decimal | None


def _amounts(lines: list[Json], drug: Drug, terminology: Terminology) -> _Amounts:
    """The amounts of a drug whose dose a rule asks for."""
    if drug.drug_class not in _DOSED_CLASSES:
        return _Amounts(amount_in_28_days=None, amount_per_day=None, dose_per_kilogram=None)
    return _Amounts(
        amount_in_28_days=amount_in_28_days(lines, drug, terminology),
        amount_per_day=amount_on_a_day(lines, drug, terminology),
        dose_per_kilogram=dose_per_kilogram(lines),
    )


class _Manner(TypedDict):
    topical: bool
    vaginal: bool
    oral: bool
    as_needed: bool
    once: bool


def _manner(order: Json, lines: list[Json], drug: Drug) -> _Manner:
    """How it is given, from routes, the product's name and the words of the dosage; a structured rhythm goes before words."""
    given, words = _way_given(order, lines), " ".join(text(line.get("text")) for line in lines)
    said = f"{given} {words}"
    repeats = [mapping(mapping(line.get("timing")).get("repeat")) for line in lines]
    regular = any("period" in repeat or "dayOfWeek" in repeat for repeat in repeats)
    applied = drug.drug_class in _HAS_LOCAL_FORMS and _DROPS(words)
    return _Manner(
        topical=(_TOPICAL_WORDS(given) or applied) and not _THROUGH_THE_SKIN(said),
        vaginal=_VAGINAL_WORDS(said),
        oral=_ORAL_WORDS(said),
        as_needed=bool(lines) and (all(map(marked_as_needed, lines)) or (not regular and _NEEDED_FOR(words))),
        once=bool(lines) and (all(repeat.get("count") == 1 for repeat in repeats) or (not regular and _ONCE(words))),
    )


def _with_quantity_schedule(
    dosing: Dosing, status: str, drug: Drug, supply: int | None, quantity: Decimal | None
) -> Dosing:
    """On a stopped order the bound hides the schedule; the number of capsules may still tell it."""
    if (
        status not in INTERRUPTED
        or dosing.schedule is not None
        or None in (quantity, supply, drug.strength_mg, dosing.daily_mg)
    ):
        return dosing
    assert quantity is not None
    assert drug.strength_mg is not None
    assert dosing.daily_mg is not None
    days = quantity * drug.strength_mg / dosing.daily_mg
    for schedule in (Schedule.CONTINUOUS, Schedule.THREE_WEEKS):
        if days * CYCLE_DAYS == (supply or 0) * schedule.dosing_days:
            return replace(dosing, schedule=schedule)
    return dosing


def _by_ingredient(medication: Json, terminology: Terminology) -> Any:
    """The drug of a Medication with one ingredient, R4 ``itemCodeableConcept`` or R5 ``item.concept``."""
    ingredients = items(medication.get("ingredient"))
    if len(ingredients) != 1:
        return None
    concept = ingredients[0].get("itemCodeableConcept") or mapping(ingredients[0].get("item")).get("concept")
    return terminology.drug(codings(concept, terminology))


def _ingredient_strength(medication: Json) -> Decimal | None:
    """Milligrams per capsule from ``Medication.ingredient.strength``."""
    ingredients = items(medication.get("ingredient"))
    if len(ingredients) != 1:
        return None
    strength = mapping(ingredients[0].get("strength") or ingredients[0].get("strengthRatio"))
    strength = strength or {"numerator": ingredients[0].get("strengthQuantity")}
    numerator, denominator = mapping(strength.get("numerator")), mapping(strength.get("denominator"))
    if (text(numerator.get("code")) or text(numerator.get("unit"))) != "mg":
        return None
    try:
        amount = number(numerator.get("value"), "strength")
        return _usable(amount / number(denominator.get("value", 1), "strength"))
    except (UnreadableError, ArithmeticError):
        return None


@remembered
def _strength_in(words: str) -> Decimal | None:
    strengths = {Decimal(match[1].replace(",", ".")) for match in _STRENGTH_IN_TEXT.finditer(words)}
    return _usable(strengths.pop()) if len(strengths) == 1 else None


def _usable(strength: Decimal) -> Decimal | None:
    return strength if strength > 0 else None


def _pieces(raw: object, strength_mg: Decimal | None) -> Decimal | None:
    """A dispensed quantity in capsules."""
    quantity = mapping(raw)
    if "value" not in quantity:
        return None
    value = number(quantity["value"], "quantity")
    unit = text(quantity.get("code")) or text(quantity.get("unit"))
    if unit.casefold() == "mg":
        return None if strength_mg is None else value / strength_mg
    return value


def _way_given(order: Json, lines: list[Json]) -> str:
    """The routes of a dosage, and the name of the product, which often tells the form."""
    routes = " ".join(words_of(line.get("route")) for line in lines)
    concept = order.get("medicationCodeableConcept") or mapping(order.get("medication")).get("concept")
    return f"{routes} {words_of(concept)}"


def order_reference(reference: Json) -> str:
    """``Type/id`` of a reference, whether relative, absolute or versioned."""
    return "/".join(text(reference.get("reference")).split("/_history/", 1)[0].split("/")[-2:])


def does_not_count(order: Json) -> bool:
    """An order not to perform, or an error of entry."""
    return order.get("doNotPerform") is True or text(order.get("status")) == "entered-in-error"
