"""The clinical cases beside the protocols: each is sent as a whole request and must be answered as its author says."""

from __future__ import annotations

import pytest

from hooks import answer
from tests.support.case import Case
from tests.support.case_files import load_cases
from tests.support.outcome import assert_as_expected
from tests.support.request_builder import build_request

_CASES = load_cases()


@pytest.mark.parametrize(("protocol", "case"), _CASES, ids=[f"{protocol}/{case.id}" for protocol, case in _CASES])
def test_case_is_answered_as_its_author_says(protocol: str, case: Case) -> None:
    response = answer(build_request(case), now=case.now, protocol=protocol, explain=True)

    assert_as_expected(f"{protocol}/{case.id}: {case.title}", case.expect, response)
