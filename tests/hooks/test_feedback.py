"""Feedback on cards: rows 84 to 91 of the project's conformance list, and Epic's spelling of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from hooks.feedback import feedback_records
from hooks.store import FEEDBACK
from tests.support.fixtures import Json
from tests.support.hospital import ADVISED, ORDER_SIGN, Hospital, hospital

STAMP = "2026-11-20T10:00:00Z"
ACCEPTED: Json = {
    "card": "9368d37b-283f-44a0-93ea-547cebab93ed",
    "outcome": "accepted",
    "acceptedSuggestions": [{"id": "9d4e2b7c-4a0e-4e2b-9a7e-1f1e5a0c1b2d"}],
    "outcomeTimestamp": STAMP,
}
OVERRIDDEN: Json = {
    "card": "9368d37b-283f-44a0-93ea-547cebab93ed",
    "outcome": "overridden",
    "overrideReason": {
        "reason": {"code": "taken-already", "system": "urn:lenalidomide-maintenance:override-reason"},
        "userComment": "on rivaroxaban since March",
    },
    "outcomeTimestamp": STAMP,
}
# As Epic sends a reason of its own list: plural, an object, no `reason`.
EPIC: Json = {
    "card": "9368d37b-283f-44a0-93ea-547cebab93ed",
    "outcome": "overridden",
    "overrideReasons": {
        "extension": {
            "com.epic.cdshooks.feedback.overrideReason.id": "1021",
            "com.epic.cdshooks.feedback.overrideReason.title": "Benefit outweighs risk",
        }
    },
    "outcomeTimestamp": STAMP,
}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Hospital]:
    with hospital(tmp_path) as one:
        yield one


def kept(running: Hospital) -> list[Any]:
    with running.store() as store, store.reading() as connection:
        return list(connection.execute(select(FEEDBACK).order_by(FEEDBACK.c.card, FEEDBACK.c.outcome)))


def test_r84_every_service_takes_feedback(running: Hospital) -> None:
    for index, service in enumerate(("order-select", "order-sign", "patient-view")):
        entry = {**ACCEPTED, "card": f"card-{index}"}
        assert running.feedback({"feedback": [entry]}, f"lenalidomide-{service}").status_code == 200
    assert {row.service for row in kept(running)} == {
        "lenalidomide-order-select",
        "lenalidomide-order-sign",
        "lenalidomide-patient-view",
    }


def test_r84_feedback_on_a_service_that_does_not_exist_is_not_found(running: Hospital) -> None:
    assert running.feedback({"feedback": [ACCEPTED]}, "lenalidomide").status_code == 404


def test_r84_is_posted_and_not_read(running: Hospital) -> None:
    response = running.http.get(f"/cds-services/{ORDER_SIGN}/feedback")
    assert (response.status_code, response.headers["Allow"]) == (405, "OPTIONS, POST")


def test_r85_a_batch_across_cards_is_kept_whole(running: Hospital) -> None:
    entries = [{**ACCEPTED, "card": "one"}, {**OVERRIDDEN, "card": "two"}, {**EPIC, "card": "two"}]
    response = running.feedback({"feedback": entries})
    assert (response.status_code, response.get_json()) == (200, {})
    assert [(row.card, row.outcome) for row in kept(running)] == [
        ("one", "accepted"),
        ("two", "overridden"),
        ("two", "overridden"),
    ]


@pytest.mark.parametrize("document", [{"feedback": ACCEPTED}, ACCEPTED], ids=["no list", "no member feedback"])
def test_r85_one_entry_alone_is_taken_too(document: Json, running: Hospital) -> None:
    assert running.feedback(document).status_code == 200
    assert len(kept(running)) == 1


def test_r85_the_same_feedback_sent_again_is_recorded_once(running: Hospital) -> None:
    for _ in range(3):
        assert running.feedback({"feedback": [OVERRIDDEN, OVERRIDDEN]}).status_code == 200
    assert len(kept(running)) == 1


def test_r85_a_second_thought_is_added_and_replaces_nothing(running: Hospital) -> None:
    running.feedback({"feedback": [OVERRIDDEN]})
    running.feedback({"feedback": [{**ACCEPTED, "card": OVERRIDDEN["card"]}]})
    assert [row.outcome for row in kept(running)] == ["accepted", "overridden"]


def test_r85_without_a_time_the_same_words_later_are_a_second_thought() -> None:
    entry = {"card": "one", "outcome": "accepted"}
    minutes = [datetime(2026, 11, 20, 10, minute, 30, tzinfo=UTC) for minute in (0, 0, 1)]
    ids = [feedback_records(entry, ORDER_SIGN, "open", received)[0][0]["id"] for received in minutes]
    assert ids[0] == ids[1]
    assert ids[1] != ids[2]


def test_r86_feedback_leads_to_the_decision_by_the_card_alone(running: Hospital) -> None:
    response = running.post(ADVISED)
    (card,) = response.get_json()["cards"]
    running.feedback({"feedback": [{**OVERRIDDEN, "card": card["uuid"].upper()}]})
    (row,) = kept(running)
    with running.store() as store:
        decision = store.decision(row.card)
    assert decision is not None
    assert decision.id == response.headers["X-Decision-Id"]


def test_r86_feedback_on_an_unknown_card_is_kept(running: Hospital) -> None:
    assert running.feedback({"feedback": [{**ACCEPTED, "card": "of another service"}]}).status_code == 200
    assert [row.card for row in kept(running)] == ["of another service"]


def test_r88_the_accepted_suggestions_are_kept(running: Hospital) -> None:
    running.feedback({"feedback": [ACCEPTED]})
    (row,) = kept(running)
    assert ACCEPTED["acceptedSuggestions"][0]["id"] in row.document


def test_r88_accepted_without_saying_which_suggestion_is_kept(running: Hospital) -> None:
    entry = {key: value for key, value in ACCEPTED.items() if key != "acceptedSuggestions"}
    assert running.feedback({"feedback": [entry]}).status_code == 200
    assert len(kept(running)) == 1


@pytest.mark.parametrize(
    ("given_as", "reason"),
    [
        ({}, None),
        ({"overrideReason": None}, None),
        (
            {"overrideReason": {"reason": {"code": "bleeding-risk", "system": "x", "display": "Risk of bleeding"}}},
            "bleeding-risk",
        ),
        ({"overrideReason": {"reason": {"code": "bleeding-risk"}}}, "bleeding-risk"),
        ({"overrideReason": {"userComment": "seen by the haematologist"}}, "comment only"),
        ({"overrideReasons": {"reason": {"code": "bleeding-risk", "system": "x"}}}, "bleeding-risk"),
        ({"overrideReasons": [{"reason": {"code": "bleeding-risk", "system": "x"}}]}, "bleeding-risk"),
        ({"overrideReasons": EPIC["overrideReasons"]}, "id=1021 title=Benefit outweighs risk"),
        ({"overrideReason": "free text where an object belongs"}, "comment only"),
        ({"overrideReason": {"code": "bleeding-risk", "system": "x"}}, "bleeding-risk"),
        ({"overrideReasons": [{"code": "bleeding-risk"}], "userComment": "melaena"}, "bleeding-risk"),
        ({"overrideReason": {}, "userComment": "melaena"}, "comment only"),
        ({"overrideReason": {"reason": {"code": 7}}}, None),
    ],
)
def test_r89_the_reason_is_read_in_both_spellings_and_is_not_required(
    given_as: Json, reason: str | None, running: Hospital
) -> None:
    entry = {"card": "one", "outcome": "overridden", "outcomeTimestamp": STAMP, **given_as}
    assert running.feedback({"feedback": [entry]}).status_code == 200
    (row,) = kept(running)
    assert row.reason == reason


def test_r89_a_comment_is_kept_as_it_was_written(running: Hospital) -> None:
    comment = "«déjà» \U0001f48a \0 \ud800\r\n<script>"
    entry = {**OVERRIDDEN, "overrideReason": {"userComment": comment}}
    assert running.feedback({"feedback": [entry]}).status_code == 200
    (row,) = kept(running)
    assert json.loads(json.loads(row.document)["entry"])["overrideReason"]["userComment"] == comment


@pytest.mark.parametrize(
    ("stamp", "instant"),
    [
        ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00+00:00"),
        ("2026-11-20T10:00:00.123456Z", "2026-11-20T10:00:00.123456+00:00"),
        ("2026-11-20T11:00:00+01:00", "2026-11-20T10:00:00+00:00"),
        ("2026-11-20T10:00:00", "2026-11-20T10:00:00+00:00"),
    ],
)
def test_r90_the_time_is_read_with_fractions_and_offsets(stamp: str, instant: str, running: Hospital) -> None:
    assert running.feedback({"feedback": [{**ACCEPTED, "outcomeTimestamp": stamp}]}).status_code == 200
    (row,) = kept(running)
    assert row.at.isoformat() == instant


def test_r90_without_a_time_it_is_the_time_of_arrival(running: Hospital) -> None:
    entry = {key: value for key, value in ACCEPTED.items() if key != "outcomeTimestamp"}
    assert running.feedback({"feedback": [entry]}).status_code == 200
    (row,) = kept(running)
    assert row.at == row.received


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ([], "body"),
        ({}, "feedback"),
        ({"feedback": []}, "feedback"),
        ({"feedback": "accepted"}, "feedback"),
        ({"feedback": [7]}, "feedback[0]"),
        ({"feedback": [{"outcome": "accepted"}]}, "feedback[0].card"),
        ({"feedback": [{"card": " ", "outcome": "accepted"}]}, "feedback[0].card"),
        ({"feedback": [{"card": "x" * 201, "outcome": "accepted"}]}, "feedback[0].card"),
        ({"feedback": [{"card": "x"}]}, "feedback[0].outcome"),
        ({"feedback": [{"card": "x", "outcome": "ignored"}]}, "feedback[0].outcome"),
        ({"feedback": [{"card": "x", "outcome": ["accepted"]}]}, "feedback[0].outcome"),
        (
            {"feedback": [{"card": "x", "outcome": "accepted", "outcomeTimestamp": "yesterday"}]},
            "feedback[0].outcomeTimestamp",
        ),
        ({"feedback": [{"card": "x", "outcome": "accepted", "outcomeTimestamp": 7}]}, "feedback[0].outcomeTimestamp"),
    ],
)
def test_r87_what_is_no_feedback_is_refused_and_the_field_named(document: Any, field: str, running: Hospital) -> None:
    response = running.feedback(document)
    assert response.status_code == 400
    assert response.get_json()["issue"][0]["expression"] == [field]


def test_of_a_batch_with_a_faulty_entry_the_others_are_kept_and_the_refusal_says_so(running: Hospital) -> None:
    response = running.feedback({"feedback": [ACCEPTED, {"card": "x"}, OVERRIDDEN]})
    assert response.status_code == 400
    issue = response.get_json()["issue"][0]
    assert issue["expression"] == ["feedback[1].outcome"]
    assert "2 other entries were recorded" in issue["diagnostics"]
    assert len(kept(running)) == 2


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(member=st.sampled_from([*OVERRIDDEN, "overrideReasons", "acceptedSuggestions"]), value=ANY_JSON)
def test_whatever_a_member_holds_it_is_kept_or_refused(member: str, value: Any, running: Hospital) -> None:
    entry = {**deepcopy(OVERRIDDEN), member: value}
    assert running.feedback({"feedback": [entry]}).status_code in {200, 400}
    assert running.state()["counts"].get("records refused", 0) == 0
