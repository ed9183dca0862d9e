"""The protocol loader: what it refuses, how it says so, and where an inherited number comes from."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from cds import PROTOCOL_IDS, load_protocols
from cds.parameters import Threshold
from cds.protocol import Protocol, read_protocols
from cds.strict_yaml import KnowledgeError
from tests.support.case_files import PROTOCOLS

_AREAS = (
    "dosing",
    "renal",
    "heme",
    "freshness",
    "liver",
    "reactions",
    "supply",
    "reproduction",
    "pregnancy",
    "contraception",
    "vte",
    "interaction",
    "eligibility",
)
_WORDS = {"cite", "note", "basis", "unit"}
_NUMBER = re.compile(r"\d+(\.\d+)?(?=$|/)")
_POLICY = {"unit": "10*9/L", "basis": "policy"}
_DELETE = object()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the protocols that a test may spoil."""
    copy = tmp_path / "protocols"
    shutil.copytree(PROTOCOLS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def _file(folder: Path, owner: str) -> Path:
    return folder / "common.yaml" if owner == "common" else folder / owner / "protocol.yaml"


def _content(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CBaseLoader)  # noqa: S506 -- text only
    return content


def _change(folder: Path, owner: str, path: str, value: object) -> None:
    """Put a value at a dotted path of an owner's file, or delete what stands there."""
    file = _file(folder, owner)
    content = _content(file)
    *parents, last = path.split(".")
    place: Any = content
    for name in parents:
        place = place[int(name)] if isinstance(place, list) else place.setdefault(name, {})
    if value is _DELETE:
        del place[last]
    else:
        place[last] = value
    file.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _problems(folder: Path) -> list[str]:
    with pytest.raises(KnowledgeError) as refusal:
        read_protocols(folder)
    return refusal.value.problems


def _names(problems: list[str], owner: str, *parts: str) -> bool:
    """Whether one problem names the file, by its owner's name, and every part of the path or of the message."""
    return any(
        re.search(rf"(^|/){re.escape(owner)}\b", problem) and all(part in problem for part in parts)
        for problem in problems
    )


_START = "dosing.start_level"
_MISTAKES = {
    "unknown key of a parameter": ("fda-label", "supply.refills.abvoe", "1", ("supply.refills", "abvoe")),
    "unknown key of a renal band": ("fda-label", "renal.bands.value.0.cup", "5/28", ("renal.bands", "cup")),
    "unknown parameter": ("fda-label", "heme.anc_intrrupt", {"below": "0.5", **_POLICY}, ("heme", "anc_intrrupt")),
    "unknown area": ("fda-label", "hemo", {}, ("hemo",)),
    "key that only the loader sets": ("fda-label", f"{_START}.origin", "common", (_START, "origin")),
    "missing unit": ("fda-label", "supply.refills.unit", _DELETE, ("supply.refills", "unit")),
    "missing source": ("fda-label", f"{_START}.cite", _DELETE, (_START, "cite")),
    "empty list of sources": ("fda-label", f"{_START}.cite", [], (_START, "cite")),
    "unknown source": ("fda-label", f"{_START}.cite", ["Z9 2.1"], (_START, "Z9")),
    "citation without a place": ("fda-label", f"{_START}.cite", ["F"], (_START, "place")),
    "unknown basis": ("fda-label", "heme.start_one_low.basis", "hearsay", ("heme.start_one_low", "basis")),
    "two comparators": ("fda-label", "supply.refills.below", "3", ("supply.refills", "exactly one")),
    "no comparator": ("fda-label", "supply.refills.above", _DELETE, ("supply.refills", "exactly one")),
    "limit that is no number": ("fda-label", "supply.refills.above", "none", ("supply.refills", "decimal")),
    "limit that is not finite": ("fda-label", "supply.refills.above", "NaN", ("supply.refills", "finite")),
    "level that is none": ("mskcc", f"{_START}.value", "10", (_START, "10")),
    "level of unknown days": ("mskcc", f"{_START}.value", "10/20", (_START, "20")),
    "parameter that is a bare value": ("mskcc", _START, "10/21", (_START,)),
    "area that is no mapping": ("mskcc", "eligibility", "none", ("eligibility",)),
    "unknown fallback": ("mskcc", "fallback", "nccn", ("fallback", "nccn")),
    "fallback that has a fallback": ("mskcc", "fallback", "review-2020", ("fallback", "review-2020")),
    "fallback on itself": ("mskcc", "fallback", "mskcc", ("fallback",)),
    "id that is not the folder's": ("mskcc", "id", "mskc", ("id", "mskc")),
    "own source that is not listed": ("mskcc", "sources", ["S99"], ("sources", "S99")),
    "start level off the ladder": ("mskcc", f"{_START}.value", "10/28", ("10/28", "ladder")),
    "rung above the maximum": (
        "mskcc",
        "dosing.ladder.value",
        ["15/21", "10/21", "5/21"],
        ("ladder", "15/21", "maximum"),
    ),
    "unknown kind of escalation": ("mskcc", "dosing.escalation.value", "yearly", ("dosing.escalation", "yearly")),
    "unknown schedule of the renal cap": ("mskcc", "renal.cap_schedule.value", "22", ("renal.cap_schedule", "22")),
    "unknown indicator": ("fda-label", "heme.start_one_low.value", "orange", ("heme.start_one_low", "orange")),
    "renal bands that overlap": ("fda-label", "renal.bands.value.1.below", "31", ("renal.bands", "31")),
    "renal bands with a gap": ("fda-label", "renal.bands.value.1.below", "29", ("renal.bands", "29")),
    "resumption below the interruption": (
        "mskcc",
        "heme.anc_resume",
        {"at_least": "0.4", **_POLICY},
        ("heme.anc_resume",),
    ),
    "first pregnancy test without its end": (
        "fda-label",
        "pregnancy.first_test_until",
        _DELETE,
        ("single_first_test",),
    ),
    "one first pregnancy test and two": (
        "fda-label",
        "pregnancy.single_first_test",
        {**_POLICY, "at_most": "3", "unit": "days"},
        ("single_first_test",),
    ),
    "first pregnancy test that ends before it begins": (
        "fda-label",
        "pregnancy.first_test_from.at_least",
        "15",
        ("pregnancy.first_test_from", "first_test_until"),
    ),
    "negative hCG above positive": (
        "mskcc",
        "pregnancy.hcg_negative",
        {**_POLICY, "below": "26", "unit": "mIU/mL"},
        ("hcg_negative", "hcg_positive"),
    ),
    "comparator turned round": (
        "mskcc",
        "contraception.lead",
        {**_POLICY, "at_most": "28", "unit": "days"},
        ("contraception.lead", "at_least"),
    ),
    "method that nobody can name": (
        "fda-label",
        "contraception.additional.value",
        ["male-condon"],
        ("contraception.additional", "male-condon"),
    ),
    "unknown word for breastfeeding": ("fda-label", "pregnancy.breastfeeding.value", "holt", ("breastfeeding", "holt")),
    "definitive stop above the interruption": (
        "revallo",
        "heme.lowest_level_stop_anc.below",
        "0.6",
        ("heme.lowest_level_stop_anc",),
    ),
    "maximum above the ceiling": (
        "mskcc",
        "dosing.maximum_daily_dose.above",
        "16",
        ("dosing.maximum_daily_dose", "ceiling"),
    ),
    "mistake in the common file": ("common", "heme.anc_interrupt.unit", _DELETE, ("heme.anc_interrupt", "unit")),
    "unknown parameter in the common file": ("common", "heme.anc", {"below": "1", **_POLICY}, ("heme", "anc")),
    "unit the rules do not compare with": (
        "common",
        "heme.anc_interrupt.unit",
        "10*6/L",
        ("heme.anc_interrupt", "10*6/L"),
    ),
    "bands in another unit": ("fda-label", "renal.bands.unit", "mL/min/1.73 m2", ("renal.bands", "1.73")),
    "cycles given as years": (
        "fda-label",
        "dosing.escalation_cycles.unit",
        "years",
        ("dosing.escalation_cycles", "years"),
    ),
    "missing parameter": ("common", "heme.anc_interrupt", _DELETE, ("heme.anc_interrupt",)),
}


@pytest.mark.parametrize(("owner", "path", "value", "named"), _MISTAKES.values(), ids=_MISTAKES)
def test_a_mistake_is_refused_with_its_file_and_path(
    folder: Path, owner: str, path: str, value: object, named: tuple[str, ...]
) -> None:
    _change(folder, owner, path, value)

    problems = _problems(folder)

    # What no file gives stands in no file: each protocol lacks it.
    expected = "fda-label" if value is _DELETE and path.count(".") == 1 else owner
    assert _names(problems, expected, *named), problems


def test_a_mistake_is_reported_once_however_many_protocols_inherit_it(folder: Path) -> None:
    _change(folder, "common", "heme.anc_interrupt.unit", _DELETE)

    assert len(_problems(folder)) == 1


@pytest.mark.parametrize("owner", ["common", "fda-label"])
def test_a_duplicate_key_is_refused_with_its_line(folder: Path, owner: str) -> None:
    file = _file(folder, owner)
    text = file.read_text(encoding="utf-8").rstrip()
    file.write_text(f"{text}\nrenal: {{}}\n", encoding="utf-8")

    assert _names(_problems(folder), owner, "renal", "twice", f"line {len(text.splitlines()) + 1}")


@pytest.mark.parametrize("stray", ["nccn/protocol.yaml", "fda-label/protocol.yml", "fda-label/notes.txt", "common.yml"])
def test_a_file_that_the_loader_does_not_know_is_refused(folder: Path, stray: str) -> None:
    (folder / stray).parent.mkdir(exist_ok=True)
    (folder / stray).write_text("id: nccn\n", encoding="utf-8")

    assert _names(_problems(folder), stray.partition("/")[0])


def test_a_protocol_without_its_file_is_refused(folder: Path) -> None:
    _file(folder, "mskcc").unlink()

    assert _names(_problems(folder), "mskcc")


@pytest.mark.parametrize("text", ["", "- a\n- list\n", "heme: [\n", "just words\n"])
def test_a_file_that_is_no_mapping_is_refused(folder: Path, text: str) -> None:
    _file(folder, "mskcc").write_text(text, encoding="utf-8")

    assert _names(_problems(folder), "mskcc")


def test_all_problems_of_all_files_are_listed_at_once(folder: Path) -> None:
    (folder / "notes.txt").write_text("a stray file", encoding="utf-8")
    _change(folder, "common", "heme.anc_interrupt.unit", _DELETE)
    _change(folder, "fda-label", "supply.refills.cite", _DELETE)
    _change(folder, "ema-smpc", "renal.dialysis_cap.cite", ["Z9 4.2"])
    _change(folder, "mskcc", "fallback", "nccn")
    _change(folder, "revallo", "renal.exclusion.abvoe", "1")
    review = _file(folder, "review-2020")
    review.write_text(review.read_text(encoding="utf-8") + "\nrevision: 2\n", encoding="utf-8")

    problems = _problems(folder)

    expected = (
        ("notes.txt",),
        ("common", "heme.anc_interrupt"),
        ("fda-label", "supply.refills"),
        ("ema-smpc", "renal.dialysis_cap"),
        ("mskcc", "fallback"),
        ("revallo", "renal.exclusion"),
        ("review-2020", "revision"),
    )
    assert [parts for parts in expected if not _names(problems, *parts)] == []


def _limit(protocol: Protocol) -> Decimal:
    watch = protocol.parameter("heme.anc_watch")
    assert isinstance(watch, Threshold)
    return watch.value


def test_a_number_is_the_protocols_own_else_its_fallbacks_else_the_common_one(folder: Path) -> None:
    _change(folder, "common", "heme.anc_watch", {"below": "1.0", **_POLICY})
    _change(folder, "fda-label", "heme.anc_watch", {"below": "1.1", **_POLICY})
    _change(folder, "mskcc", "heme.anc_watch", {"below": "1.2", **_POLICY})

    protocols = read_protocols(folder)

    found = {name: (_limit(protocol), protocol.heme.anc_watch.origin) for name, protocol in protocols.items()}
    assert found == {
        "fda-label": (Decimal("1.1"), "fda-label"),
        "ema-smpc": (Decimal("1.0"), "common"),
        "review-2020": (Decimal("1.0"), "common"),
        "mskcc": (Decimal("1.2"), "mskcc"),
        "revallo": (Decimal("1.0"), "common"),
        "weill-cornell": (Decimal("1.1"), "fda-label"),
    }


def test_a_list_is_replaced_whole(folder: Path) -> None:
    _change(folder, "weill-cornell", "dosing.ladder", {"value": ["15/28", "10/28"], "basis": "policy"})

    ladder = read_protocols(folder)["weill-cornell"].dosing.ladder

    assert [str(rung) for rung in ladder.value] == ["15/28", "10/28"]
    assert ladder.cite == ()


@pytest.mark.parametrize(
    ("protocol", "path", "inherited_from"),
    [
        ("fda-label", _START, None),
        ("mskcc", _START, None),
        ("mskcc", "renal.bands", "fda-label"),
        ("weill-cornell", _START, "fda-label"),
        ("review-2020", "heme.start_one_low", "ema-smpc"),
        ("review-2020", "supply.days_other", "ema-smpc"),
        ("revallo", "renal.bands", "ema-smpc"),
        # These stand in the common file and cite F, S4 and EK: one's own where one's own source is among them.
        ("fda-label", "heme.anc_interrupt", None),
        ("ema-smpc", "heme.anc_interrupt", None),
        ("review-2020", "heme.anc_interrupt", None),
        ("mskcc", "heme.anc_interrupt", "fda-label"),
        ("weill-cornell", "heme.anc_interrupt", "fda-label"),
        ("revallo", "heme.anc_interrupt", "ema-smpc"),
        # The common age limit cites the trial's own record.
        ("revallo", "eligibility.child", None),
        # Policy of the product is nobody's.
        ("mskcc", "dosing.gap_unknown", None),
    ],
)
def test_an_inherited_number_knows_whose_it_is(protocol: str, path: str, inherited_from: str | None) -> None:
    parameter = load_protocols()[protocol].parameter(path)

    assert parameter is not None
    assert parameter.inherited_from == inherited_from


def test_every_number_is_read_exactly_as_it_is_written() -> None:
    protocols = load_protocols()
    written = {
        (owner, f"{area}.{name}"): entry
        for owner in ("common", *PROTOCOL_IDS)
        for area, section in _content(_file(PROTOCOLS, owner)).items()
        if area in _AREAS
        for name, entry in section.items()
    }

    read = [
        (owner, path, text, number)
        for protocol in protocols.values()
        for path, parameter in protocol.parameters()
        for owner in (parameter.origin,)
        for text, number in _numbers(written[owner, path], parameter)
    ]

    # A Decimal prints the digits it was read from; a float would not keep 1.0 and 0.1 + 0.2 apart from their neighbours.
    assert [row for row in read if str(row[3]) != row[2] or isinstance(row[3], float)] == []
    assert {(owner, path) for owner, path, *_ in read} > {
        ("common", "heme.anc_interrupt"),
        ("fda-label", "renal.bands"),
    }


def _numbers(written: object, read: Any) -> Iterator[tuple[str, object]]:
    """Every number of an entry as it is written, beside what was read from it."""
    if isinstance(written, Mapping):
        for key, value in written.items():
            if key not in _WORDS:
                yield from _numbers(value, read[key] if isinstance(read, Mapping) else getattr(read, key))
    elif isinstance(written, list):
        for value, item in zip(written, read, strict=True):
            yield from _numbers(value, item)
    elif (number := _NUMBER.match(str(written))) is not None:
        yield number[0], getattr(read, "dose_mg", read)
