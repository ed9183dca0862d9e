"""The pregnancy prevention card: what it offers, where it stands beside the dose card, and when a day is over."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.support.fixtures import action, fired
from tests.support.women import Json, asks_for_a_test, judged, offered, pregnancy_card, request_of

SERUM_TEST = {
    "system": "http://loinc.org",
    "code": "2118-8",
    "display": "Choriogonadotropin (pregnancy test) [Presence] in Serum or Plasma",
}
FIRST = {"result": "negative", "days_ago": "12"}
PREGNANT = [{"code": "multiple-myeloma"}, {"code": "pregnancy", "onset": "2024-08-01"}]
DRAFT = {"dose_mg": "5", "schedule_days": "28", "days_supply": "28", "refills": "0"}


def at(hook: str, name: str, **changes: Any) -> Json:
    return judged(request_of(name, hook=hook, **changes))


def topic_and_decision(card: Json) -> tuple[str, str]:
    return card["source"]["topic"]["code"], card["extension"]["org.lenalidomide-maintenance.decision"]


# --- Offers ---


def test_one_click_orders_the_coded_pregnancy_test_of_this_patient() -> None:
    first = offered(pregnancy_card(judged(request_of("start-no-test"))))[0]

    assert first["type"] == "create"
    assert first["resource"]["resourceType"] == "ServiceRequest"
    assert first["resource"]["status"] == "draft"
    assert first["resource"]["code"]["coding"] == [SERUM_TEST]
    assert first["resource"]["subject"] == {"reference": "Patient/patient-1"}


def test_counselling_is_ordered_by_its_own_code_system() -> None:
    orders = [one["resource"] for one in offered(pregnancy_card(judged(request_of("contraception-none"))))]

    assert [order["code"]["coding"][0]["system"] for order in orders] == ["http://snomed.info/sct"]


def test_an_order_that_waits_for_a_test_can_be_taken_back_after_the_test_is_offered() -> None:
    kinds = [one["type"] for one in offered(pregnancy_card(judged(request_of("start-second-test-missing"))))]

    assert kinds == ["create", "delete"]


def test_a_pregnancy_takes_all_drafts_of_the_regimen_away_and_offers_nothing_else() -> None:
    answer = judged(request_of("pregnant", drafts=[DRAFT, DRAFT]))

    assert [one["resourceId"] for one in offered(pregnancy_card(answer))] == [
        "MedicationRequest/draft-1",
        "MedicationRequest/draft-2",
    ]
    assert len(answer["cards"]) == 1


def test_a_pregnancy_outweighs_whatever_else_is_wrong_with_the_order() -> None:
    answer = judged(request_of("pregnant", drafts=[{**DRAFT, "dose_mg": "25", "refills": "3"}]))

    assert action(answer) == "discontinue"
    assert [card["source"]["topic"]["display"] for card in answer["cards"]] == ["teratogenicity.pregnant"]
    assert "dosing.max-dose" in fired(answer)


def test_while_tests_are_missing_the_dose_card_corrects_nothing_and_claims_nothing() -> None:
    answer = judged(request_of("start-no-test", drafts=[{**DRAFT, "dose_mg": "15", "refills": "2"}]))
    _, dose = answer["cards"]

    assert action(answer) == "defer"
    assert dose["source"]["topic"]["display"] == "dosing.start-dose"
    assert "suggestions" not in dose
    assert "Cannot be judged" not in dose["detail"]


def test_a_dose_is_corrected_where_the_pregnancy_card_only_asks_for_documents() -> None:
    answer = judged(request_of("contraception-none", drafts=[{**DRAFT, "dose_mg": "15"}]))
    dose, pregnancy = (
        answer["cards"] if "dosing" in answer["cards"][0]["source"]["topic"]["display"] else answer["cards"][::-1]
    )

    assert action(answer) == "modify 10/28"
    assert [one["type"] for one in offered(dose)] == ["update"]
    assert [one["type"] for one in offered(pregnancy)] == ["create"]


# --- The same advice at both hooks ---


@pytest.mark.parametrize(
    "name",
    [
        "start-no-test",
        "start-second-test-missing",
        "renewal-8-days",
        "pregnant",
        "test-positive",
        "conflict-one-negative",
    ],
)
def test_the_same_advice_is_recognised_at_order_sign(name: str) -> None:
    selected, signed = (pregnancy_card(at(hook, name)) for hook in ("order-select", "order-sign"))

    assert topic_and_decision(selected) == topic_and_decision(signed)
    assert selected["uuid"] == signed["uuid"] or selected["summary"] == signed["summary"]


def test_it_is_recognised_though_the_dose_was_not_written_yet() -> None:
    unfinished = {**DRAFT, "dose_mg": None, "schedule_days": None}
    selected = pregnancy_card(at("order-select", "start-no-test", drafts=[unfinished]))

    assert topic_and_decision(selected) == topic_and_decision(pregnancy_card(at("order-sign", "start-no-test")))


def test_a_hold_and_a_stop_are_different_decisions() -> None:
    stop, hold = (pregnancy_card(at("order-sign", name)) for name in ("test-positive", "conflict-one-negative"))

    assert stop["source"]["topic"]["code"] == "teratogenicityPositiveTestCritical"
    assert hold["source"]["topic"]["code"] == "teratogenicityPositiveTestWarning"
    assert topic_and_decision(stop)[1] != topic_and_decision(hold)[1]


# --- Override reasons ---


def test_the_card_has_its_own_reasons_to_override() -> None:
    reasons = pregnancy_card(judged(request_of("start-no-test")))["overrideReasons"]

    assert [reason["code"] for reason in reasons] == [
        "documented-elsewhere",
        "cannot-become-pregnant",
        "pregnancy-ruled-out",
        "not-dispensed-before-test",
        "data-outdated",
    ]


def test_there_is_nothing_to_override_in_counselling() -> None:
    card = pregnancy_card(judged(request_of("counselling-at-the-start")))

    assert card["indicator"] == "info"
    assert "overrideReasons" not in card
    assert "suggestions" not in card


def test_counselling_waits_for_an_order_that_can_be_signed() -> None:
    answer = judged(request_of("counselling-at-the-start", drafts=[{**DRAFT, "dose_mg": "15"}]))

    assert [card["source"]["topic"]["display"] for card in answer["cards"]] == ["dosing.start-dose"]


def test_counselling_is_not_given_when_the_order_is_only_selected() -> None:
    assert at("order-select", "counselling-at-the-start")["cards"] == []


# --- Days and hours ---

PARIS = ZoneInfo("Europe/Paris")
AUCKLAND = ZoneInfo("Pacific/Auckland")


def test_a_date_without_a_time_is_a_day_of_the_organisation() -> None:
    """In Paris it is already the 5th: a test of the 4th is yesterday's."""
    late = datetime(2024, 9, 4, 22, 30, tzinfo=UTC)
    tests = [{"result": "negative", "date": "2024-08-23"}, {"result": "negative", "date": "2024-09-04"}]

    assert "teratogenicity.test-initial" not in fired(judged(request_of("start-no-test", tests=tests), now=late))
    assert "teratogenicity.test-initial" in fired(
        judged(request_of("start-no-test", tests=tests), zone=PARIS, now=late)
    )


