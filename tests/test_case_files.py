"""The reader of case files: cases start from the baseline, and whatever is wrong is named with file and case."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.case import Case
from tests.support.case_files import CaseFileError, load_cases

_BASELINE = """\
baseline:
  now: 2024-09-04T09:00:00
  patient: {birth_date: 1966-02-01, sex: male}
  labs:
    anc: [{value: 2.4, unit: 10*9/L}]
    platelets: [{value: 180, unit: 10*9/L}]
  history: []
  draft: {dose_mg: 10, schedule_days: 28, days_supply: 28, refills: 0}
histories:
  two-cycles: [{dose_mg: 10, schedule_days: 28, start: 2024-07-10, orders: 2}]
cases:
"""
_CASE = "- {id: plain, title: t, rule: trap-1, expect: {action: hold}%s}\n"


def _load(folder: Path, *cases: str) -> list[tuple[str, Case]]:
    file = folder / "fda-label" / "cases.yaml"
    file.parent.mkdir()
    file.write_text(_BASELINE + "".join(cases), encoding="utf-8")
    return load_cases(folder)


def test_a_case_names_only_what_differs_from_the_baseline(tmp_path: Path) -> None:
    changes = ", labs: {anc: [{value: 0.49}]}, patient: {sex: female}, draft: {dose_mg: 5}, history: two-cycles"

    ((protocol, case),) = _load(tmp_path, _CASE % changes)

    assert protocol == "fda-label"
    assert (case.patient.birth_date, case.patient.sex) == ("1966-02-01", "female")
    assert (case.labs["anc"][0].value, case.labs["anc"][0].unit) == (Decimal("0.49"), "10*9/L")
    assert case.labs["platelets"][0].value == 180
    assert (case.drafts[0].dose_mg, case.drafts[0].days_supply) == (Decimal(5), 28)
    assert case.history[0].orders == 2


def test_every_one_of_several_drafts_starts_from_the_baseline(tmp_path: Path) -> None:
    ((_, case),) = _load(tmp_path, _CASE % ", drafts: [{dose_mg: 5}, {refills: null}]")

    assert [(draft.dose_mg, draft.refills) for draft in case.drafts] == [(Decimal(5), 0), (Decimal(10), None)]


def test_an_empty_list_of_readings_and_a_null_unit_are_kept(tmp_path: Path) -> None:
    ((_, case),) = _load(tmp_path, _CASE % ", labs: {anc: [], platelets: [{value: 90, unit: null}]}")

    assert case.labs["anc"] == ()
    assert case.labs["platelets"][0].unit is None


_NO_LEVEL = "- {id: plain, title: t, rule: trap-1, expect: {action: proceed}}\n"


@pytest.mark.parametrize(
    ("cases", "problem"),
    [
        (_CASE % ", lab: {}", "plain: lab: Extra inputs are not permitted"),
        (_CASE % ", labs: {anc: [{vlaue: 1}]}", "plain: labs.anc.0.vlaue: Extra inputs are not permitted"),
        (_CASE % ", labs: {alt: [{value: 1}]}", "plain: labs.alt.0: Value error, needs a unit"),
        (_CASE % ", history: ten-cycles", "plain: history: no history is named 'ten-cycles'"),
        (_CASE % ", draft: {}, drafts: []", "plain: draft and drafts exclude each other"),
        (_CASE % ", now: 2024-09-04T09:00:00, now: 2024-09-05T09:00:00", "plain now: stands twice"),
        (_CASE % "" + _CASE % "", "plain: id stands twice"),
        (_NO_LEVEL, "plain: expect: Value error, level goes with proceed and modify"),
    ],
)
def test_a_mistake_is_named_with_file_and_case(tmp_path: Path, cases: str, problem: str) -> None:
    with pytest.raises(CaseFileError) as error:
        _load(tmp_path, cases)

    assert f"fda-label/cases.yaml: {problem}" in str(error.value)


@pytest.mark.parametrize("protocols", ["", "protocols: []\n", "protocols: [fda-label, nccn]\n"])
def test_shared_cases_that_no_known_protocol_runs_are_refused(protocols: str, tmp_path: Path) -> None:
    (tmp_path / "cases-shared.yaml").write_text(protocols + _BASELINE + _CASE % "", encoding="utf-8")

    with pytest.raises(CaseFileError, match=r"cases-shared\.yaml: protocols: expected some of fda-label"):
        load_cases(tmp_path)


def test_shared_cases_run_under_each_protocol_they_name(tmp_path: Path) -> None:
    text = "protocols: [fda-label, mskcc]\n" + _BASELINE + _CASE % ""
    (tmp_path / "cases-shared.yaml").write_text(text, encoding="utf-8")

    assert [protocol for protocol, _ in load_cases(tmp_path)] == ["fda-label", "mskcc"]
