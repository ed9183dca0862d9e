"""Units: every listed spelling converts exactly, and no other spelling is read."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.snapshot import Fault
from tests.support.fhir import UCUM, observation, reasons, results, snapshot

# What a number in the canonical unit must be multiplied by to be the number printed beside the spelling.
_COUNT_SPELLINGS = {
    "1": """10*3/uL|10^3/uL|10**3/uL|10E3/uL|10e3/uL|x10E3/uL|x10e3/mcL|10E3/mcL|10^3/mcL|10(3)/mcL|10(3)/uL|10x3/uL|x10(3)/uL
        |10 3/uL|10^3/µL|10*3/mm3|10x3/cmm|K/uL|k/ul|K/mcL|K/MM3|K/mm^3|K/cmm|K/cumm|K/ccm|thou/uL|THOU/cumm|thou/mm3|thous/mcL
        |THOUS/CMM|thousand/uL|Thousands/uL|th/uL|TH/MM3|T/CMM|1000/uL|x1000/uL|*1000/ul|10*9/L|10^9/L|10E9/L|10e9/L|x10E9/L
        |x10(9)/L|10(9)/L|x10e+09/L|BILL/L|billion/L|/nL|G/L|Gpt/L|GPt/l|10³/uL|10³/µL|x10³/µL|×10³/µL|10⁹/L|x10⁹/L|×10⁹/L
        |x10⁹ / L| 10*9/L | K / uL""",
    "1000": """/uL|#/uL|cells/uL|{cells}/uL|cells/mcL|cells/mm3|/mm3|/mm^3|/mm³|cells/mm³|/cumm|/cmm|#/cmm|CUMM|Leu/uL|10*6/L
        |10^6/L|10⁶/L|/µL""",
    "10": "10*2/uL|10^2/uL|10²/µL",
    "0.01": "lakh/cumm|lakhs/cumm",
}
_COUNTS = [
    (factor, text) for factor, listed in _COUNT_SPELLINGS.items() for text in listed.replace("\n", "").split("|")
]

_OTHERS = [
    ("creatinine", "mg/dL|mg/dl|MG/DL|mg%", "88.4", "88.4", "8.84"),
    ("creatinine", "umol/L|\u00b5mol/L|\u03bcmol/L|umol/l|UMOL/L|micromol/L|mcmol/L", "88.4", "1", "0.1"),
    ("creatinine", "mmol/L|mmol/l", "0.0884", "1", "1"),
    ("creatinine", "mg/L", "10", "1", "1"),
    ("creatinine-clearance-measured", "mL/min|ml/min", "60", "60", "1"),
    ("creatinine-clearance-measured", "mL/s|mL/sec|ml/s", "1", "60", "1"),
    ("creatinine-clearance-measured", "L/d", "144", "100", "1"),
    (
        "egfr",
        "mL/min/{1.73_m2}|mL/min/1.73m2|mL/min/1.73 m2|ml/min/1.73 sq m|mL/min/1.73m²|mL/min/1,73m²|mL/min/1.73_m2|mL/min",
        "60",
        "60",
        "1",
    ),
    ("body-weight", "kg|Kg|KG", "80", "80", "1"),
    ("body-weight", "g", "80000", "80", "1"),
    ("body-weight", "[lb_av]|lb|lbs|pounds|LB", "200", "90.718474", "1"),
    ("body-weight", "[oz_av]|oz", "2000", "56.69904625", "1"),
    ("body-height", "cm", "170", "170", "1"),
    ("body-height", "m", "1.7", "170", "1"),
    ("body-height", "mm", "1700", "170", "1"),
    ("body-height", "[in_i]|in|inch|inches", "70", "177.8", "1"),
    ("body-height", "[ft_i]|ft", "6", "182.88", "1"),
    ("bmi", "kg/m2|kg/m^2|kg/m²", "24", "24", "1"),
    ("alt", "U/L|u/l|IU/L|[IU]/L|E/L|units/L", "40", "40", "1"),
    ("alt", "nkat/L", "1000", "60", "1"),
    ("alt", "ukat/L|µkat/L", "1", "60", "1"),
    ("bilirubin", "mg/dL", "1.2", "1.2", "1"),
    ("bilirubin", "umol/L|µmol/L", "17.1", "1", "1"),
    ("bilirubin", "mg/L", "12", "1.2", "1"),
    ("tsh", "m[IU]/L|mIU/L|mU/L|u[IU]/mL|uIU/mL|µIU/mL|mcIU/mL", "4.2", "4.2", "1"),
    ("hcg", "m[IU]/mL|mIU/mL|mIU/ml|mU/mL|[IU]/L|IU/L|U/L", "5", "5", "1"),
    ("haemoglobin", "g/dL|gm/dL|g%", "12", "12", "1"),
    ("haemoglobin", "g/L", "120", "12", "1"),
    ("haemoglobin", "mmol/L", "10", "16.1", "1"),
    ("m-protein", "g/dL", "1.5", "1.5", "1"),
    ("m-protein", "g/L", "15", "1.5", "1"),
    ("m-protein", "mg/dL", "1500", "1.5", "1"),
    ("kappa-flc", "mg/L", "19", "19", "1"),
    ("kappa-flc", "mg/dL", "2", "20", "1"),
    ("calcium", "mg/dL", "10", "10", "1"),
    ("calcium", "mmol/L", "2.5", "10.02", "1"),
    ("inr", "{INR}|ratio|1", "2.5", "2.5", "1"),
    ("lvef", "%", "55", "55", "1"),
    ("lvef", "1", "0.55", "55", "1"),
]
_OTHER_SPELLINGS = [
    (token, text, Decimal(given) / Decimal(scale), Decimal(expected) / Decimal(scale))
    for token, listed, given, expected, scale in _OTHERS
    for text in listed.split("|")
    if Decimal(expected) / Decimal(scale) <= 20 or token != "creatinine"
]

_REFUSED_COUNTS = """%|THOU|X1000|x10-3|x10⁻³|K/ML|K/mL|10*3/mL|10^3/mL|10³/mL|10*6/uL|10^6/uL|10⁶/µL|million/uL|g/L|g/l|g/dL
|mg/dL|10*9|10^9|K|uL|/L|/mL|cells|10*3|103|109/L|10*12/L|x10E3|foo""".replace("\n", "").split("|")
_REFUSED_OTHERS = [
    ("creatinine", "g/dL"),
    ("creatinine", "mL/min"),
    ("creatinine", "nmol/L"),
    ("creatinine", "mol/L"),
    ("creatinine-clearance-measured", "mL/min/{1.73_m2}"),
    ("creatinine-clearance-measured", "mL/min/1.73m2"),
    ("creatinine-clearance-cockcroft-gault", "mL/min/1.73 m²"),
    ("creatinine-clearance-cockcroft-gault-normalised", "mL/min"),
    ("body-weight", "st"),
    ("body-weight", "stone"),
    ("body-weight", "mg"),
    ("body-height", "kg"),
    ("body-height", "km"),
    ("bmi", "kg/m"),
    ("alt", "mg/dL"),
    ("bilirubin", "U/L"),
    ("tsh", "m[IU]/mL"),
    ("tsh", "mIU/mL"),
    ("hcg", "ng/mL"),
    ("hcg", "pmol/L"),
    ("haemoglobin", "%"),
    ("m-protein", "%"),
    ("kappa-flc", "g/L"),
    ("calcium", "m[Eq]/L"),
    ("inr", "s"),
    ("inr", "%"),
    ("lvef", "mL"),
]


@pytest.mark.parametrize("token", ["anc", "platelets", "wbc"])
@pytest.mark.parametrize(("factor", "unit"), _COUNTS)
def test_listed_spelling_of_a_cell_count_converts_exactly(token: str, factor: str, unit: str) -> None:
    canonical = Decimal("12.3")

    (result,) = results(token, observation(token, canonical * Decimal(factor), unit))

    assert (result.value, result.unit) == (canonical, "10*9/L")


@pytest.mark.parametrize(("token", "unit", "given_value", "expected"), _OTHER_SPELLINGS)
def test_listed_spelling_converts_exactly(token: str, unit: str, given_value: Decimal, expected: Decimal) -> None:
    (result,) = results(token, observation(token, given_value, unit))

    assert result.value == expected


@pytest.mark.parametrize("unit", _REFUSED_COUNTS)
@pytest.mark.parametrize("token", ["anc", "platelets"])
def test_unlisted_spelling_of_a_cell_count_is_refused_and_named(token: str, unit: str) -> None:
    read = snapshot(observation(token, Decimal("2.4"), unit))

    assert read.of(token) == ()
    assert [(item.reference, item.fault, item.token) for item in read.unread] == [
        ("Observation/obs-1", Fault.UNIT, token)
    ]


@pytest.mark.parametrize(("token", "unit"), _REFUSED_OTHERS)
def test_unlisted_spelling_is_refused_and_named(token: str, unit: str) -> None:
    read = snapshot(observation(token, 50, unit))

    assert read.of(token) == ()
    assert [item.fault for item in read.unread] == [Fault.UNIT]


@pytest.mark.parametrize("token", ["anc", "platelets", "creatinine", "body-weight", "body-height", "alt", "hcg"])
@pytest.mark.parametrize("unit", [None, "", "  "])
def test_a_number_without_a_unit_is_refused(token: str, unit: str | None) -> None:
    read = snapshot(observation(token, 2, unit))

    assert read.of(token) == ()
    assert [item.fault for item in read.unread] == [Fault.UNIT]


def test_inr_needs_no_unit() -> None:
    (result,) = results("inr", observation("inr", Decimal("2.5")))

    assert result.value == Decimal("2.5")


def test_giga_per_litre_is_told_from_gram_per_litre_by_case() -> None:
    assert [result.value for result in results("anc", observation("anc", Decimal("2.4"), "G/L"))] == [Decimal("2.4")]
    assert results("anc", observation("anc", Decimal("2.4"), "g/L")) == ()


def test_gram_per_litre_is_a_unit_of_haemoglobin_only() -> None:
    (result,) = results("haemoglobin", observation("haemoglobin", 120, "g/L"))

    assert result.value == 12


@pytest.mark.parametrize(
    ("code", "unit"),
    [
        ("10*9/L", "10*9/L"),
        ("10*3/uL", "K/uL"),
        ("10*3/uL", "x10³/µL"),
        ("10*3/uL", "10^9/L"),
        ("10*3/uL", None),
        (None, "K/uL"),
        ("10*3/uL", "Thousands per microliter"),
    ],
)
def test_unit_and_ucum_code_that_agree_are_read(code: str | None, unit: str | None) -> None:
    quantity = {"value": Decimal("2.4"), "system": UCUM, "code": code, "unit": unit}
    stated = {key: value for key, value in quantity.items() if value is not None}

    (result,) = results("anc", observation("anc", valueQuantity=stated))

    assert result.value == Decimal("2.4")


@pytest.mark.parametrize("system", [UCUM, None])
@pytest.mark.parametrize(
    ("token", "code", "unit"),
    [
        ("anc", "10*9/L", "/uL"),
        ("anc", "/uL", "10*3/uL"),
        ("anc", "10*9/L", "%"),
        ("anc", "10*9/L", "g/L"),
        ("platelets", "10*6/L", "10*9/L"),
        ("creatinine", "mg/dL", "umol/L"),
        ("creatinine", "umol/L", "mg/dL"),
        ("body-weight", "kg", "lb"),
        ("body-weight", "[lb_av]", "kg"),
        ("body-height", "cm", "in"),
    ],
)
def test_unit_and_code_that_disagree_are_refused(system: str | None, token: str, code: str, unit: str) -> None:
    quantity = {"value": 30, "code": code, "unit": unit} | ({} if system is None else {"system": system})

    read = snapshot(observation(token, valueQuantity=quantity))

    assert read.of(token) == ()
    assert [item.fault for item in read.unread] == [Fault.UNIT]


def test_an_unknown_ucum_code_is_not_replaced_by_its_unit_text() -> None:
    quantity = {"value": 2, "system": UCUM, "code": "10*3/mL", "unit": "K/uL"}

    assert results("anc", observation("anc", valueQuantity=quantity)) == ()


@pytest.mark.parametrize("unit", ["10*9/L", "K/uL"])
def test_the_unit_is_never_guessed_from_the_magnitude(unit: str) -> None:
    read = snapshot(observation("anc", 1500, unit))

    assert read.of("anc") == ()
    assert [item.fault for item in read.unread] == [Fault.IMPLAUSIBLE]


def test_the_reason_names_the_unit_and_the_value() -> None:
    why = reasons(observation("platelets", 150, "foo"))["Observation/obs-1"]

    assert "foo" in why
    assert "150" in why
    assert "platelets" in why


@given(thousandths=st.integers(0, 99_999))
def test_conversion_is_exact_in_every_spelling(thousandths: int) -> None:
    canonical = Decimal(thousandths) / 1000

    for factor, unit in _COUNTS[::7]:
        (result,) = results("anc", observation("anc", canonical * Decimal(factor), unit))
        assert result.value == canonical


@given(lower=st.integers(177, 17_679), step=st.integers(1, 5_000))
def test_a_higher_creatinine_in_umol_is_a_higher_one_in_mg(lower: int, step: int) -> None:
    higher = min(lower + step, 17_680)
    first, second = (
        results("creatinine", observation("creatinine", Decimal(tenths) / 10, "umol/L"))[0].value
        for tenths in (lower, higher)
    )

    assert first < second
    assert abs(first * Decimal("88.4") - Decimal(lower) / 10) < Decimal("1e-20")
