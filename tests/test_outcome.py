"""The comparison that every clinical case relies on: it passes what is met and names all that is not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.case import Expectation
from tests.support.outcome import assert_as_expected

Json = dict[str, Any]

_RESPONSE: Json = {
    "cards": [],
    "extension": {
        "org.lenalidomide-maintenance.evaluation": {
            "drafts": [
                {
                    "recommendation": {
                        "action": "hold",
                        "level": None,
                        "resume_at": {"dose_mg": 5.0, "schedule_days": 28},
                        "reasons": ["heme.anc-interrupt"],
                    },
                    "findings": [
                        {"id": "heme.anc-interrupt", "indicator": "critical", "outcome": "fired"},
                        {"id": "renal.unknown", "indicator": "warning", "outcome": "unknown"},
                    ],
                    "facts": {"crcl_ml_min": 91.1, "current_level": {"dose_mg": 10, "schedule_days": 28}},
                }
            ]
        }
    },
}
_MET: Json = {
    "action": "hold",
    "resume_at": "5/28",
    "fires": {"heme.anc-interrupt": "critical"},
    "silent": ["heme.plt-interrupt"],
    "unknown": ["renal.unknown"],
    "facts": {"crcl_ml_min": "91.1", "current_level": "10/28"},
}


def _compare(expect: Json, response: Json = _RESPONSE) -> None:
    assert_as_expected("fda-label/a-case: A case", Expectation.model_validate(expect), response)


def test_expectations_that_are_met_pass() -> None:
    _compare(_MET)


@pytest.mark.parametrize(
    ("change", "mismatch"),
    [
        ({"action": "defer"}, "action: expected defer, got hold"),
        ({"action": "modify", "level": "5/28"}, "level: expected 5/28, got None"),
        ({"resume_at": None}, "resume_at: expected None, got 5/28"),
        ({"fires": {"heme.anc-interrupt": "warning"}}, "heme.anc-interrupt: expected warning, got critical"),
        ({"fires": {"renal.unknown": "warning"}}, "renal.unknown: expected warning, got silence"),
        ({"silent": ["heme.anc-interrupt"]}, "heme.anc-interrupt: expected silence, got critical"),
        ({"unknown": ["heme.anc-interrupt"]}, "heme.anc-interrupt: expected to be reported as unknown"),
        ({"facts": {"crcl_ml_min": "91.2"}}, "facts.crcl_ml_min: expected 91.2, got 91.1"),
        ({"facts": {"current_level": "5/28"}}, "facts.current_level: expected 5/28, got 10/28"),
    ],
)
def test_an_expectation_that_is_not_met_is_named(change: Json, mismatch: str) -> None:
    with pytest.raises(pytest.fail.Exception, match=mismatch):
        _compare({**_MET, **change})


def test_a_rule_that_could_not_be_evaluated_fails_every_case() -> None:
    crashed = {"id": "heme.floor", "indicator": "warning", "outcome": "failed"}
    draft = _RESPONSE["extension"]["org.lenalidomide-maintenance.evaluation"]["drafts"][0]
    explained = {"drafts": [{**draft, "findings": [*draft["findings"], crashed]}]}
    response = {"cards": [], "extension": {"org.lenalidomide-maintenance.evaluation": explained}}

    with pytest.raises(pytest.fail.Exception, match=r"heme\.floor: could not be evaluated"):
        _compare(_MET, response)