def test_a_time_is_an_instant_whatever_the_zone() -> None:
    tests = [FIRST, {"result": "negative", "at": "2024-09-03T11:00:00+02:00"}]

    for zone in (UTC, PARIS, AUCKLAND):
        assert "teratogenicity.test-initial" not in fired(judged(request_of("start-no-test", tests=tests), zone=zone))


def test_the_first_test_counts_on_its_calendar_day_in_the_organisation() -> None:
    """23:30 in London on the 25th is the 26th in Auckland: ten days before the 5th, which it is there already."""
    now = datetime(2024, 9, 4, 21, tzinfo=UTC)
    tests = [
        {"result": "negative", "at": "2024-08-25T22:30:00+00:00"},
        {"result": "negative", "at": "2024-09-04T20:00:00+00:00"},
    ]

    assert "teratogenicity.test-initial" not in fired(
        judged(request_of("start-no-test", tests=tests), zone=AUCKLAND, now=now)
    )


@pytest.mark.parametrize(
    ("tests", "until"),
    [
        ([{"result": "negative", "date": "2024-02-17"}], "by 2 Mar at the latest"),
        ([{"result": "negative", "date": "2024-02-18"}], "by 3 Mar at the latest"),
    ],
)
def test_the_last_day_is_counted_over_a_leap_day(tests: list[Json], until: str) -> None:
    now = datetime(2024, 2, 29, 9, tzinfo=UTC)
    card = pregnancy_card(judged(request_of("start-no-test", tests=tests, contraception=[], drafts=[DRAFT]), now=now))

    assert until in card["detail"]


# --- Without an order ---


def test_a_visit_of_a_patient_who_never_had_the_drug_says_nothing_of_pregnancy() -> None:
    assert at("patient-view", "start-no-test")["cards"] == []


def test_at_a_visit_there_is_no_order_to_take_back() -> None:
    card = pregnancy_card(judged(request_of("pregnant-at-a-visit")))

    assert offered(card) == []
    assert not asks_for_a_test(judged(request_of("pregnant-at-a-visit")))
