"""The terminology files hold together: check digits, no code with two meanings, no unit with two factors."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from cds.protocol_areas import CONTRACEPTIVE_METHODS
from cds.terminology import load_terminology

TERMINOLOGY = Path(__file__).parents[2] / "cds" / "terminology"
FILES = sorted(path.name for path in TERMINOLOGY.glob("*.yaml"))
CODED = [name for name in FILES if name not in ("systems.yaml", "units.yaml", "timing.yaml", "programme.yaml")]
# Files that are looked up as one.
JOINED = [("conditions.yaml", "indications.yaml", "reactions.yaml"), ("answers.yaml", "responses.yaml")]

Pair = tuple[str, str]
Entries = dict[str, dict[str, Any]]


@cache
def entries(name: str) -> Entries:
    text = (TERMINOLOGY / name).read_text(encoding="utf-8")
    loaded: Entries = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - this loader builds nothing but text
    return loaded


@cache
def systems() -> frozenset[str]:
    return frozenset(entries("systems.yaml"))


def pairs(by_system: dict[str, Any]) -> Iterator[Pair]:
    """(system, code) of a block whose keys are systems; its other keys (a strength) hold no codes."""
    for system in systems() & by_system.keys():
        for code in by_system[system]:
            yield system, code


def matched(entry: dict[str, Any]) -> Iterator[Pair]:
    """Everything by which an entry is recognised."""
    for part in ("codes", "families", "ingredient"):
        yield from pairs(entry.get(part, {}))
    for product in entry.get("products", []):
        yield from pairs(product)
    for family in entry.get("atc_families", []):
        yield "atc", family


def refused(entry: dict[str, Any]) -> Iterator[Pair]:
    yield from pairs(entry.get("not", {}))


def every_code(*wanted: str) -> list[str]:
    return sorted(
        {
            code
            for name in CODED
            for entry in entries(name).values()
            for system, code in (*matched(entry), *refused(entry))
            if system in wanted
        }
    )


def luhn(code: str) -> bool:
    digits = [int(digit) for digit in reversed(code.replace("-", ""))]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[0::2]) + sum(doubled)) % 10 == 0


def verhoeff(code: str) -> bool:
    """Verhoeff's check: the dihedral group of the pentagon, and a permutation applied once per place."""
    permutation = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
    check = 0
    for place, character in enumerate(reversed(code)):
        digit = int(character)
        for _ in range(place % 8):
            digit = permutation[digit]
        check = multiply_dihedral(check, digit)
    return check == 0


def multiply_dihedral(left: int, right: int) -> int:
    turn = (left + right if left < 5 else left - right) % 5
    return turn if (left < 5) == (right < 5) else turn + 5


@pytest.mark.parametrize("code", ["751-8", "2160-0", "80385-8"])
def test_luhn_accepts_real_loinc_codes(code: str) -> None:
    assert luhn(code)


@pytest.mark.parametrize("code", ["8659-8", "80385-6", "33944-8", "33945-5"])
def test_luhn_refuses_the_misprints_of_public_code(code: str) -> None:
    assert not luhn(code)


@pytest.mark.parametrize("code", ["109989006", "73211009", "22298006"])
def test_verhoeff_accepts_real_snomed_ids_and_no_neighbour(code: str) -> None:
    assert verhoeff(code)
    assert not any(verhoeff(code[:-1] + digit) for digit in "0123456789" if digit != code[-1])


def test_every_loinc_code_has_a_valid_check_digit() -> None:
    observations = [code for code in every_code("loinc") if not code.startswith("LA")]
    assert observations
    assert [code for code in observations if not luhn(code)] == []


def test_every_snomed_and_dmd_id_has_a_valid_check_digit() -> None:
    ids = every_code("snomed", "dmd")
    assert ids
    assert [code for code in ids if not verhoeff(code)] == []


@pytest.mark.parametrize("name", FILES)
def test_no_key_stands_twice_in_one_mapping(name: str) -> None:
    """PyYAML keeps the last of two equal keys without a word."""

    def repeated(node: yaml.Node | None) -> Iterator[str]:
        if isinstance(node, yaml.MappingNode):
            keys = Counter(key.value for key, _ in node.value)
            yield from (f"{key} in line {node.start_mark.line + 1}" for key, times in keys.items() if times > 1)
            for _, value in node.value:
                yield from repeated(value)
        elif isinstance(node, yaml.SequenceNode):
            for item in node.value:
                yield from repeated(item)

    text = (TERMINOLOGY / name).read_text(encoding="utf-8")
    assert list(repeated(yaml.compose(text, yaml.BaseLoader))) == []


@pytest.mark.parametrize("name", CODED)
def test_every_block_of_codes_names_a_known_system(name: str) -> None:
    listed = entries(name).values()
    blocks = [entry.get(part, {}) for entry in listed for part in ("codes", "families", "ingredient", "not")]
    products = [product for entry in listed for product in entry.get("products", [])]
    assert {key for block in blocks + products for key in block} - {"strength_mg"} - systems() == set()


@pytest.mark.parametrize("name", CODED)
def test_no_code_has_two_meanings(name: str) -> None:
    times = Counter(pair for entry in entries(name).values() for pair in matched(entry))
    assert [pair for pair, n in times.items() if n > 1] == []


@pytest.mark.parametrize("name", CODED)
def test_no_code_is_both_matched_and_refused(name: str) -> None:
    assert {token for token, entry in entries(name).items() if {*matched(entry)} & {*refused(entry)}} == set()


