"""Cards as the public CDS Hooks Sandbox draws them: GitHub's Markdown, raw HTML let through, every address made a link."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from hooks.for_reading import cards_as_text
from hooks.markdown import UNSEEN
from tests.support.fixtures import ODD, REQUESTS, Json, load
from tests.support.public_sandbox import Drawn, drawn_cards, page, path_of, resources

ELEMENTS = {"p", "strong", "em", "ul", "ol", "li", "br", "code", "a", "table", "thead", "tbody", "tr", "th", "td"}
# What the sandbox makes links of beside Markdown's own, once escapes are resolved.
ADDRESS = re.compile(r"(?i)(?:https?://|www\.)[\w-]|(?:mailto|xmpp):|[\w+.-]@[\w-]+\.[\w-]")


def all_cards() -> list[tuple[str, Json]]:
    """The cards of the bundled requests, with the request's name."""
    files = sorted([*REQUESTS.glob("*.json"), *ODD.glob("*.json")])
    return [(file.stem, card) for file in files for card in drawn_cards(file)]


def dangers(detail: str) -> list[str]:
    """What a detail would draw beside text and its plain structure."""
    drawing = Drawn(detail)
    found = [tag for tag, _ in drawing.elements if tag not in ELEMENTS]
    for tag, attributes in drawing.elements:
        if tag == "a" and set(attributes) == {"href"} and str(attributes["href"]).startswith("https://"):
            continue
        found += [f"{tag} {attribute}" for attribute in attributes]
    return found + ADDRESS.findall(drawing.text)


def test_every_card_has_what_the_sandbox_draws() -> None:
    assert len(all_cards()) > 30
    for name, card in all_cards():
        assert UUID(card["uuid"]).version, name
        assert card["summary"].strip(), name
        assert card["source"]["label"].strip(), name
        assert urlsplit(card["source"].get("url", "https://")).scheme == "https", name
        assert all(reason["display"] for reason in card.get("overrideReasons", [])), name
        assert "links" not in card


def test_every_detail_is_text_and_plain_structure() -> None:
    assert {(name, danger) for name, card in all_cards() for danger in dangers(card["detail"])} == set()
    assert {tag for _, card in all_cards() for tag, _ in Drawn(card["detail"]).elements} >= {
        "p",
        "strong",
        "em",
        "li",
    }


def test_every_action_can_be_applied() -> None:
    for name, card in all_cards():
        for suggestion in card.get("suggestions", []):
            assert suggestion["label"], name
            assert UUID(suggestion["uuid"]).version, name
            for action in suggestion["actions"]:
                assert action["description"], name
                assert ("resource" in action, "resourceId" in action) == (
                    action["type"] in {"create", "update"},
                    action["type"] == "delete",
                ), name


# --- Strings of the patient's record on a card ---

MARKUP = (
    "<img src=x onerror=alert(1)><script>x</script> [x](javascript:alert(1)) ![i](https://evil.example) <b>\n\n|a|b|\n|-|-|\n\n"
    "# h\n\n```\nhttp://evil.example www.evil.example me@evil.example mailto:me@evil.example <https://evil.example>"
)
LITERALS = (
    "<img src=x onerror=alert(1)>",
    "<!-- x --><b>bold</b>",
    "[x](javascript:alert(1))",
    "[x][y] ![i](x.png)",
    "|a|b| |-|-| c",
    "http://evil.example",
    "see www.evil.example/a",
    "me@evil.example",
    "<https://evil.example>",
    "10*3/uL *x* **y**",
    "_x_ __y__ ~~z~~ ~z~",
    "`c` ```d``` \\*",
    "&lt;b&gt; &#60;i>",
    "# h - 1. + ===",
)


def drafted(request: Json) -> Json:
    order: Json = request["context"]["draftOrders"]["entry"][0]["resource"]
    return order


def neutrophils(request: Json) -> Json:
    return next(one for one in resources(request) if one["id"] == "anc-01")


def drug_text(text: str) -> Json:
    request = load(ODD / "text-only-lenalidomide.json")
    drafted(request)["medicationCodeableConcept"] = {"text": f"Revlimid {text}"}
    return request


def drug_display(text: str) -> Json:
    request = load(ODD / "medication-not-supplied.json")
    drafted(request)["medicationReference"]["display"] = f"Revlimid {text}"
    return request


def dose_unit(text: str) -> Json:
    request = load(REQUESTS / "order-select-start-at-15.json")
    drafted(request)["dosageInstruction"][0]["doseAndRate"] = [{"doseQuantity": {"value": 15, "unit": text}}]
    return request


def result_unit(text: str) -> Json:
    request = load(REQUESTS / "order-select-start-at-15.json")
    neutrophils(request)["valueQuantity"] = {"value": 2.9, "unit": text}
    return request


def result_name(text: str) -> Json:
    request = load(REQUESTS / "order-select-start-at-15.json")
    neutrophils(request)["code"] = {"text": f"ANC {text}"}
    return request


def result_id(text: str) -> Json:
    request = load(REQUESTS / "order-select-start-at-15.json")
    neutrophils(request).update(id=text, valueQuantity={"value": 2.9, "unit": "spoons"})
    return request


PLACES = (drug_text, drug_display, dose_unit, result_unit, result_name, result_id)


@pytest.mark.parametrize("text", LITERALS)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_string_of_the_record_is_drawn_letter_for_letter(place: Callable[[str], Json], text: str) -> None:
    request = place(text)
    cards = page().cards(path_of(request), request)
    drawn = " ".join(Drawn(card["detail"]).text.replace(UNSEEN, "") for card in cards)
    assert text in drawn
    assert [danger for card in cards for danger in dangers(card["detail"])] == []


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_string_of_several_lines_is_drawn_as_one(place: Callable[[str], Json]) -> None:
    request = place("a\n\n    b\r\n- c\n1. d\n===")
    cards = page().cards(path_of(request), request)
    assert "a b - c 1. d ===" in " ".join(Drawn(card["detail"]).text for card in cards)
    assert [danger for card in cards for danger in dangers(card["detail"])] == []


def test_what_keeps_an_address_from_becoming_a_link_is_not_printed_for_a_person() -> None:
    response = page().call("POST", path_of(drug_text("")), drug_text("www.evil.example")).get_json()
    assert UNSEEN in response["cards"][0]["detail"]
    assert "www.evil.example" in cards_as_text(response)
    assert UNSEEN not in cards_as_text(response)


def strings_under(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Every string of a request with the member that holds it."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings_under(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from strings_under(item, name)


def spoilt(value: Any, member: str, name: str = "") -> Any:
    """A request in which every string of a member goes on with markup."""
    if isinstance(value, dict):
        return {key: spoilt(item, member, key) for key, item in value.items()}
    if isinstance(value, list):
        return [spoilt(item, member, name) for item in value]
    return f"{value} {MARKUP}" if isinstance(value, str) and name == member else value


@pytest.mark.parametrize("name", ["order-select-start-at-15", "order-sign-several-interactions"])
def test_whatever_strings_of_a_request_hold_markup_none_is_drawn_as_such(name: str) -> None:
    request = load(REQUESTS / f"{name}.json")
    shown = ""
    for member in sorted({member for member, _ in strings_under(request)}):
        response = page().call("POST", path_of(request), spoilt(request, member))
        assert response.status_code in {200, 400, 422}, member
        for card in response.get_json().get("cards", []):
            assert dangers(card["detail"]) == [], member
            shown += card["detail"]
    assert "onerror" in shown
