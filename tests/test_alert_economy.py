"""Silence is the normal answer: a well-managed patient gets no card."""

from __future__ import annotations

import pytest

from hooks import answer
from tests.support.case import Case
from tests.support.renewals import ordinary_renewals
from tests.support.request_builder import build_request

_RENEWALS = list(ordinary_renewals())
_AT_LEAST = 30


def test_there_are_enough_different_patients_and_all_protocols() -> None:
    assert len({case.id for _, case in _RENEWALS}) >= _AT_LEAST
    assert len({protocol for protocol, _ in _RENEWALS}) == 6


@pytest.mark.parametrize("hook", ["order-select", "order-sign", "patient-view"])
@pytest.mark.parametrize(("protocol", "case"), _RENEWALS, ids=[f"{protocol}/{case.id}" for protocol, case in _RENEWALS])
def test_an_ordinary_renewal_gets_no_card(protocol: str, case: Case, hook: str) -> None:
    request = build_request(case.model_copy(update={"hook": hook}))
    answered = answer(request, now=case.now, protocol=protocol, explain=True)
    (draft,) = answered["extension"]["org.lenalidomide-maintenance.evaluation"]["drafts"]
    assert hook == "patient-view" or draft["recommendation"]["action"] == "proceed", draft
    assert [(card["indicator"], card["summary"], card["detail"]) for card in answered["cards"]] == []
