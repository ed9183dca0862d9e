"""The CDS Hooks standard (2.0.1, ballot of 3.0), rows 51 to 83 of the project's conformance list, and rows 2 and 3.

Every card of every clinical case and of every bundled request is looked at. Rows that bind only the client have no test.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit
from uuid import UUID

from fhir.resources.R4B import get_fhir_model_class

from tests.support.answers import Answered, answered_cases
from tests.support.fixtures import Json
from tests.support.json_diff import voids

RAW_MARKUP = re.compile(r"<\s*[a-zA-Z/!]")


# --- A. JSON ---

COUNSELLING = "teratogenicity.male-counselling"  # there is nothing to override in it


def test_r02_fhir_resources_in_actions_are_objects_with_their_type(actions: list[Json]) -> None:
    resources = [action["resource"] for action in actions if "resource" in action]
    assert resources
    assert all(isinstance(resource, dict) and resource["resourceType"] for resource in resources)


def test_r03_no_card_holds_null_or_anything_empty(cards: list[Json]) -> None:
    assert cards
    assert [path for card in cards for path in voids(_without_drafts(card))] == []


# --- F. Response ---


def test_r51_every_answer_has_a_list_of_cards(answers: list[Answered]) -> None:
    assert all(isinstance(answered.response["cards"], list) for answered in answers)
    assert all(set(answered.response) <= {"cards", "extension"} for answered in answers)


# --- G. Card ---


def test_r55_every_card_has_a_bare_uuid(cards: list[Json]) -> None:
    assert all(str(UUID(card["uuid"])) == card["uuid"] for card in cards)


def test_r55_the_cards_of_one_answer_have_different_uuids(answers: list[Answered]) -> None:
    for answered in answers:
        assert len({card["uuid"] for card in answered.cards}) == len(answered.cards), answered.name


def test_r56_summary_is_at_most_139_characters(cards: list[Json]) -> None:
    assert {card["summary"] for card in cards if not 0 < len(card["summary"]) <= 139} == set()


def test_r56_summary_is_one_sentence_on_one_line(cards: list[Json]) -> None:
    assert {card["summary"] for card in cards if re.search(r"[\r\n]|\. [A-Z]", card["summary"])} == set()


def test_r56_no_summary_of_the_clinical_cases_had_to_be_cut() -> None:
    cut = {card["summary"] for answered in answered_cases() for card in answered.cards if card["summary"][-1:] == "…"}
    assert cut == set()


def test_r57_detail_is_markdown_without_raw_html(cards: list[Json]) -> None:
    assert all(isinstance(card["detail"], str) and card["detail"].strip() for card in cards)
    assert {card["detail"] for card in cards if RAW_MARKUP.search(card["detail"])} == set()


def test_r58_indicator_is_one_of_three(cards: list[Json]) -> None:
    assert {card["indicator"] for card in cards} == {"info", "warning", "critical"}


def test_r59_r60_source_has_a_short_label(cards: list[Json]) -> None:
    assert all(isinstance(card["source"]["label"], str) and card["source"]["label"] for card in cards)


def test_r61_source_url_is_absolute(cards: list[Json]) -> None:
    urls = {card["source"]["url"] for card in cards if "url" in card["source"]}
    assert urls
    assert all(urlsplit(url).scheme in {"http", "https"} and urlsplit(url).netloc for url in urls)


def test_r62_no_source_names_an_icon_that_does_not_exist(cards: list[Json]) -> None:
    assert all("icon" not in card["source"] for card in cards)


def test_r63_topic_is_a_stable_alphanumeric_code(cards: list[Json]) -> None:
    for card in cards:
        topic = card["source"]["topic"]
        assert re.fullmatch(r"[A-Za-z0-9]{1,100}", topic["code"])
        assert topic["system"]
        assert topic["display"]


def test_r63_topic_tells_the_rule_and_the_severity(cards: list[Json]) -> None:
    for card in cards:
        rule = re.sub(r"[.-](\w)", lambda match: match[1].upper(), card["source"]["topic"]["display"])
        assert card["source"]["topic"]["code"] == rule + card["indicator"].capitalize()


def test_r64_r65_suggestions_come_with_a_selection_behaviour(cards: list[Json]) -> None:
    with_suggestions = [card for card in cards if "suggestions" in card]
    assert with_suggestions
    assert {card["selectionBehavior"] for card in with_suggestions} <= {"at-most-one", "any"}
    assert all("selectionBehavior" not in card for card in cards if "suggestions" not in card)


def test_r65_of_a_dose_change_and_a_removal_only_one_can_be_chosen(cards: list[Json]) -> None:
    for card in cards:
        kinds = [{action["type"] for action in one["actions"]} for one in card.get("suggestions", [])]
        if sum(bool(kind & {"update", "delete"}) for kind in kinds) > 1:
            assert card["selectionBehavior"] == "at-most-one"


def test_r66_every_override_reason_has_code_system_and_display(cards: list[Json]) -> None:
    assert {card["source"]["topic"]["display"] for card in cards if "overrideReasons" not in card} == {COUNSELLING}
    reasons = [reason for card in cards for reason in card.get("overrideReasons", [])]
    assert reasons
    assert all(set(reason) == {"code", "system", "display"} for reason in reasons)
    for card in cards:
        codes = [reason["code"] for reason in card.get("overrideReasons", [])]
        assert len(codes) == len(set(codes))


def test_r68_every_coding_has_code_and_system_as_text(cards: list[Json]) -> None:
    codings = [coding for card in cards for coding in (card["source"]["topic"], *card.get("overrideReasons", []))]
    assert all(isinstance(coding[part], str) and coding[part] for coding in codings for part in ("code", "system"))


# --- H. Suggestions and actions ---


def test_r69_every_suggestion_has_a_label(suggestions: list[Json]) -> None:
    assert suggestions
    assert all(isinstance(suggestion["label"], str) and suggestion["label"] for suggestion in suggestions)


def test_r70_every_suggestion_has_a_uuid_of_its_own(answers: list[Answered]) -> None:
    for answered in answers:
        uuids = [suggestion["uuid"] for suggestion in answered.suggestions]
        assert all(str(UUID(uuid)) == uuid for uuid in uuids)
        assert len(set(uuids)) == len(uuids), answered.name


def test_r71_nothing_that_needs_a_judgement_is_preselected(suggestions: list[Json]) -> None:
    assert all("isRecommended" not in suggestion for suggestion in suggestions)


def test_r72_every_suggestion_has_actions(suggestions: list[Json]) -> None:
    assert all(isinstance(suggestion["actions"], list) and suggestion["actions"] for suggestion in suggestions)


def test_r73_no_suggestion_asks_to_choose_among_its_actions(suggestions: list[Json]) -> None:
    assert all("actionSelectionBehavior" not in suggestion for suggestion in suggestions)


def test_r74_action_type_is_create_update_or_delete(actions: list[Json]) -> None:
    assert {action["type"] for action in actions} == {"create", "update", "delete"}


def test_r75_every_action_has_a_description(actions: list[Json]) -> None:
    assert all(isinstance(action["description"], str) and action["description"] for action in actions)


def test_r76_every_created_resource_is_valid_and_about_the_patient(answers: list[Answered]) -> None:
    for answered in answers:
        for action in answered.actions:
            if action["type"] == "create":
                resource = action["resource"]
                get_fhir_model_class(resource["resourceType"]).model_validate(resource)
                assert resource["status"] == "draft"
                assert resource["subject"] == {"reference": f"Patient/{answered.request['context']['patientId']}"}


def test_r77_every_update_is_a_whole_draft_of_the_request(answers: list[Answered]) -> None:
    for answered in answers:
        for action in answered.actions:
            if action["type"] == "update":
                draft = answered.drafts[f"{action['resource']['resourceType']}/{action['resource']['id']}"]
                lost = draft.keys() - action["resource"].keys() - {"medicationReference", "contained"}
                assert lost == set(), answered.name


def test_r78_every_delete_names_a_draft_of_the_request_and_carries_no_resource(answers: list[Answered]) -> None:
    for answered in answers:
        for action in answered.actions:
            if action["type"] == "delete":
                assert action["resourceId"] in answered.drafts, answered.name
                assert "resource" not in action


def test_r78_only_deletes_carry_a_resource_id(actions: list[Json]) -> None:
    assert all(("resourceId" in action) == (action["type"] == "delete") for action in actions)


# --- I. Links, J. System actions ---


def test_r79_r80_r81_no_card_links_to_a_page_or_an_app(cards: list[Json]) -> None:
    assert all("links" not in card for card in cards)


def test_r82_r83_nothing_is_done_without_a_prescriber(answers: list[Answered]) -> None:
    assert all("systemActions" not in answered.response for answered in answers)


# --- Invariants of the logical models, and what the test kit asks of every server ---


def test_cds_resp_1_at_most_one_suggestion_is_recommended_where_one_may_be_chosen(cards: list[Json]) -> None:
    for card in cards:
        recommended = [one for one in card.get("suggestions", []) if one.get("isRecommended")]
        assert len(recommended) <= 1 or card["selectionBehavior"] == "any"


def test_cards_have_only_members_of_the_standard(cards: list[Json]) -> None:
    known = {"uuid", "summary", "detail", "indicator", "source", "suggestions", "selectionBehavior", "overrideReasons"}
    assert {member for card in cards for member in card} == known | {"extension"}
    assert {member for card in cards for one in card.get("suggestions", []) for member in one} == {
        "label",
        "uuid",
        "actions",
    }


def test_r107_extensions_are_objects_under_reversed_domain_names(answers: list[Answered]) -> None:
    holders = [holder for answered in answers for holder in (answered.response, *answered.cards)]
    for holder in holders:
        assert all(name.startswith("org.lenalidomide-maintenance.") for name in holder["extension"])


def test_cards_come_most_urgent_first(answers: list[Answered]) -> None:
    ranks = {"critical": 0, "warning": 1, "info": 2}
    for answered in answers:
        urgency = [ranks[card["indicator"]] for card in answered.cards]
        assert urgency == sorted(urgency), answered.name


def _without_drafts(card: Json) -> Json:
    """A card whose updates are set aside: they echo the draft as it was received, whatever that held."""
    suggestions = [
        {**one, "actions": [action for action in one["actions"] if action["type"] != "update"] or "updates only"}
        for one in card.get("suggestions", [])
    ]
    return {**card, "suggestions": suggestions} if suggestions else card
