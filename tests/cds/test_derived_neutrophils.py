"""Laboratory results: neutrophils where a laboratory reports only parts of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.fhir import (
    judged,
    observation,
    request,
    results,
    with_resources,
    without,
)

# --- Derived neutrophils ---------------------------------------------------------------------------------------------


def _derived(*resources: dict[str, Any]) -> list[tuple[Decimal, str | None]]:
    return [
        (result.value, result.measurement.comparator)
        for result in results("anc", *resources)
        if result.measurement is not None
    ]


@pytest.mark.parametrize("percent", ["770-8", "26511-6", "23761-0"])
@pytest.mark.parametrize("leukocytes", ["6690-2", "26464-8", "804-5", "12227-5", "33256-9"])
def test_neutrophils_are_derived_from_leukocytes_and_percentage(percent: str, leukocytes: str) -> None:
    derived = results(
        "anc", observation(leukocytes, 4, "10*9/L"), observation(percent, Decimal("12.5"), "%", id="percent")
    )

    assert [(result.value, result.note) for result in derived] == [(Decimal("0.5"), "derived from leukocytes")]


def test_corrected_leukocytes_go_before_uncorrected_ones() -> None:
    counts = observation("6690-2", 4, "10*9/L"), observation("12227-5", 2, "10*9/L", id="corrected")

    assert _derived(*counts, observation("770-8", 50, "%", id="percent")) == [(Decimal(1), None)]


def test_segmented_and_band_percentages_add_up() -> None:
    parts = (
        observation("6690-2", 4, "10*9/L"),
        observation("26505-8", 20, "%", id="segs"),
        observation("26508-2", 5, "%", id="bands"),
    )

    assert _derived(*parts) == [(Decimal(1), None)]


def test_segmented_and_band_counts_add_up() -> None:
    parts = (
        observation("30451-9", Decimal("0.7"), "10*9/L"),
        observation("26507-4", Decimal("0.2"), "10*9/L", id="bands"),
    )

    assert _derived(*parts) == [(Decimal("0.9"), None)]


@pytest.mark.parametrize(
    "parts",
    [
        (observation("30451-9", Decimal("0.7"), "10*9/L"),),
        (observation("6690-2", 7, "10*9/L"), observation("26505-8", 10, "%", id="segs")),
    ],
)
def test_segmented_forms_alone_are_a_lower_bound(parts: tuple[dict[str, Any], ...]) -> None:
    assert _derived(*parts) == [(Decimal("0.7"), ">=")]


def test_segmented_forms_alone_may_permit_but_never_hold() -> None:
    bare = without(request(), "observations", "anc-1")
    enough = observation("30451-9", Decimal("1.0"), "10*9/L", id="segs")
    too_few = observation("30451-9", Decimal("0.4"), "10*9/L", id="segs")

    assert judged(with_resources(bare, enough))["recommendation"]["action"] == "proceed"
    assert judged(with_resources(bare, too_few))["recommendation"]["action"] == "defer"


@pytest.mark.parametrize(
    "parts",
    [
        (observation("26507-4", 1, "10*9/L"),),
        (observation("770-8", 50, "%"),),
        (observation("6690-2", 4, "10*9/L"),),
        (observation("6690-2", 4, "10*9/L"), observation("26508-2", 5, "%", id="bands")),
        (observation("6690-2", 4, "10*9/L"), observation("30395-8", 50, "%", id="granulocytes")),
        (
            observation("6690-2", 4, "10*9/L"),
            observation("770-8", 50, "%", id="percent", effectiveDateTime="2024-05-14"),
        ),
        (observation("6690-2", 4, "10*9/L"), observation("770-8", 50, "%", id="percent", status="cancelled")),
    ],
)
def test_neutrophils_are_not_derived_from_parts_that_do_not_belong_together(parts: tuple[dict[str, Any], ...]) -> None:
    assert _derived(*parts) == []


def test_one_specimen_links_results_of_different_times_and_two_specimens_part_those_of_one() -> None:
    def of(specimen: str, code: str, value: int, unit: str, **more: Any) -> dict[str, Any]:
        return observation(code, value, unit, id=code, specimen={"reference": f"Specimen/{specimen}"}, **more)

    count = of("a", "6690-2", 4, "10*9/L")

    assert _derived(count, of("a", "770-8", 50, "%", effectiveDateTime="2024-05-14")) == [(Decimal(2), None)]
    assert _derived(count, of("b", "770-8", 50, "%")) == []


def test_a_measured_count_goes_before_a_derived_one_of_the_same_time() -> None:
    parts = observation("6690-2", 4, "10*9/L"), observation("770-8", 50, "%", id="percent")

    assert _derived(*parts, observation("751-8", 3, "10*9/L", id="anc")) == [(Decimal(3), None)]


def test_a_preliminary_part_makes_a_preliminary_whole() -> None:
    parts = (
        observation("6690-2", 4, "10*9/L", status="preliminary"),
        observation("770-8", 50, "%", id="percent"),
    )

    (result,) = results("anc", *parts)

    assert result.only_against


@pytest.mark.parametrize("code", ["30451-9", "768-2"])
def test_a_bound_on_segmented_forms_proves_no_lower_bound(code: str) -> None:
    below = {"value": Decimal("0.5"), "unit": "10*9/L", "comparator": "<"}
    bands = observation("26507-4", Decimal("0.1"), "10*9/L", id="bands")

    assert _derived(observation(code, valueQuantity=below)) == []
    assert _derived(observation(code, valueQuantity=below), bands) == [(Decimal("0.6"), "<")]


def test_a_bound_on_a_percentage_stays_a_bound() -> None:
    below = {"value": 10, "unit": "%", "comparator": "<"}
    parts = observation("6690-2", 4, "10*9/L"), observation("770-8", valueQuantity=below, id="percent")

    assert _derived(*parts) == [(Decimal("0.4"), "<")]


@pytest.mark.parametrize(
    "parts",
    [
        (observation("30451-9", 101, "10*9/L"), observation("26507-4", 1, "10*9/L", id="bands")),
        (observation("30451-9", 101, "10*9/L"),),
        (observation("30451-9", Decimal(-1), "10*9/L"),),
        (observation("6690-2", 400, "10*9/L"), observation("770-8", 50, "%", id="percent")),
        (observation("6690-2", 4, "10*9/L"), observation("770-8", 101, "%", id="percent")),
        (observation("6690-2", 4, "10*9/L"), observation("770-8", -1, "%", id="percent")),
    ],
)
def test_an_implausible_derived_count_is_not_used(parts: tuple[dict[str, Any], ...]) -> None:
    assert _derived(*parts) == []
