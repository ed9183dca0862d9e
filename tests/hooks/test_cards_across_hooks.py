"""Advice at order-select and again at order-sign is one decision: the same topic and decision id, whoever looks at them."""

from __future__ import annotations

from copy import deepcopy

import pytest

from hooks import answer
from tests.support.case import Case
from tests.support.case_files import load_cases
from tests.support.fixtures import Json
from tests.support.request_builder import build_request

_DECISION = "org.lenalidomide-maintenance.decision"
# Every sixth: each is judged twice.
_CASES = [(protocol, case) for protocol, case in load_cases() if build_request(case)["hook"] == "order-sign"][::6]


def at_hook(case: Case, protocol: str, hook: str) -> dict[str, str]:
    """Topic and decision id of each card, for a case put to a hook."""
    request = deepcopy(build_request(case))
    request["hook"], request["hookInstance"] = hook, f"instance of {hook}"
    if hook == "order-select":
        entries = request["context"]["draftOrders"]["entry"]
        request["context"]["selections"] = [f"MedicationRequest/{entry['resource']['id']}" for entry in entries]
    else:
        request["context"].pop("selections", None)
    cards: list[Json] = answer(request, now=case.now, protocol=protocol)["cards"]
    return {card["source"]["topic"]["code"]: card["extension"][_DECISION] for card in cards}


def test_advice_given_at_order_select_is_recognised_at_order_sign() -> None:
    seen, lost = 0, []
    for protocol, case in _CASES:
        at_select = at_hook(case, protocol, "order-select")
        at_sign = at_hook(case, protocol, "order-sign") if at_select else {}
        seen += len(at_select)
        lost += [(protocol, case.id, topic) for topic, decision in at_select.items() if at_sign.get(topic) != decision]
    assert seen > 50
    assert lost == []


@pytest.mark.parametrize(("member", "value"), [("patientId", "another"), ("order", "another")])
def test_another_patients_or_another_orders_advice_is_another_decision(member: str, value: str) -> None:
    protocol, case = next((protocol, case) for protocol, case in _CASES if at_hook(case, protocol, "order-sign"))
    request = build_request(case)
    before = answer(request, now=case.now, protocol=protocol)["cards"]
    changed = deepcopy(request)
    if member == "patientId":
        changed["context"]["patientId"] = value
    else:
        changed["context"]["draftOrders"]["entry"][0]["resource"]["id"] = value
    after = answer(changed, now=case.now, protocol=protocol)["cards"]
    decisions = [{card["extension"][_DECISION] for card in cards} for cards in (before, after)]
    assert decisions[0]
    assert decisions[1]
    assert decisions[0].isdisjoint(decisions[1])
