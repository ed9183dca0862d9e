"""The card profile for Epic: one action a suggestion, any of them to choose, the change of a dose in the text."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hooks import answer
from hooks.card_profile import fitted
from hooks.clients import Client
from hooks.service_settings import service_settings
from hooks.settings import SettingsError
from tests.support.case_files import load_cases
from tests.support.request_builder import build_request
from tests.support.women import Json, offered, request_of

EPIC = Client(card_profile="epic")
CASES = load_cases()


def cards_of(protocol: str, case_id: str, client: Client = EPIC) -> list[Json]:
    case = next(case for its_protocol, case in CASES if (its_protocol, case.id) == (protocol, case_id))
    found: list[Json] = answer(build_request(case), now=case.now, protocol=protocol, client=client)["cards"]
    return found


def kinds(card: Json) -> list[list[str]]:
    return [[action["type"] for action in suggestion["actions"]] for suggestion in card.get("suggestions", [])]


def test_every_suggestion_of_every_answer_has_one_action_and_a_uuid_of_its_own(cards: list[Json]) -> None:
    assert any(len(offer["actions"]) > 1 for card in cards for offer in card.get("suggestions", []))
    for card in (fitted(card, "epic") for card in cards):
        offers = card.get("suggestions", [])
        assert all(len(offer["actions"]) == 1 for offer in offers)
        assert all(action["type"] != "update" for offer in offers for action in offer["actions"])
        assert len({offer["uuid"] for offer in offers}) == len(offers)
        assert ("selectionBehavior" in card) == bool(offers)
        assert card.get("selectionBehavior", "any") == "any"


def test_a_change_of_dose_goes_into_the_text() -> None:
    (dose,) = [card for card in cards_of("fda-label", "start-15-28") if card["indicator"] != "info"]

    assert kinds(dose) == []
    assert "**To be changed in the order:** Change to 10 mg once daily, days 1–28" in dose["detail"]


def test_the_missing_pregnancy_test_is_ordered_as_elsewhere() -> None:
    (card,) = cards_of("fda-label", "start-no-test")

    assert kinds(card) == [["create"], ["delete"]]


def test_the_base_profile_is_left_alone() -> None:
    assert cards_of("fda-label", "start-15-28", Client()) != cards_of("fda-label", "start-15-28")
    assert "update" in str(cards_of("fda-label", "start-15-28", Client()))


def test_the_profile_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert service_settings().client.card_profile == "base"
    monkeypatch.setenv("CDS_CARD_PROFILE", "epic")
    assert service_settings().client.card_profile == "epic"
    monkeypatch.setenv("CDS_CARD_PROFILE", "cerner")
    with pytest.raises(SettingsError, match="CDS_CARD_PROFILE is 'cerner', expected base or epic"):
        service_settings()


def test_a_second_draft_that_a_change_replaces_is_named_and_can_be_removed() -> None:
    drafts = [{"dose_mg": dose, "schedule_days": "28", "days_supply": "28", "refills": "0"} for dose in ("15", "10")]
    request = request_of("renewal-7-days", drafts=drafts)
    found = answer(request, now=datetime(2024, 9, 4, 9, tzinfo=UTC), protocol="fda-label", client=EPIC)
    (dose,) = [card for card in found["cards"] if "To be changed" in card["detail"]]

    assert "and remove the other lenalidomide order" in dose["detail"]
    assert [one["resourceId"] for one in offered(dose)] == ["MedicationRequest/draft-2"]
