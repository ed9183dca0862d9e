"""The worked vignettes and whole example requests that lie beside the checkout, where they do."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hooks import answer
from tests.support.case import Case
from tests.support.outcome import assert_as_expected
from tests.support.request_builder import build_request
from tests.support.vignettes import load_vignettes

_EXAMPLES = Path(__file__).parents[2] / "shared" / "examples"
_VIGNETTES = list(load_vignettes(_EXAMPLES / "vignettes.yaml")) if _EXAMPLES.is_dir() else []
_BY_ID = {case.id: (protocol, case) for protocol, case in _VIGNETTES}
_REQUESTS = sorted((_EXAMPLES / "requests").glob("*.json"))

pytestmark = pytest.mark.skipif(not _EXAMPLES.is_dir(), reason="no worked examples beside this checkout")


@pytest.mark.parametrize(("protocol", "case"), _VIGNETTES, ids=list(_BY_ID))
def test_vignette_is_answered_as_worked_out(protocol: str, case: Case) -> None:
    _assert_answered(protocol, case, build_request(case))


@pytest.mark.parametrize("file", _REQUESTS, ids=[file.stem for file in _REQUESTS])
def test_example_request_is_answered_as_worked_out(file: Path) -> None:
    protocol, case = _BY_ID[file.stem]
    _assert_answered(protocol, case, json.loads(file.read_text(encoding="utf-8"), parse_float=Decimal))


def _assert_answered(protocol: str, case: Case, request: dict[str, Any]) -> None:
    response = answer(request, now=case.now, protocol=protocol, explain=True)
    assert_as_expected(f"{case.id}: {case.title}", case.expect, response)