@pytest.mark.parametrize("names", JOINED)
def test_files_looked_up_as_one_share_no_token_and_no_code(names: tuple[str, ...]) -> None:
    listed = [item for name in names for item in entries(name).items()]
    tokens = Counter(token for token, _ in listed)
    codes = Counter(pair for _, entry in listed for pair in matched(entry))
    assert [key for key, n in (*tokens.items(), *codes.items()) if n > 1] == []


@pytest.mark.parametrize("names", JOINED)
def test_no_string_answers_twice(names: tuple[str, ...]) -> None:
    times = Counter(
        s.casefold() for name in names for entry in entries(name).values() for s in entry.get("strings", [])
    )
    assert [string for string, n in times.items() if n > 1] == []


def test_no_uri_names_two_systems() -> None:
    times = Counter(uri for system in entries("systems.yaml").values() for uri in (system["uri"], *system["also"]))
    assert [uri for uri, n in times.items() if n > 1] == []


def test_every_quantity_has_its_units() -> None:
    quantities = {entry["quantity"] for entry in entries("observations.yaml").values() if "quantity" in entry}
    assert quantities - entries("units.yaml").keys() == set()


@pytest.mark.parametrize("quantity", entries("units.yaml"))
def test_every_unit_has_one_factor(quantity: str) -> None:
    units = entries("units.yaml")[quantity]
    times = Counter(string.casefold() for accepted in units["accepted"] for string in accepted["strings"])
    assert [string for string, n in times.items() if n > 1] == []


@pytest.mark.parametrize("quantity", entries("units.yaml"))
def test_every_factor_is_one_positive_number_and_the_canonical_unit_has_factor_one(quantity: str) -> None:
    units = entries("units.yaml")[quantity]
    factors = [accepted.keys() & {"multiply", "divide"} for accepted in units["accepted"]]
    assert [len(factor) for factor in factors] == [1] * len(factors)
    assert all(Decimal(accepted[key]) > 0 for accepted, (key,) in zip(units["accepted"], factors, strict=True))
    assert [block["multiply"] for block in units["accepted"] if units["canonical"] in block["strings"]] == ["1"]


@pytest.mark.parametrize("quantity", entries("units.yaml"))
def test_case_sensitive_strings_are_accepted_strings(quantity: str) -> None:
    units = entries("units.yaml")[quantity]
    accepted = {string for block in units["accepted"] for string in block["strings"]}
    assert set(units.get("case_sensitive", [])) <= accepted


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("Mantle cell lymphoma, stage III", "mantle-cell-lymphoma"),
        ("Follicular non-Hodgkin's lymphoma", "follicular-lymphoma"),
        ("Follicular lymphoma (malignant lymphoma)", "follicular-lymphoma"),
        ("Refractory marginal zone lymphoma", "marginal-zone-lymphoma"),
        ("Hodgkin lymphoma", "lymphoma"),
        ("MDS", "myelodysplastic-syndrome"),
        ("Relapsed and refractory multiple myeloma", "multiple-myeloma"),
        ("Refractory heart failure", "heart-failure"),
    ],
)
def test_a_narrow_entry_is_not_hidden_by_a_wide_word(text: str, token: str) -> None:
    assert load_terminology().conditions_named_in(text)[0] == token


def test_grades_are_those_of_ctcae_in_every_system() -> None:
    grades = entries("grades.yaml")
    assert [*grades] == ["1", "2", "3", "4", "5"]
    assert {len(block) for grade in grades.values() for block in grade["codes"].values()} == {1}
    for system in ("ctcae-grade", "mii-ctcae-grade"):
        assert [code for grade in grades.values() for code in grade["codes"][system]] == [*grades]


def test_every_timing_code_is_a_frequency_in_a_period() -> None:
    for entry in entries("timing.yaml").values():
        assert entry.keys() == {"frequency", "period", "period_unit", "meaning"}
        assert int(entry["frequency"]) > 0
        assert int(entry["period"]) > 0
        assert entry["period_unit"] in ("h", "d", "wk", "mo")


@pytest.mark.parametrize(
    ("orderable", "result"),
    [("cbc", "cbc-panel"), ("creatinine", "creatinine"), ("body-weight", "body-weight"), ("pregnancy-test", "hcg")],
)
def test_the_result_of_an_order_is_read(orderable: str, result: str) -> None:
    ((code, display),) = entries("orderables.yaml")[orderable]["codes"]["loinc"].items()
    assert entries("observations.yaml")[result]["codes"]["loinc"][code] == display


def test_lenalidomide_products_are_those_of_rxnorm() -> None:
    """A suggestion orders one of these; 7.5 mg is only in dm+d."""
    products = load_terminology().products["lenalidomide"]
    assert {str(strength) for strength, codes in products.items() if "rxnorm" in codes} == {
        "2.5",
        "5",
        "10",
        "15",
        "20",
        "25",
    }


def test_a_dmd_id_carries_its_strength_under_the_snomed_uri() -> None:
    terminology = load_terminology()
    coding = terminology.coding({"system": "http://snomed.info/sct", "code": "29894711000001101"})
    assert coding is not None
    drug = terminology.drug([coding])
    assert drug is not None
    assert (drug.token, drug.strength_mg) == ("lenalidomide", Decimal("7.5"))


def test_a_drug_that_is_a_contraceptive_names_a_method_that_rules_know() -> None:
    named = {entry["contraceptive"] for entry in entries("drugs.yaml").values() if "contraceptive" in entry}

    assert named
    assert named <= CONTRACEPTIVE_METHODS


def test_devices_are_methods_that_rules_know() -> None:
    assert entries("devices.yaml").keys() <= CONTRACEPTIVE_METHODS
