"""What a card says, to whom it can be traced, and that nothing from a request is more than text on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.answers import Answered, judge, only_counsels
from tests.support.drafts import asked, draft, line, supply
from tests.support.fhir import NOW
from tests.support.fixtures import EVALUATION, Json

DECISION = "org.lenalidomide-maintenance.decision"
MARKUP = "<img src=x onerror=alert(1)> &lt;b&gt; **bold** _it_ [link](https://evil.example) `code` ~~gone~~ | cell\n# Heading"
ADDRESS = "see https://evil.example/a and www.evil.example"
LIVE_MARKUP = re.compile(r"(?<!\\)(?:\*\*bold|_it_|\[link|`code|~~gone|\| cell)|<img|&lt;b&gt;|(?m:^# Heading)")
LIVE_ADDRESS = re.compile(r"https?://evil|(?<!\\)www\.evil")
PROTOCOL_LINE = re.compile(r"Protocol [a-z0-9-]+, version \S+\+\d+")


def results(request: Json) -> list[Json]:
    return [entry["resource"] for entry in request["prefetch"]["observations"]["entry"]]


def named(request: Json, kind: str) -> Json:
    (found,) = [item for item in results(request) if item["id"] == f"{kind}-1"]
    return found


def hostile_requests(text: str) -> Iterator[Any]:
    """Requests in each of which one string that may reach a card is hostile."""

    def param(name: str, request: Json) -> Any:
        return pytest.param(request, id=name)

    yield param("drug text", asked(draft(medicationCodeableConcept={"text": f"lenalidomide 15 mg {text}"})))
    display = {"reference": "Medication/unknown", "display": f"Revlimid {text}"}
    by_reference = draft(medicationReference=display)
    del by_reference["medicationCodeableConcept"]
    yield param("drug display", asked(by_reference))
    yield param("dose unit", asked(draft(line(15, {"unit": text}))))
    yield param("dose unit code", asked(draft(line(15, {"code": text}))))
    yield param("dose text", asked(draft(line(15, text=f"15 mg twice daily {text}"))))
    yield param("schedule text", asked(draft(line(15, text=f"15 mg daily on days 1-17 {text}"))))
    yield param("draft id", asked({**draft(line(15, {"unit": "spoon"})), "id": text}))
    yield param("draft status", asked(draft(status=text)))
    yield param("quantity unit", asked(draft(dispenseRequest={**supply(), "quantity": {"value": text}})))
    yield param("modifier extension", asked(draft(modifierExtension=[{"url": text, "valueBoolean": True}])))
    hostile_results: dict[str, Json] = {
        "result unit": {"valueQuantity": {"value": 2.4, "unit": text}},
        "result value": {"valueQuantity": {"value": text, "unit": "10*9/L"}},
        "result answer": {"valueQuantity": None, "valueString": text},
        "result date": {"effectiveDateTime": text},
        "result status": {"status": text},
        "result subject": {"subject": {"reference": f"Patient/{text}"}},
        "result id": {"id": text, "valueQuantity": {"value": 2.4, "unit": "spoons"}},
        "result code text": {"code": {"text": f"Neutrophils {text}"}},
    }
    for kind, changes in hostile_results.items():
        request = asked(draft())
        named(request, "anc").update(changes)
        yield param(kind, request)
    request = asked(draft())
    request["prefetch"]["conditions"]["entry"][0]["resource"]["code"] = {
        "coding": [{"system": "http://snomed.info/sct", "code": "109962001", "display": f"Lymphoma {text}"}],
        "text": f"Diffuse lymphoma {text}",
    }
    yield param("diagnosis", request)
    request = asked(draft())
    request["prefetch"]["patient"]["birthDate"] = text
    yield param("birth date", request)
    request = asked(draft())
    request["prefetch"][f"key {text}"] = [1]
    yield param("prefetch key", request)
    request = asked(draft())
    request["prefetch"]["procedures"]["entry"][0]["resource"]["performedDateTime"] = text
    yield param("procedure date", request)


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def cards_of(request: Json) -> list[Json]:
    cards: list[Json] = judge(request, NOW)["cards"]
    assert cards
    return cards


# --- Strings of the request are text and nothing else ---


@pytest.mark.parametrize("request_", [*hostile_requests(MARKUP)])
def test_markup_in_a_request_is_shown_and_not_rendered(request_: Json) -> None:
    for card in cards_of(request_):
        assert LIVE_MARKUP.search(card["detail"]) is None, card["detail"]


@pytest.mark.parametrize("request_", [*hostile_requests(ADDRESS)])
def test_an_address_in_a_request_does_not_become_a_link(request_: Json) -> None:
    for card in cards_of(request_):
        assert LIVE_ADDRESS.search(card["detail"]) is None, card["detail"]


@pytest.mark.parametrize("request_", [*hostile_requests(MARKUP)])
def test_a_summary_is_plain_text_without_tags_whatever_the_request_holds(request_: Json) -> None:
    for card in cards_of(request_):
        assert re.search(r"<\s*[a-zA-Z/!]|[\r\n]", card["summary"]) is None
        assert len(card["summary"]) <= 139


@pytest.mark.parametrize("request_", [*hostile_requests(MARKUP)])
def test_labels_and_descriptions_hold_no_strings_of_the_request(request_: Json) -> None:
    for card in cards_of(request_):
        shown = [
            card["source"],
            card.get("overrideReasons"),
            [
                (one["label"], [action["description"] for action in one["actions"]])
                for one in card.get("suggestions", [])
            ],
        ]
        assert not any("img" in text for text in strings(shown))


def test_control_characters_do_not_reach_a_card() -> None:
    request = asked(draft(medicationCodeableConcept={"text": "lenalidomide\u0000 15 mg\u001b[31m\u202e capsule"}))
    for card in cards_of(request):
        assert not any(ord(letter) < 32 and letter != "\n" for text in strings(card) for letter in text)
        assert "\u202e" not in card["summary"] + card["detail"]


def test_a_very_long_string_does_not_flood_the_card() -> None:
    request = asked(draft(medicationCodeableConcept={"text": "lenalidomide " + "x" * 50_000}))
    assert all(len(card["detail"]) < 5_000 for card in cards_of(request))


def test_summaries_carry_no_markdown(answers: list[Answered]) -> None:
    summaries = {card["summary"] for answered in answers for card in answered.cards}
    assert {text for text in summaries if re.search(r"\*\*|&lt;|&amp;|\\|__|`", text)} == set()


# --- Where the advice comes from ---


def test_every_card_names_protocol_and_version(answers: list[Answered]) -> None:
    for answered in answers:
        protocol = answered.response["extension"][EVALUATION]["protocol"]
        for card in answered.cards:
            line_ = PROTOCOL_LINE.search(card["detail"])
            assert line_ is not None, answered.name
            assert line_[0] == f"Protocol {protocol['id']}, version {protocol['version']}"


def test_every_card_says_the_rule_and_its_source(answers: list[Answered]) -> None:
    for answered in answers:
        for card in answered.cards:
            assert "*Rule:*" in card["detail"], answered.name
            assert "*Source:*" in card["detail"], answered.name


def test_a_rule_taken_over_from_another_protocol_is_labelled_so(answers: list[Answered]) -> None:
    labelled = 0
    for answered in answers:
        for judged in answered.response["extension"][EVALUATION]["drafts"]:
            origins = {finding["id"]: finding["inherited_from"] for finding in judged["findings"]}
            for card in answered.cards:
                origin = origins.get(card["source"]["topic"]["display"])
                assert (f"(inherited from {origin})" in card["detail"]) == (origin is not None), answered.name
                labelled += origin is not None
    assert labelled


# --- Recognising the same advice ---


def at_order_select(request: Json) -> Json:
    context = {**request["context"], "selections": ["MedicationRequest/draft-1"]}
    return {**request, "hook": "order-select", "context": context, "hookInstance": "another-instance"}


def the_card(request: Json) -> Json:
    (card,) = cards_of(request)
    return card


def test_the_same_advice_is_recognised_at_order_sign() -> None:
    request = asked(draft())
    signed, selected = the_card(request), the_card(at_order_select(request))
    assert signed["extension"][DECISION] == selected["extension"][DECISION]
    assert signed["source"]["topic"] == selected["source"]["topic"]


def test_the_uuid_of_a_card_differs_by_hook_instance() -> None:
    request = asked(draft())
    assert the_card(request)["uuid"] != the_card({**request, "hookInstance": "another-instance"})["uuid"]
    assert the_card(request)["uuid"] == the_card(request)["uuid"]


def test_another_patient_gets_another_decision() -> None:
    request = asked(draft())
    other = {**request, "context": {**request["context"], "patientId": "patient-2"}}
    assert {card["extension"][DECISION] for card in cards_of(other)}.isdisjoint(
        {the_card(request)["extension"][DECISION]}
    )


def test_other_advice_on_the_same_order_is_another_decision() -> None:
    lower, stop = asked(draft()), asked(draft())
    named(stop, "anc")["valueQuantity"]["value"] = 0.4
    assert the_card(lower)["extension"][DECISION] != the_card(stop)["extension"][DECISION]


def test_the_topic_differs_when_the_severity_does() -> None:
    def topic(platelets: float) -> tuple[str, str]:
        request = asked(draft(line(10), strength="10"))
        named(request, "anc")["valueQuantity"]["value"] = 0.9
        named(request, "platelets")["valueQuantity"]["value"] = platelets
        card = the_card(request)
        return card["source"]["topic"]["display"], card["source"]["topic"]["code"]

    (one_low, milder), (both_low, graver) = topic(180), topic(60)
    assert one_low == both_low == "heme.start-criteria"
    assert milder != graver


def test_no_topic_stands_for_two_severities(answers: list[Answered]) -> None:
    severities: dict[str, set[str]] = {}
    for answered in answers:
        for card in answered.cards:
            severities.setdefault(card["source"]["topic"]["code"], set()).add(card["indicator"])
    assert {code for code, found in severities.items() if len(found) > 1} == set()


# --- Silence ---


def test_a_start_that_is_in_order_gets_no_card_when_it_is_selected_and_counselling_when_it_is_signed() -> None:
    request = asked(draft(line(10), strength="10"))
    assert judge(at_order_select(request), NOW)["cards"] == []
    assert only_counsels(judge(request, NOW))


def test_a_day_without_orders_gets_no_card() -> None:
    assert judge(asked(), NOW)["cards"] == []


def test_one_decision_is_one_card(answers: list[Answered]) -> None:
    for answered in answers:
        regimens = len(answered.response["extension"][EVALUATION]["drafts"])
        assert len(answered.cards) <= 3 * regimens, answered.name
