"""A rule that fails is itself a visible finding, is logged without patient data, and hides nothing else."""

from __future__ import annotations

import dataclasses
import json
import logging

import pytest

from cds import DEFAULT_PROTOCOL, evaluation, load_protocols, rules
from cds.case import Case
from cds.rules import RULES, Report
from hooks.app import create_app
from hooks.settings import Settings
from tests.support.fixtures import EVALUATION, REQUESTS, Json, load

_SECRET = "Mrs Example, born 1958"  # stands for what an exception's message may repeat


def _fails(case: Case) -> Report | None:
    raise ValueError(f"{_SECRET} {case.age}")


def _asked(name: str) -> Json:
    client = create_app(Settings(explain=True)).test_client()
    body = (REQUESTS / f"{name}.json").read_bytes()
    answer = client.post("/cds-services/lenalidomide-order-sign", data=body, content_type="application/json")
    assert answer.status_code == 200
    answered: Json = json.loads(answer.data)
    return answered


@pytest.mark.parametrize("rule", [rule.id for rule in RULES])
def test_a_rule_that_fails_is_seen_and_logged_and_hides_nothing(
    rule: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name = "order-sign-first-neutropenia"
    sound = _asked(name)
    broken = tuple(dataclasses.replace(one, check=_fails) if one.id == rule else one for one in rules.RULES)
    monkeypatch.setattr(evaluation, "RULES", broken)

    caplog.clear()
    with caplog.at_level(logging.ERROR):
        answered = _asked(name)

    (draft,) = answered["extension"][EVALUATION]["drafts"]
    found = {finding["id"]: finding["outcome"] for finding in draft["findings"]}
    others = {finding["id"] for finding in sound["extension"][EVALUATION]["drafts"][0]["findings"]} - {rule}
    assert others <= found.keys()
    applies = next(one for one in RULES if one.id == rule).applies
    if not applies(load_protocols()[DEFAULT_PROTOCOL]):
        assert caplog.text == ""
        return
    assert found[rule] == "failed"
    # What the order may not do with the rule it may not do without it.
    allowed = [
        draft["recommendation"]["action"],
        sound["extension"][EVALUATION]["drafts"][0]["recommendation"]["action"],
    ]
    assert "proceed" not in allowed
    assert "modify" not in allowed
    assert f"Rule {rule} could not be evaluated" in json.dumps(answered["cards"])
    assert f"rule {rule} could not be evaluated: ValueError in _fails" in caplog.text
    assert _SECRET not in caplog.text
    assert _SECRET not in json.dumps(answered)
    assert load(REQUESTS / f"{name}.json")["context"]["patientId"] not in caplog.text
