"""Laboratory results: the value, its comparator, and what is no value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cds.snapshot import Measurement
from tests.support.fhir import (
    HL7,
    OBSERVATION,
    coded,
    explained,
    judged,
    labs,
    observation,
    reasons,
    request,
    results,
    snapshot,
    value_of,
    with_resources,
)

# --- Value -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("comparator", ["<", "<=", ">=", ">"])
def test_a_comparator_stays_with_its_value(comparator: str) -> None:
    quantity = {"value": Decimal("0.5"), "unit": "10*9/L", "comparator": comparator}

    (result,) = results("anc", observation("anc", valueQuantity=quantity))

    assert result.measurement == Measurement(Decimal("0.5"), comparator)


@pytest.mark.parametrize("comparator", ["ad", "=", "~", "", ["<"], {"code": "<"}, 1])
def test_an_unknown_comparator_makes_the_result_unread(comparator: object) -> None:
    quantity = {"value": Decimal("0.5"), "unit": "10*9/L", "comparator": comparator}

    assert OBSERVATION in reasons(observation("anc", valueQuantity=quantity))


@pytest.mark.parametrize(
    ("comparator", "value", "action"),
    [
        ("<", "0.5", "hold"),  # below the start line of 1.0
        ("<", "1.0", "hold"),  # proves that the start line is missed
        ("<", "1.5", "defer"),
        ("<=", "1.0", "defer"),
        (">", "0.9", "defer"),
        (">=", "1.0", "proceed"),
        (">", "1.0", "proceed"),
    ],
)
def test_a_bound_decides_at_start_only_when_it_lies_on_one_side(comparator: str, value: str, action: str) -> None:
    anc = {"value": value, "unit": "10*9/L", "comparator": comparator}

    assert judged(request(labs=labs(anc=[anc])))["recommendation"]["action"] == action


@pytest.mark.parametrize(
    ("words", "measurement"),
    [
        ("1.2 K/uL", Measurement(Decimal("1.2"))),
        ("1.2K/uL", Measurement(Decimal("1.2"))),
        (" 1.2  x10^9/L ", Measurement(Decimal("1.2"))),
        ("1.2 10*9/L", Measurement(Decimal("1.2"))),
        ("1.2 x10³/µL", Measurement(Decimal("1.2"))),
        ("1,2 G/L", Measurement(Decimal("1.2"))),
        ("1200 /uL", Measurement(Decimal("1.2"))),
        ("<0.1 K/uL", Measurement(Decimal("0.1"), "<")),
        ("< 0.1 K/uL", Measurement(Decimal("0.1"), "<")),
        ("<=0.1 K/uL", Measurement(Decimal("0.1"), "<=")),
        (">= 1.0 K/uL", Measurement(Decimal("1.0"), ">=")),
        (">1.0 K/uL", Measurement(Decimal("1.0"), ">")),
    ],
)
def test_a_number_with_unit_in_words_is_read(words: str, measurement: Measurement) -> None:
    (result,) = results("anc", observation("anc", valueString=words))

    assert result.measurement == measurement


@pytest.mark.parametrize(
    "words",
    [
        "<0.1",
        "1.2",
        "see comment",
        "clumped",
        "adequate",
        "pending",
        "1.2-1.5 K/uL",
        "1.2 K/uL (critical)",
        "1.2 3.4 K/uL",
        "K/uL",
        "",
        "negative",
        "positive",
    ],
)
def test_words_that_are_no_number_with_unit_are_unread_and_never_zero(words: str) -> None:
    read = snapshot(observation("platelets", valueString=words))

    assert read.of("platelets") == ()
    assert [item.reference for item in read.unread] == [OBSERVATION]


@pytest.mark.parametrize(("words", "as_decimal_comma"), [("1,200 /uL", "0.0012"), ("150,000 /uL", "0.15")])
def test_a_thousands_separator_is_not_read_as_a_decimal_comma(words: str, as_decimal_comma: str) -> None:
    assert [result.value for result in results("platelets", observation("platelets", valueString=words))] != [
        Decimal(as_decimal_comma)
    ]


def test_an_integer_is_read_where_the_quantity_needs_no_unit_and_refused_where_it_does() -> None:
    assert value_of("inr", observation("inr", valueInteger=2)) == 2
    assert results("anc", observation("anc", valueInteger=2)) == ()


@pytest.mark.parametrize(
    "value",
    [
        {"valueBoolean": True},
        {"valueBoolean": False},
        {"valueCodeableConcept": {"text": "negative"}},
        {"valueCodeableConcept": coded("http://snomed.info/sct", "260385009", display="Negative")},
        {"valueRange": {"low": {"value": 1, "unit": "10*9/L"}}},
        {"valueRatio": {"numerator": {"value": 1}}},
        {"valueQuantity": {"unit": "10*9/L"}},
        {"valueQuantity": {"value": None, "unit": "10*9/L"}},
        {"valueQuantity": {"value": "see comment", "unit": "10*9/L"}},
        {"valueQuantity": {"value": True, "unit": "10*9/L"}},
        {"valueQuantity": {"value": [2], "unit": "10*9/L"}},
        {"valueQuantity": {"value": Decimal("NaN"), "unit": "10*9/L"}},
        {"valueQuantity": {"value": Decimal("Infinity"), "unit": "10*9/L"}},
        {"valueQuantity": {"value": float("nan"), "unit": "10*9/L"}},
        {"valueQuantity": {"value": Decimal("1e9999999"), "unit": "10*9/L"}},
        {"valueQuantity": {"value": Decimal("1e-9999999"), "unit": "10*9/L"}},
        {"valueQuantity": [2, "10*9/L"]},
        {"valueQuantity": "2 10*9/L"},
        {},
    ],
    ids=str,
)
@pytest.mark.parametrize("token", ["anc", "neutrophils-segmented", "wbc", "creatinine", "body-weight"])
def test_what_is_no_measurement_is_unread(token: str, value: dict[str, Any]) -> None:
    read = snapshot(observation(token, **value))

    assert read.of(token) == read.of("anc") == ()
    assert [item.reference for item in read.unread] == [OBSERVATION]


@pytest.mark.parametrize("value", [2.4, Decimal("2.40"), "2.4", "2.40"])
def test_a_number_is_the_same_however_json_carried_it(value: object) -> None:
    assert value_of("anc", observation("anc", value, "10*9/L")) == Decimal("2.4")


def test_zero_is_a_value() -> None:
    assert value_of("anc", observation("anc", 0, "10*9/L")) == 0


def test_a_zero_with_an_absurd_exponent_is_answered() -> None:
    hook_request = request()
    extra = observation("anc", Decimal("0E+9999999"), "10*9/L", id="anc-zero")

    assert explained(with_resources(hook_request, extra))["drafts"]


@pytest.mark.parametrize("reason", ["unknown", "not-performed", "error", "masked"])
def test_an_absent_value_is_named_with_its_reason(reason: str) -> None:
    absent = coded(f"{HL7}/data-absent-reason", reason, display=f"reason {reason}")

    read = snapshot(observation("anc", dataAbsentReason=absent))

    assert read.of("anc") == ()
    assert f"reason {reason}" in read.unread[0].why
