"""Laboratory results: which Observations are results, and of what; the rest is named."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from cds.snapshot import Fault
from tests.support.fhir import (
    HL7,
    LOINC,
    OBSERVATION,
    coded,
    judged,
    labs,
    observation,
    reasons,
    request,
    results,
    snapshot,
    value_of,
    with_resources,
    without,
)

# --- Status ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["final", "amended", "corrected"])
def test_a_finished_result_counts(status: str) -> None:
    (result,) = results("anc", observation("anc", Decimal("2.4"), "10*9/L", status=status))

    assert not result.only_against


def test_a_preliminary_result_counts_only_against_the_patient() -> None:
    (result,) = results("anc", observation("anc", Decimal("2.4"), "10*9/L", status="preliminary"))

    assert result.only_against


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        ("registered", Fault.STATUS),
        ("cancelled", Fault.STATUS),
        ("entered-in-error", Fault.STATUS),
        ("unknown", Fault.STATUS),
        ("appended", Fault.OTHER),
        ("Final", Fault.OTHER),
        ("", Fault.OTHER),
        (None, Fault.OTHER),
    ],
)
def test_any_other_status_does_not_count_and_is_named(status: str | None, fault: Fault) -> None:
    read = snapshot(observation("anc", Decimal("0.4"), "10*9/L", status=status))

    assert read.of("anc") == ()
    assert [(item.reference, item.fault) for item in read.unread] == [(OBSERVATION, fault)]


@pytest.mark.parametrize(("status", "action"), [("cancelled", "proceed"), ("Final", "defer"), (None, "defer")])
def test_only_what_is_said_to_be_no_result_leaves_the_older_one_in_force(status: str | None, action: str) -> None:
    older = request(labs=labs(anc=[{"value": "2.4", "unit": "10*9/L", "days_ago": 1}]))
    newer = observation("anc", Decimal("0.4"), "10*9/L", status=status)

    assert judged(with_resources(older, newer))["recommendation"]["action"] == action


@pytest.mark.parametrize(
    "masking", [{"status": "preliminary"}, {"effectiveDateTime": "2024-05-16"}], ids=["preliminary", "of the future"]
)
def test_a_result_that_may_permit_nothing_does_not_cover_for_one_that_could_not_be_read(
    masking: dict[str, Any],
) -> None:
    older = request(labs=labs(anc=[{"value": "2.4", "unit": "10*9/L", "days_ago": 2}]))
    unreadable = observation("anc", 2, "furlongs", id="odd", effectiveDateTime="2024-05-14")
    covering = observation("anc", 3, "10*9/L", id="covering", **masking)

    answered = judged(with_resources(older, unreadable, covering))

    assert answered["recommendation"]["action"] == "defer"


def test_a_preliminary_low_count_holds_treatment_and_a_preliminary_good_one_permits_nothing() -> None:
    only_old = without(request(), "observations", "anc-1")
    low = observation("anc", Decimal("0.4"), "10*9/L", id="anc-low", status="preliminary")
    good = observation("anc", Decimal("2.4"), "10*9/L", id="anc-good", status="preliminary")

    assert judged(with_resources(only_old, low))["recommendation"]["action"] == "hold"
    assert judged(with_resources(only_old, good))["recommendation"]["action"] == "defer"


# --- Panels ----------------------------------------------------------------------------------------------------------


def test_components_of_a_panel_are_results_of_the_panels_day() -> None:
    panel = observation(
        "58410-2",
        component=[
            _component("26499-4", 2.4, "10*9/L"),
            _component("777-3", 180, "10*3/uL"),
            _component("30395-8", 90, "%"),
            {"code": coded(LOINC, "6690-2"), "dataAbsentReason": {"text": "clotted"}},
        ],
    )

    read = snapshot(panel)

    assert [(result.value, result.day, result.reference) for result in read.of("anc")] == [
        (Decimal("2.4"), date(2024, 5, 15), OBSERVATION)
    ]
    assert [result.value for result in read.of("platelets")] == [180]
    assert [item.token for item in read.unread] == ["wbc"]


def test_a_single_component_object_is_read_like_a_list_of_one() -> None:
    assert value_of("anc", observation("58410-2", component=_component("751-8", 2, "10*9/L"))) == 2


def test_one_unreadable_component_costs_only_itself() -> None:
    panel = observation(
        "58410-2", component=[_component("751-8", 2, "foo"), _component("777-3", 150, "10*9/L"), "x", None]
    )

    read = snapshot(panel)

    assert [result.value for result in read.of("platelets")] == [150]
    assert [item.token for item in read.unread] == [None, "anc"]
    assert read.unread[0].why == "a component cannot be read"


def test_the_status_of_a_panel_holds_for_its_components() -> None:
    assert (
        results("anc", observation("58410-2", status="cancelled", component=[_component("751-8", 2, "10*9/L")])) == ()
    )


def test_a_panel_without_values_of_its_own_is_not_unread() -> None:
    members = [{"reference": "Observation/anc-1"}]

    assert reasons(observation("58410-2", hasMember=members)) == {}


def _component(code: str, value: float, unit: str) -> dict[str, Any]:
    return {"code": coded(LOINC, code), "valueQuantity": {"value": value, "unit": unit}}


# --- Which codes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("anc", "751-8"),
        ("anc", "26499-4"),
        ("anc", "753-4"),
        ("platelets", "777-3"),
        ("platelets", "26515-7"),
        ("platelets", "778-1"),
        ("platelets", "49497-1"),
        ("platelets", "13056-7"),
    ],
)
@pytest.mark.parametrize(
    "system", [LOINC, "https://loinc.org", "urn:oid:2.16.840.1.113883.6.1", "LOINC", "http://loinc.org/"]
)
def test_a_listed_code_is_recognised_under_every_name_of_its_system(token: str, code: str, system: str) -> None:
    assert value_of(token, observation(token, 20, "10*9/L", code=coded(system, code))) == 20


def test_every_coding_is_looked_at() -> None:
    local_first = {"coding": [{"system": "urn:oid:1.2.3", "code": "ANC"}, {"system": LOINC, "code": "751-8"}]}

    assert value_of("anc", observation("anc", 2, "10*9/L", code=local_first)) == 2


@pytest.mark.parametrize("code", ["751-8", "777-3", "2160-0"])
def test_a_code_without_system_is_named_and_never_used(code: str) -> None:
    read = snapshot(observation(code, 2, "mg/dL", code=coded(None, code)))

    assert not any(read.results.values())
    assert [item.reference for item in read.unread] == [OBSERVATION]


@pytest.mark.parametrize("words", ["Neutrophils", "ANC", "Absolute neutrophils", "Platelets", "Creatinine"])
def test_a_result_known_by_its_words_only_is_named(words: str) -> None:
    read = snapshot(observation("anc", 2, "10*9/L", code={"text": words}))

    assert not any(read.results.values())
    assert [item.reference for item in read.unread] == [OBSERVATION]


@pytest.mark.parametrize(
    "code",
    [
        "30395-8",
        "34167-7",
        "48386-7",
        "96354-6",
        "53800-9",
        "30406-3",
        "92635-2",
        "11041-1",
        "11042-9",
        "51620-3",
        "51619-5",
        "2161-8",
        "2159-2",
        "44784-7",
        "33863-2",
        "8659-8",
        "80385-6",
        "33944-8",
        "33945-5",
    ],
)
def test_a_look_alike_code_is_never_matched(code: str) -> None:
    assert not any(snapshot(observation(code, 2, "10*9/L")).results.values())
    assert not any(snapshot(observation(code, 2, "mg/dL")).results.values())


@pytest.mark.parametrize(
    "code",
    [
        "2028-9",
        "2106-3",
        "2118-8",
        "2110-5",
        "2112-1",
        "2111-3",
        "2119-6",
        "2160-0",
        "2161-8",
        "2163-4",
        "1742-6",
        "1920-8",
        "1975-2",
        "2056-0",
        "2058-6",
    ],
)
@pytest.mark.parametrize("system", ["urn:oid:2.16.840.1.113883.6.238", f"{HL7}/v3-Race", f"{HL7}/CDCREC"])
def test_a_race_code_is_no_laboratory_code(system: str, code: str) -> None:
    read = snapshot(observation("anc", 1, "mg/dL", code=coded(system, code)))

    assert not any(read.results.values())
    assert read.unread == ()


# --- Plausibility ----------------------------------------------------------------------------------------------------

_LIMITS = [
    ("creatinine", "mg/dL", "0.2", "20", "0.01"),
    ("body-weight", "kg", "25", "300", "0.1"),
    ("body-height", "cm", "90", "250", "0.1"),
    ("anc", "10*9/L", "0", "100", "0.01"),
    ("platelets", "10*9/L", "0", "3000", "1"),
]


@pytest.mark.parametrize(("token", "unit", "low", "high", "step"), _LIMITS)
def test_a_value_at_its_limit_is_used_and_one_beyond_is_not(
    token: str, unit: str, low: str, high: str, step: str
) -> None:
    for inside in (Decimal(low), Decimal(high)):
        assert value_of(token, observation(token, inside, unit)) == inside
    for outside in (Decimal(low) - Decimal(step), Decimal(high) + Decimal(step)):
        read = snapshot(observation(token, outside, unit))
        assert read.of(token) == ()
        assert [item.fault for item in read.unread] == [Fault.IMPLAUSIBLE]


def test_plausibility_is_judged_after_conversion() -> None:
    assert value_of("creatinine", observation("creatinine", 1768, "umol/L")) == 20
    assert results("creatinine", observation("creatinine", 1769, "umol/L")) == ()
    assert results("creatinine", observation("creatinine", 90, "mg/dL")) == ()


# --- Upper limit of normal -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "high", "limit"),
    [
        ("U/L", {"value": 40, "unit": "U/L"}, 40),
        ("U/L", {"value": 40, "unit": "IU/L"}, 40),
        ("U/L", {"value": 40}, 40),
        ("ukat/L", {"value": 1, "unit": "ukat/L"}, 60),
        ("U/L", {"value": 40, "unit": "foo"}, None),
        ("U/L", {"unit": "U/L"}, None),
        ("U/L", {"value": "forty", "unit": "U/L"}, None),
        ("U/L", "40 U/L", None),
    ],
)
def test_the_upper_limit_is_the_one_printed_with_the_result(unit: str, high: object, limit: int | None) -> None:
    (result,) = results("alt", observation("alt", 2, unit, referenceRange=[{"high": high}]))

    assert result.upper_limit == limit


@pytest.mark.parametrize("printed", [None, [], [{"text": "0-40"}], [{"low": {"value": 5, "unit": "U/L"}}], "0-40"])
def test_no_upper_limit_is_ever_assumed(printed: object) -> None:
    (result,) = results("alt", observation("alt", 120, "U/L", referenceRange=printed))

    assert result.upper_limit is None


# --- Others ----------------------------------------------------------------------------------------------------------


def test_a_result_with_an_unknown_modifier_extension_is_unread() -> None:
    modified = observation(
        "anc", 2, "10*9/L", modifierExtension=[{"url": "http://example.org/not", "valueBoolean": True}]
    )

    read = snapshot(modified)

    assert read.of("anc") == ()
    assert [item.reference for item in read.unread] == [OBSERVATION]
