"""What the reader makes of sex and gender, devices, pregnancy tests and dates that come as values."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from cds.snapshot import Fault
from tests.support import codes
from tests.support.fhir import FHIR, HL7, LOINC, PATIENT, SNOMED, SUBJECT, coded, observation, snapshot

US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core"
FEMALE = {"system": SNOMED, "code": "248152002"}
MALE = {"system": SNOMED, "code": "248153007"}
HL7_FHIR = "http://hl7.org/fhir"
GENDER_IDENTITY = f"{HL7_FHIR}/gender-identity"
TRANS_MAN = {"coding": [{"system": SNOMED, "code": "407377005"}]}

Json = dict[str, Any]


def recorded_female(*extensions: Json) -> str:
    patient = snapshot({**PATIENT, "extension": list(extensions)}).patient
    assert patient is not None
    assert patient.sex == "male"
    return patient.recorded_female


# --- Sex and gender ---


@pytest.mark.parametrize(
    "extension",
    [
        {"url": f"{US_CORE}-birthsex", "valueCode": "F"},
        {"url": f"{US_CORE}-sex", "valueCode": "248152002"},
        {"url": f"{US_CORE}-individual-sex", "valueCoding": FEMALE},
        {
            "url": f"{FHIR}/individual-recordedSexOrGender",
            "extension": [
                {"url": "value", "valueCodeableConcept": coded("http://hl7.org/fhir/administrative-gender", "female")},
                {"url": "type", "valueCodeableConcept": coded(LOINC, "76689-9")},
            ],
        },
        {"url": f"{US_CORE}-genderIdentity", "valueCodeableConcept": TRANS_MAN},
        {
            "url": f"{FHIR}/patient-genderIdentity",
            "valueCodeableConcept": coded(f"{HL7_FHIR}/gender-identity", "transgender-male"),
        },
        {
            "url": f"{US_CORE}-individual-sex",
            "valueCodeableConcept": {"coding": [{"system": "x", "code": "1"}, FEMALE]},
        },
        {"url": f"{US_CORE}-individual-sex", "valueCodeableConcept": {"text": "Female"}},
        {
            "url": f"{FHIR}/individual-genderIdentity",
            "extension": [{"url": "value", "valueCodeableConcept": TRANS_MAN}],
        },
    ],
)
def test_a_man_recorded_as_female_elsewhere_may_have_a_female_body(extension: Json) -> None:
    assert recorded_female(extension) != ""


@pytest.mark.parametrize(
    "extension",
    [
        {"url": f"{US_CORE}-birthsex", "valueCode": "M"},
        {"url": f"{US_CORE}-birthsex", "valueCode": "UNK"},
        {"url": f"{US_CORE}-individual-sex", "valueCoding": MALE},
        {"url": f"{US_CORE}-genderIdentity", "valueCodeableConcept": coded(SNOMED, "446151000124109")},
        {"url": "https://ehr.example/anything", "valueCode": "F"},
    ],
)
def test_a_man_recorded_as_a_man_is_one(extension: Json) -> None:
    assert recorded_female(extension) == ""


# --- Devices ---


def device_use(**changes: Any) -> Json:
    base = {
        "resourceType": "DeviceUseStatement",
        "id": "use-1",
        "status": "active",
        "subject": SUBJECT,
        "device": {"reference": "Device/iud"},
        "timingPeriod": {"start": "2022-02-01"},
    }
    return {key: value for key, value in {**base, **changes}.items() if value is not None}


IUD = {"resourceType": "Device", "id": "iud", "type": codes.device("intrauterine-device")}


def test_a_device_in_use_is_found_beside_the_statement() -> None:
    (device,) = snapshot(IUD, device_use()).devices
    assert (device.token, device.since) == ("intrauterine-device", date(2022, 2, 1))


def test_a_device_in_use_until_a_day_to_come_is_in_use() -> None:
    planned = {"start": "2022-02-01", "end": "2027-02-01"}
    assert len(snapshot(IUD, device_use(timingPeriod=planned)).devices) == 1


def test_a_contained_device_is_found() -> None:
    inside = device_use(contained=[IUD], device={"reference": "#iud"})
    assert [device.token for device in snapshot(inside).devices] == ["intrauterine-device"]


def test_a_device_usage_of_r5_names_it_by_concept() -> None:
    usage = {
        "resourceType": "DeviceUsage",
        "id": "use-1",
        "status": "active",
        "patient": SUBJECT,
        "device": {"concept": codes.device("contraceptive-implant")},
        "timingDateTime": "2023-05-01",
    }
    (device,) = snapshot(usage).devices
    assert (device.token, device.since) == ("contraceptive-implant", date(2023, 5, 1))


def test_an_implanted_device_recorded_as_the_patients_counts_while_it_is_active() -> None:
    implanted = {**IUD, "status": "active", "patient": SUBJECT}
    assert [device.token for device in snapshot(implanted).devices] == ["intrauterine-device"]
    assert snapshot({**implanted, "status": "inactive"}).devices == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "stopped"},
        {"status": "completed"},
        {"status": None},
        {"timingPeriod": {"start": "2022-02-01", "end": "2023-02-01"}},
        {"device": {"reference": "Device/other"}},
        {"subject": {"reference": "Patient/patient-2"}},
    ],
)
def test_a_device_not_known_to_be_in_use_is_none(changes: Json) -> None:
    assert snapshot(IUD, device_use(**changes)).devices == ()


# --- Pregnancy tests ---


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ({"valueCodeableConcept": {"text": "Negative"}}, "negative"),
        ({"valueString": "POS"}, "positive"),
        ({"valueString": "grey zone"}, "indeterminate"),
        ({"valueBoolean": True}, "positive"),
        ({"valueBoolean": False}, "negative"),
    ],
)
def test_a_test_is_read_in_whatever_form_its_answer_comes(value: Json, answer: str) -> None:
    (result,) = snapshot(observation("hcg", **value)).of("hcg")
    assert result.answer == answer


def test_a_number_may_carry_the_laboratorys_own_word() -> None:
    called = [{"coding": [{"system": f"{HL7}/v3-ObservationInterpretation", "code": "NEG"}]}]
    (result,) = snapshot(observation("19080-1", 10, "mIU/mL", interpretation=called)).of("hcg")
    assert result.measurement is not None
    assert result.answer == "negative"


def test_high_and_low_are_no_answers() -> None:
    called = [{"coding": [{"system": f"{HL7}/v3-ObservationInterpretation", "code": "H"}]}]
    (result,) = snapshot(observation("19080-1", 10, "mIU/mL", interpretation=called)).of("hcg")
    assert result.answer is None


def test_a_test_as_a_component_is_read() -> None:
    inside = observation(
        "hcg", code={"text": "Urine dipstick"}, component=[{"code": coded(LOINC, "2106-3"), "valueString": "Negative"}]
    )
    assert [result.answer for result in snapshot(inside).of("hcg")] == ["negative"]


def test_the_tumour_marker_is_no_pregnancy_test() -> None:
    assert snapshot(observation("19180-9", 3, "mIU/mL")).of("hcg") == ()


def test_an_unread_test_keeps_its_time() -> None:
    (unread,) = snapshot(observation("hcg", 3, "foo", effectiveDateTime="2024-05-15T08:00:00Z")).unread
    assert (unread.token, unread.fault, unread.instant is not None) == ("hcg", Fault.UNIT, True)


def test_a_test_that_was_not_performed_is_no_test() -> None:
    reason = coded(f"{HL7}/data-absent-reason", "not-performed")
    (unread,) = snapshot(observation("hcg", dataAbsentReason=reason)).unread
    assert unread.fault is Fault.STATUS


def test_codes_that_contradict_each_other_are_no_answer() -> None:
    both = {"coding": [codes.answer("negative")["coding"][0], codes.answer("positive")["coding"][0]]}
    (result,) = snapshot(observation("hcg", valueCodeableConcept=both)).of("hcg")
    assert result.answer == "indeterminate"


@pytest.mark.parametrize("name", ["BHCG QUANT SERUM", "bHCG", "Urine preg test", "Pregnancy, urine"])
def test_a_test_under_a_local_name_is_named(name: str) -> None:
    local = observation("hcg", 4500, "mIU/mL", code={"text": name})
    (unread,) = snapshot(local).unread
    assert (unread.token, unread.fault) == ("hcg", Fault.CODE)


# --- Dates as values ---


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2022-03-01", "2022-03-01"),
        ("2022-03-01T23:00:00Z", "2022-03-01"),
        ("2022-02", "2022-02-28"),
        ("2022", "2022-12-31"),
    ],
)
def test_of_a_month_or_a_year_the_last_day_is_taken(written: str, read: str) -> None:
    (result,) = snapshot(observation("last-menstrual-period", valueDateTime=written)).of("last-menstrual-period")
    assert str(result.told) == read


@pytest.mark.parametrize("written", ["", "2022-13", "0000", "spring", "2022-02-30", 20220301, None])
def test_a_date_that_is_none_is_unread(written: object) -> None:
    read = snapshot(observation("estimated-delivery-date", valueDateTime=written))
    assert read.of("estimated-delivery-date") == ()
    assert [item.token for item in read.unread] == ["estimated-delivery-date"]


# --- Records that could not be read keep their meaning ---


def test_a_pregnancy_without_a_patient_is_named_as_what_it_was() -> None:
    condition = {
        "resourceType": "Condition",
        "id": "c",
        "code": codes.condition("pregnancy"),
        "onsetDateTime": "2024-05-01",
    }
    (unread,) = snapshot(condition).unread
    assert (unread.token, unread.fault, unread.day) == ("pregnancy", Fault.OTHER, date(2024, 5, 1))


@pytest.mark.parametrize(
    "concept",
    [
        {
            "coding": [
                {
                    "system": SNOMED,
                    "code": "169488004",
                    "display": "Contraceptive intrauterine device failure - pregnant",
                }
            ]
        },
        {"text": "Hyperemesis gravidarum"},
        {"text": "Breastfeeding while pregnant"},
    ],
)
def test_words_of_a_pregnancy_are_never_passed_over(concept: Json) -> None:
    condition = {"resourceType": "Condition", "id": "c", "subject": SUBJECT, "code": concept}
    (unread,) = snapshot(condition).unread
    assert (unread.token, unread.fault) == ("pregnancy", Fault.WORDS)


@pytest.mark.parametrize(
    "codes_",
    [
        [{"system": f"{HL7_FHIR}/sid/icd-10-cm", "code": "Z30.9"}, {"system": SNOMED, "code": "77386006"}],
        [{"system": f"{HL7_FHIR}/sid/icd-10", "code": "Z32.1"}],
        [{"system": f"{HL7_FHIR}/sid/icd-10", "code": "O09.90"}],
        [{"system": f"{HL7_FHIR}/sid/icd-10", "code": "Z3A.08"}],
        [{"system": f"{HL7_FHIR}/sid/icd-10-cm", "code": "Z36"}],
    ],
)
def test_a_pregnancy_is_found_among_several_codes_and_under_either_edition(codes_: list[Json]) -> None:
    condition = {"resourceType": "Condition", "id": "c", "subject": SUBJECT, "code": {"coding": codes_}}
    assert [found.token for found in snapshot(condition).conditions] == ["pregnancy"]


def test_an_allergy_without_a_patient_is_not_taken_for_an_order() -> None:
    allergy = {"resourceType": "AllergyIntolerance", "id": "a", "code": codes.drug("lenalidomide")}
    (unread,) = snapshot(allergy).unread
    assert unread.token is None
