"""What follows when a prescriber takes up what a card offers: the order is in order, and nobody is sent in circles."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.support.answers import accept, judge, updates
from tests.support.case import Case
from tests.support.case_files import load_cases
from tests.support.fixtures import EVALUATION, ODD, REQUESTS, Json, load, post_text, service_of
from tests.support.outcome import Outcome
from tests.support.request_builder import build_request

# What a lower dose does not answer: it stays on the card, to be decided by the prescriber.
STAYS = {
    "heme.floor",
    "renal.unknown",
    "dosing.escalation-eligible",
    "dosing.revallo-escalation",
    "teratogenicity.male-counselling",
    "interaction.dexamethasone",
    "vte.prophylaxis-contraindicated",
    "monitoring.hbv-screen",
    "monitoring.lft-due",
    "monitoring.tsh",
}
NEXT_DOSE = {5: Decimal(10), 10: Decimal(15)}
INVITATIONS = frozenset({"dosing.escalation-eligible", "dosing.revallo-escalation"})
COUNT_RULES = frozenset({"heme.anc-interrupt", "heme.plt-interrupt", "heme.start-criteria"})
WAIT = frozenset({"heme.wait-next-cycle"})
WAITS_FOR_TEST = {(f"teratogenicity.{rule}", "critical") for rule in ("test-initial", "test-ongoing", "contraception")}


def cases(*actions: str, firing: frozenset[str] | None = None) -> list[Any]:
    """The clinical cases that end in one of these actions, where one of these rules fires."""
    return [
        pytest.param(protocol, case, id=f"{protocol}/{case.id}")
        for protocol, case in load_cases()
        if case.expect.action in actions and (firing is None or firing & case.expect.fires.keys())
    ]


def kinds(suggestion: Json) -> list[str]:
    return [action["type"] for action in suggestion["actions"]]


def offers(answer: Json) -> list[Json]:
    return [suggestion for card in answer["cards"] for suggestion in card.get("suggestions", [])]


def start_of(order: Json) -> str:
    start: str = order["dosageInstruction"][0]["timing"]["repeat"]["boundsPeriod"]["start"]
    return start


def findings(answer: Json) -> dict[str, str]:
    """Indicators of what fired for the first draft, by rule."""
    return {
        finding["id"]: finding["indicator"]
        for finding in answer["extension"][EVALUATION]["drafts"][0]["findings"]
        if finding["outcome"] == "fired"
    }


@pytest.mark.parametrize(("protocol", "case"), cases("modify"))
def test_the_corrected_order_sent_again_gets_no_dose_card(protocol: str, case: Case) -> None:
    request = build_request(case)
    (suggestion,) = updates(judge(request, case.now, protocol))
    again = judge(accept(request, suggestion), case.now, protocol)
    outcome = Outcome.of(again)
    assert outcome.action == "proceed"
    if "(no " not in suggestion["label"]:
        assert outcome.level == case.expect.level
    assert updates(again) == []
    assert {card["source"]["topic"]["display"] for card in again["cards"]} <= STAYS


@pytest.mark.parametrize(("protocol", "case"), cases("proceed"))
def test_a_correction_beside_the_dose_is_complete_at_once(protocol: str, case: Case) -> None:
    request = build_request(case)
    for suggestion in updates(judge(request, case.now, protocol)):
        again = judge(accept(request, suggestion), case.now, protocol)
        assert Outcome.of(again).action == "proceed"
        assert updates(again) == []


@pytest.mark.parametrize(("protocol", "case"), cases("hold"))
def test_a_hold_offers_removal_or_a_later_start_and_never_a_dose_now(protocol: str, case: Case) -> None:
    answer = judge(build_request(case), case.now, protocol)
    drafts = [f"MedicationRequest/draft-{number}" for number in range(1, len(case.drafts) + 1)]
    removals = [one for one in offers(answer) if set(kinds(one)) == {"delete"}]
    assert [[action["resourceId"] for action in one["actions"]] for one in removals] == [drafts]
    assert bool(updates(answer)) == ("heme.wait-next-cycle" in findings(answer))


@pytest.mark.parametrize(("protocol", "case"), cases("hold", firing=COUNT_RULES))
def test_a_hold_for_the_blood_count_offers_the_blood_count(protocol: str, case: Case) -> None:
    answer = judge(build_request(case), case.now, protocol)
    ordered = [action["resource"] for one in offers(answer) for action in one["actions"] if action["type"] == "create"]
    assert "57021-8" in {resource["code"]["coding"][0]["code"] for resource in ordered}


@pytest.mark.parametrize(("protocol", "case"), cases("discontinue"))
def test_a_stop_offers_removal_and_no_other_dose(protocol: str, case: Case) -> None:
    answer = judge(build_request(case), case.now, protocol)
    assert ["delete"] * len(case.drafts) in [kinds(one) for one in offers(answer)]
    assert updates(answer) == []


@pytest.mark.parametrize(("protocol", "case"), cases("defer"))
def test_what_could_not_be_judged_is_neither_changed_nor_removed(protocol: str, case: Case) -> None:
    answer = judge(build_request(case), case.now, protocol)
    removals = [kinds(one) for one in offers(answer) if "delete" in kinds(one)]
    # Only an order that waits for a pregnancy test can be taken back, and every such order can.
    waits = WAITS_FOR_TEST & findings(answer).items()
    assert removals == ([["delete"] * len(case.drafts)] if waits else [])
    assert {kind for one in offers(answer) for kind in kinds(one)} <= {"create", "delete"}


@pytest.mark.parametrize(("protocol", "case"), cases("hold", firing=WAIT))
def test_waiting_for_the_next_cycle_moves_the_start_and_the_order_then_passes(protocol: str, case: Case) -> None:
    request = build_request(case)
    answer = judge(request, case.now, protocol)
    (suggestion,) = updates(answer)
    draft = request["context"]["draftOrders"]["entry"][0]["resource"]
    assert start_of(suggestion["actions"][0]["resource"]) > start_of(draft)
    again = judge(accept(request, suggestion), case.now, protocol)
    assert "heme.wait-next-cycle" not in findings(again)
    assert Outcome.of(again).level == Outcome.of(answer).resume_at


@pytest.mark.parametrize(("protocol", "case"), cases("proceed", firing=INVITATIONS))
def test_a_dose_that_a_card_invites_to_is_not_refused_when_it_is_ordered(protocol: str, case: Case) -> None:
    current = Outcome.of(judge(build_request(case), case.now, protocol)).facts["current_level"]
    higher = case.drafts[0].model_copy(update={"dose_mg": NEXT_DOSE[current["dose_mg"]]})
    ordered = case.model_copy(update={"drafts": (higher,)})
    assert Outcome.of(judge(build_request(ordered), case.now, protocol)).action == "proceed"


@pytest.mark.parametrize(("protocol", "case"), cases("proceed", firing=frozenset({"vte.prophylaxis-missing"})))
def test_the_aspirin_that_a_card_offers_is_an_order_that_is_read_and_ends_the_card(protocol: str, case: Case) -> None:
    request = build_request(case)
    answer = judge(request, case.now, protocol)
    offered = [one for one in offers(answer) if "aspirin" in one["label"]]
    for suggestion in offered:
        (action,) = suggestion["actions"]
        dose = action["resource"]["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]
        assert (action["type"], dose["value"], dose["unit"]) == ("create", 81, "mg")
        taken = {**action["resource"], "id": "draft-aspirin"}
        request["context"]["draftOrders"]["entry"].append({"resource": taken})
        again = judge(request, case.now, protocol)
        assert "vte.prophylaxis-missing" not in findings(again)
        assert Outcome.of(again).action == Outcome.of(answer).action


@pytest.mark.parametrize(("protocol", "case"), cases("modify"))
def test_no_answer_asks_to_lower_the_dose_and_invites_to_raise_it(protocol: str, case: Case) -> None:
    answer = judge(build_request(case), case.now, protocol)
    listed = answer["extension"][EVALUATION]["drafts"][0]["findings"]
    assert [finding["id"] for finding in listed if finding["id"] in INVITATIONS and finding["shown"]] == []


@pytest.mark.parametrize("file", sorted([*REQUESTS.glob("*.json"), *ODD.glob("*.json")]), ids=lambda file: file.stem)
def test_a_bundled_request_is_in_order_once_its_correction_is_taken_up(file: Any) -> None:
    request = load(file)
    service = service_of(request["hook"])
    status, body = post_text(file.read_bytes(), service)
    for suggestion in updates(json.loads(body)) if status == 200 else []:
        assert updates(json.loads(post_text(json.dumps(accept(request, suggestion)), service)[1])) == []
