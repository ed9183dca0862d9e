"""What must hold for any patient: no aspirin where something forbids it or is not known, no score that hides what it misses."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.answers import judge
from tests.support.case import Allergy, Case, Condition, Medication, Reading
from tests.support.case_files import load_cases
from tests.support.fixtures import EVALUATION, Json
from tests.support.request_builder import build_request

_CASES = [(protocol, case) for protocol, case in load_cases() if case.hook == "order-sign"]
_SEARCHED = ("conditions", "procedures", "medications", "allergies", "observations")
any_case = st.sampled_from(_CASES)
thorough = settings(max_examples=150, deadline=None)


def _with_condition(code: str) -> dict[str, Any]:
    return {"conditions": (Condition(code="multiple-myeloma"), Condition(code=code, onset="2024-08-01"))}


_FORBIDS: dict[str, dict[str, Any]] = {
    "bleeding": _with_condition("bleeding"),
    "intracranial bleed": _with_condition("intracranial-bleeding"),
    "bleeding disorder": _with_condition("haemorrhagic-disorder"),
    "earlier thrombosis": _with_condition("vte-history"),
    "few platelets": {"platelets": "49"},
    "allergy": {"allergies": (Allergy(code="aspirin"),)},
    "anticoagulant": {"medications": (Medication(code="apixaban", dose="5 mg twice daily"),)},
    "other antiplatelet": {"medications": (Medication(code="clopidogrel", dose="75 mg once daily"),)},
    "aspirin": {"medications": (Medication(code="aspirin", dose="81 mg once daily"),)},
    "diagnoses withheld": {"withheld": ("conditions",)},
    "allergies withheld": {"withheld": ("allergies",)},
    "orders withheld": {"withheld": ("medications",)},
    "counts withheld": {"withheld": ("observations",)},
}


def _changed(case: Case, changes: dict[str, Any]) -> Case:
    changes = dict(changes)
    platelets = changes.pop("platelets", None)
    if platelets is not None:
        few = Reading.model_validate({"value": platelets, "unit": "10*9/L"})
        changes["labs"] = {**case.labs, "platelets": (few,)}
    return case.model_copy(update=changes)


def _offers_aspirin(answered: Json) -> bool:
    return any("aspirin" in offer["label"] for card in answered["cards"] for offer in card.get("suggestions", []))


@thorough
@given(any_case, st.sampled_from(sorted(_FORBIDS)))
def test_aspirin_is_never_offered_where_something_forbids_it_or_is_not_known(
    named: tuple[str, Case], forbids: str
) -> None:
    protocol, case = named
    changed = _changed(case.model_copy(update={"medications": ()}), _FORBIDS[forbids])
    assert not _offers_aspirin(judge(build_request(changed), case.now, protocol))


def _scores(case: Case, protocol: str) -> list[tuple[int, int]]:
    drafts = judge(build_request(case), case.now, protocol)["extension"][EVALUATION]["drafts"]
    return [
        (draft["facts"][name]["low"], draft["facts"][name]["high"]) for draft in drafts for name in ("impede", "saved")
    ]


@thorough
@given(any_case, st.sets(st.sampled_from(_SEARCHED), min_size=1))
def test_a_score_with_data_withheld_is_a_range_that_holds_the_score_with_them(
    named: tuple[str, Case], withheld: set[str]
) -> None:
    protocol, case = named
    whole = _scores(case, protocol)
    partial = _scores(case.model_copy(update={"withheld": tuple(sorted({*case.withheld, *withheld}))}), protocol)
    assert all(low <= high for low, high in (*whole, *partial))
    assert all(less[0] <= all_[0] and all_[1] <= less[1] for less, all_ in zip(partial, whole, strict=True))
