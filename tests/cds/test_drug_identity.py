"""Orders: which drug it is and how strong a capsule is, by every kind of code; by text only as a possibility."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cds.fhir import Found
from cds.snapshot import MedicationOrder
from tests.support.fhir import (
    RXNORM,
    SNOMED,
    SUBJECT,
    coded,
    dosage,
    lenalidomide,
    order,
    read_as_draft,
    read_as_history,
)

_NDC = "http://hl7.org/fhir/sid/ndc"
_ATC = "http://www.whocc.no/atc"
_DMD = "https://dmd.nhs.uk"

_PRODUCTS = {
    "2.5": ("1242231", "1242233", "1242230", "1242232"),
    "5": ("602912", "616116", "602911", "616115"),
    "10": ("602910", "616114", "602908", "616112"),
    "15": ("643712", "643714", "643711", "643713"),
    "20": ("1428947", "1429367", "1428946", "1429366"),
    "25": ("643720", "643722", "643719", "643721"),
}
_NDC_PRODUCTS = {"2.5": "402", "5": "405", "10": "410", "15": "415", "20": "420", "25": "425"}


def _ordered(concept: object) -> MedicationOrder:
    found = read_as_draft(order(medicationCodeableConcept=concept))
    assert found is not None
    return found


def _by_medication(medication: dict[str, Any], **reference: Any) -> MedicationOrder | None:
    draft = order(medicationCodeableConcept=None, medicationReference=reference)
    return read_as_draft(draft, {"resourceType": "Medication", **medication})


# --- Codes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strength", "code"), [(strength, code) for strength, listed in _PRODUCTS.items() for code in listed]
)
@pytest.mark.parametrize("system", [RXNORM, "urn:oid:2.16.840.1.113883.6.88"])
def test_an_rxnorm_product_gives_drug_and_strength(system: str, strength: str, code: str) -> None:
    drug = _ordered(coded(system, code)).drug

    assert (drug.token, drug.coded, drug.strength_mg) == ("lenalidomide", True, Decimal(strength))


@pytest.mark.parametrize("code", ["342369", "337535", "602909", "616113", "1162569", "1162570", "1182522", "1182529"])
def test_an_rxnorm_ingredient_brand_or_form_gives_the_drug_without_strength(code: str) -> None:
    drug = _ordered(coded(RXNORM, code)).drug

    assert (drug.token, drug.coded, drug.strength_mg) == ("lenalidomide", True, None)


@pytest.mark.parametrize(
    "form", ["59572-{0}", "59572-{0}-28", "59572-0{0}-28", "595720{0}28", "59572{0}28", "59572-0{0}"]
)
@pytest.mark.parametrize(("strength", "product"), _NDC_PRODUCTS.items())
@pytest.mark.parametrize("system", [_NDC, "urn:oid:2.16.840.1.113883.6.69"])
def test_an_ndc_in_every_segment_form_gives_drug_and_strength(
    system: str, strength: str, product: str, form: str
) -> None:
    drug = _ordered(coded(system, form.format(product))).drug

    assert (drug.token, drug.coded, drug.strength_mg) == ("lenalidomide", True, Decimal(strength))


@pytest.mark.parametrize("system", [_ATC, "urn:oid:2.16.840.1.113883.6.73"])
def test_the_atc_code_gives_the_drug(system: str) -> None:
    drug = _ordered(coded(system, "L04AX04")).drug

    assert (drug.token, drug.coded, drug.strength_mg) == ("lenalidomide", True, None)


@pytest.mark.parametrize(("code", "strength"), [("422330004", "5"), ("420966002", "10")])
@pytest.mark.parametrize("system", [SNOMED, "urn:oid:2.16.840.1.113883.6.96", "http://snomed.info/sct/731000124108"])
def test_a_snomed_clinical_drug_gives_drug_and_strength(system: str, code: str, strength: str) -> None:
    drug = _ordered(coded(system, code)).drug

    assert (drug.token, drug.coded, drug.strength_mg) == ("lenalidomide", True, Decimal(strength))


@pytest.mark.parametrize(
    ("code", "strength"),
    [
        ("23344511000001104", "2.5"),
        ("29903811000001104", "7.5"),
        ("11762911000001102", "15"),
        ("29903711000001107", "20"),
        ("11763011000001105", "25"),
    ],
)
@pytest.mark.parametrize("system", [_DMD, SNOMED])
def test_a_dmd_product_is_known_under_its_own_and_the_snomed_uri(system: str, code: str, strength: str) -> None:
    drug = _ordered(coded(system, code)).drug

    assert (drug.token, drug.coded, drug.strength_mg) == ("lenalidomide", True, Decimal(strength))


@pytest.mark.parametrize(
    ("system", "code"),
    [
        (RXNORM, "164636"),
        (RXNORM, "643035"),
        (RXNORM, "OMOP261819"),
        (RXNORM, "422330004"),
        (SNOMED, "602910"),
        (_ATC, "L04AX02"),
        (_NDC, "59572-501-21"),
        (None, "602910"),
        ("http://example.org/formulary", "602910"),
    ],
)
def test_a_code_that_is_not_lenalidomides_is_not_matched(system: str | None, code: str) -> None:
    found = read_as_draft(order(medicationCodeableConcept=coded(system, code)))

    assert found is None or found.drug.token != "lenalidomide"


@pytest.mark.parametrize("codes", [("342369", "602910"), ("602910", "342369"), ("164636", "602910")])
def test_the_most_specific_coding_wins_wherever_it_stands(codes: tuple[str, str]) -> None:
    concept = {"coding": [{"system": RXNORM, "code": code} for code in codes]}

    assert _ordered(concept).drug.strength_mg == 10


def test_a_local_code_before_the_standard_one_does_no_harm() -> None:
    concept = {"coding": [{"system": "urn:oid:1.2.3", "code": "LEN10"}, {"system": RXNORM, "code": "602910"}]}

    assert _ordered(concept).drug.strength_mg == 10


# --- Text ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "concept",
    [
        {"text": "lenalidomide"},
        {"text": "Lenalidomide 10 mg capsule"},
        {"text": "REVLIMID 10MG CAPS"},
        {"coding": [{"code": "602910", "display": "lenalidomide 10 MG Oral Capsule"}]},
        {"coding": [{"system": "urn:oid:1.2.3", "code": "X", "display": "Revlimid 10 mg"}]},
        {"coding": [{"system": RXNORM, "code": "164636", "display": "lenalidomide"}]},
    ],
    ids=str,
)
def test_a_drug_known_by_its_text_only_is_a_possibility(concept: dict[str, Any]) -> None:
    drug = _ordered(concept).drug

    assert (drug.token, drug.coded) == ("lenalidomide", False)


@pytest.mark.parametrize("text", ["thalidomide", "pomalidomide", "lenalidomidex", "unknown drug", ""])
def test_other_words_are_not_lenalidomide(text: str) -> None:
    found = read_as_draft(order(medicationCodeableConcept={"text": text}))

    assert found is None or found.drug.token != "lenalidomide"


def test_the_strength_is_taken_from_the_text_where_the_code_has_none() -> None:
    assert _ordered({**lenalidomide("342369"), "text": "lenalidomide 5 mg capsule"}).drug.strength_mg == 5
    assert _ordered({**lenalidomide("342369"), "text": "lenalidomide 2,5 mg capsule"}).drug.strength_mg == Decimal(
        "2.5"
    )
    assert _ordered({**lenalidomide("342369"), "text": "lenalidomide 5 mg or 10 mg"}).drug.strength_mg is None


@pytest.mark.parametrize("text", ["lenalidomide 0 mg", "lenalidomide 0.0 mg"])
def test_no_strength_is_zero(text: str) -> None:
    quantity = {"quantity": {"value": 280, "unit": "mg"}}
    concept = {**lenalidomide("342369"), "text": text}

    found = read_as_draft(order(dosage(1, "capsule"), medicationCodeableConcept=concept, dispenseRequest=quantity))

    assert found is not None
    assert found.dosing.daily_mg is None


# --- Medication resources --------------------------------------------------------------------------------------------


def test_a_contained_medication_is_found() -> None:
    medication = {"resourceType": "Medication", "id": "med", "code": lenalidomide()}
    draft = order(medicationCodeableConcept=None, medicationReference={"reference": "#med"}, contained=[medication])

    found = read_as_draft(draft)

    assert found is not None
    assert found.drug.strength_mg == 10


@pytest.mark.parametrize(
    ("reference", "full_url"),
    [
        ("Medication/med", ""),
        ("Medication/med", "http://ehr.example/fhir/Medication/med"),
        ("Medication/med/_history/2", ""),
        ("http://ehr.example/fhir/Medication/med", "http://ehr.example/fhir/Medication/med"),
        ("http://ehr.example/fhir/Medication/med", ""),
        ("urn:uuid:6a0c8d1e-0000-4000-8000-000000000001", "urn:uuid:6a0c8d1e-0000-4000-8000-000000000001"),
        ("urn:uuid:med", ""),
    ],
)
def test_a_medication_elsewhere_in_the_request_is_found(reference: str, full_url: str) -> None:
    medication = {"resourceType": "Medication", "id": "med", "code": lenalidomide()}
    past = order(medicationCodeableConcept=None, medicationReference={"reference": reference})

    found = read_as_draft(past, Found(medication, full_url))
    (in_history,) = read_as_history(past, Found(medication, full_url))

    assert found is not None
    assert found.drug.strength_mg == in_history.drug.strength_mg == 10


@pytest.mark.parametrize("reference", ["Medication/other", "#med", "urn:uuid:other", "Substance/med"])
def test_a_medication_that_is_not_there_leaves_the_drug_unknown(reference: str) -> None:
    assert _by_medication({"id": "med", "code": lenalidomide()}, reference=reference) is None


def test_the_display_of_a_reference_names_a_possible_drug() -> None:
    found = _by_medication({"id": "other"}, reference="Medication/med", display="lenalidomide 10 mg capsule")

    assert found is not None
    assert (found.drug.token, found.drug.coded) == ("lenalidomide", False)


_STRENGTH = {"numerator": {"value": 10, "unit": "mg"}, "denominator": {"value": 1, "unit": "capsule"}}


@pytest.mark.parametrize(
    "ingredient",
    [
        {"itemCodeableConcept": coded(RXNORM, "342369"), "strength": _STRENGTH},
        {"item": {"concept": coded(RXNORM, "342369")}, "strengthRatio": _STRENGTH},
        {"item": {"concept": coded(RXNORM, "342369")}, "strengthQuantity": {"value": 10, "unit": "mg"}},
    ],
    ids=["R4", "R5 ratio", "R5 quantity"],
)
@pytest.mark.parametrize("code", [None, lenalidomide("342369"), {"text": "house product"}])
def test_the_ingredient_gives_drug_and_strength(code: dict[str, Any] | None, ingredient: dict[str, Any]) -> None:
    medication = {"id": "med", "ingredient": [ingredient]} | ({} if code is None else {"code": code})

    found = _by_medication(medication, reference="Medication/med")

    assert found is not None
    assert (found.drug.token, found.drug.strength_mg) == ("lenalidomide", Decimal(10))


@pytest.mark.parametrize("value", [0, -10, "ten", None, Decimal("NaN")])
def test_an_impossible_ingredient_strength_is_not_used(value: object) -> None:
    strength = {"numerator": {"value": value, "unit": "mg"}, "denominator": {"value": 1}}
    ingredient = {"itemCodeableConcept": lenalidomide("342369"), "strength": strength}

    found = _by_medication({"id": "med", "ingredient": [ingredient]}, reference="Medication/med")

    assert found is not None
    assert found.drug.strength_mg is None


def test_the_r5_shape_of_medication_is_read() -> None:
    by_concept = order(medicationCodeableConcept=None, medication={"concept": lenalidomide()})
    by_reference = order(medicationCodeableConcept=None, medication={"reference": {"reference": "Medication/med"}})
    medication = {"resourceType": "Medication", "id": "med", "code": lenalidomide(), "subject": SUBJECT}

    for draft in (by_concept, by_reference):
        found = read_as_draft(draft, medication)
        assert found is not None
        assert found.drug.strength_mg == 10
