"""The patients of the sandbox page: a list that reads well, each with a request that answers as its story lets expect."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from typing import Any

import pytest

from cds.strict_yaml import load as load_yaml
from hooks import answer
from tests.support.fixtures import REQUESTS, Json, load
from tests.support.synthea import TRIMMED, record

KEYS = ["id", "request", "group", "title", "story"]
GROUPS = [
    "Blood counts",
    "In order",
    "Kidney",
    "Dose",
    "Pregnancy prevention",
    "Thrombosis and other drugs",
    "Monitoring",
    "Odd data",
]
NOW = "org.lenalidomide-maintenance.now"
# The indicator of the first card and how its summary begins; None is no card.
EXPECTED = {
    "order-sign-high-liver-enzymes": ("critical", "Hold lenalidomide: ALT 168 U/L (28 Jan), upper limit 40"),
    "order-sign-laboratory-outage": ("warning", "Blood count needed before lenalidomide"),
    "order-sign-low-platelets": ("critical", "Hold lenalidomide: platelets 24 ×10⁹/L (3 Dec), below 30"),
    "order-sign-neutropenia-at-lowest-dose": ("critical", "Hold lenalidomide: ANC 0.4 ×10⁹/L (7 Jan), below 0.5"),
    "order-sign-progression": ("critical", "Stop lenalidomide maintenance: the myeloma progresses (20 Sep)"),
    "order-sign-renal-decline-again": ("critical", "Reduce to 2.5 mg once daily, days 1–28: CrCl 27.3 mL/min (1 Oct)"),
    "order-sign-second-cancer": ("warning", "New cancer during treatment"),
    "order-sign-second-neutropenia": ("critical", "Hold lenalidomide: ANC 0.4 ×10⁹/L (25 Feb), below 0.5"),
    "order-sign-synthea-record": ("warning", "Kidney function not known: creatinine is 323 days old"),
    "order-sign-treated-embolism": None,
    "order-sign-trial-escalation": ("info", "May be increased one level, to 15 mg once daily, days 1–28"),
    "order-sign-two-years-in-order": None,
    "order-sign-young-woman-in-order": None,
}


def stories() -> list[dict[str, Any]]:
    problems: list[str] = []
    content = load_yaml(REQUESTS.parent / "stories.yaml", problems)
    assert problems == []
    assert list(content) == ["stories"]
    listed: list[dict[str, Any]] = content["stories"]
    return listed


def cards_of(name: str) -> list[Json]:
    request = load(REQUESTS / f"{name}.json")
    cards: list[Json] = answer(request, now=datetime.fromisoformat(request["extension"][NOW]))["cards"]
    return cards


def test_every_story_has_the_same_keys_and_all_of_them_filled() -> None:
    assert len(stories()) >= 24
    assert [story for story in stories() if list(story) != KEYS or not all(story.values())] == []


@pytest.mark.parametrize("key", ["id", "request", "title"])
def test_no_two_stories_share_an_id_a_request_or_a_title(key: str) -> None:
    values = [story[key] for story in stories()]
    assert len(values) == len(set(values))


def test_an_id_can_stand_in_an_address_as_it_is() -> None:
    ids = [story["id"] for story in stories()]
    assert [name for name in ids if not name.replace("-", "").isalnum() or name != name.lower() or len(name) > 24] == []


def test_titles_and_stories_are_short() -> None:
    assert [story["id"] for story in stories() if len(story["title"]) > 48 or len(story["story"]) > 200] == []


def test_the_stories_of_a_group_stand_together() -> None:
    assert [group for group, _ in groupby(story["group"] for story in stories())] == GROUPS


def test_every_story_is_told_of_a_request_with_its_own_now() -> None:
    moments = {story["request"]: load(REQUESTS / story["request"])["extension"][NOW] for story in stories()}
    assert [file for file, now in moments.items() if datetime.fromisoformat(now).utcoffset() is None] == []


def test_every_bundled_request_has_a_story() -> None:
    told = {story["request"] for story in stories()}
    assert [file.name for file in sorted(REQUESTS.glob("*.json")) if file.name not in told] == []


def test_no_story_gives_the_name_of_its_patient() -> None:
    told = {story["story"] + story["title"]: load(REQUESTS / story["request"]) for story in stories()}
    named = [
        text
        for text, request in told.items()
        for name in request["prefetch"]["patient"].get("name", [])
        if name["family"] in text
    ]
    assert named == []


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_first_card_is_what_the_story_is_about(name: str) -> None:
    cards, expected = cards_of(name), EXPECTED[name]
    if expected is None:
        assert cards == []
    else:
        indicator, summary = expected
        assert cards[0]["indicator"] == indicator
        assert cards[0]["summary"].startswith(summary)


def test_the_first_story_opens_with_one_card() -> None:
    assert len(cards_of(stories()[0]["request"].removesuffix(".json"))) == 1


def test_the_synthea_request_holds_the_resources_of_its_record_unchanged() -> None:
    whole = [entry["resource"] for entry in record(TRIMMED, "Davis923")]
    prefetch = load(REQUESTS / "order-sign-synthea-record.json")["prefetch"]
    sent = [entry["resource"] for value in prefetch.values() for entry in value.get("entry", [])]
    assert [resource["id"] for resource in [prefetch["patient"], *sent] if resource not in whole] == []
