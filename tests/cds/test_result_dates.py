"""Laboratory results: of which day they are, and which of several counts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cds.snapshot import Fault
from tests.support.fhir import (
    NOW,
    OBSERVATION,
    fired,
    judged,
    labs,
    observation,
    request,
    results,
    snapshot,
    value_of,
    with_resources,
    without,
)

# --- Date ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effective", "day"),
    [
        ({"effectiveDateTime": "2024-05-10"}, date(2024, 5, 10)),
        ({"effectiveDateTime": "2024-05-10T08:00:00Z"}, date(2024, 5, 10)),
        ({"effectiveDateTime": "2024-05-10T23:30:00-05:00"}, date(2024, 5, 11)),
        ({"effectiveDateTime": "2024-05-10T00:30:00+05:00"}, date(2024, 5, 9)),
        ({"effectiveDateTime": "2024-05-10T08:00:00.123456Z"}, date(2024, 5, 10)),
        ({"effectiveInstant": "2024-05-10T08:00:00Z"}, date(2024, 5, 10)),
        ({"effectivePeriod": {"start": "2024-05-08", "end": "2024-05-10"}}, date(2024, 5, 10)),
        ({"effectivePeriod": {"start": "2024-05-08"}}, date(2024, 5, 8)),
        ({"effectivePeriod": {"start": "2024-05-08"}, "issued": "2024-05-10T08:00:00Z"}, date(2024, 5, 10)),
        ({"effectiveTiming": {"event": ["2024-05-08", "2024-05-10"]}}, date(2024, 5, 10)),
        ({"issued": "2024-05-10T08:00:00Z"}, date(2024, 5, 10)),
        ({"effectiveDateTime": "2024-05-10", "issued": "2024-05-12T08:00:00Z"}, date(2024, 5, 10)),
        ({"effectiveTiming": {"repeat": {"frequency": 1}}, "issued": "2024-05-10T08:00:00Z"}, date(2024, 5, 10)),
    ],
    ids=str,
)
def test_a_result_is_of_the_day_its_specimen_was_taken(effective: dict[str, Any], day: date) -> None:
    (result,) = results("anc", observation("anc", 2, "10*9/L", **{"effectiveDateTime": None, **effective}))

    assert result.day == day


@pytest.mark.parametrize(
    "effective",
    [
        {},
        {"effectiveDateTime": "2024"},
        {"effectiveDateTime": "2024-05"},
        {"effectiveDateTime": "yesterday"},
        {"effectiveDateTime": "2024-02-30"},
        {"effectiveDateTime": "2024-05-10T25:00:00Z"},
        {"effectiveDateTime": 20240510},
        {"effectiveDateTime": {"value": "2024-05-10"}},
        {"effectivePeriod": {}},
        {"effectivePeriod": "2024-05-10"},
        {"effectiveTiming": {"event": []}},
    ],
    ids=str,
)
def test_a_result_without_a_day_is_unread(effective: dict[str, Any]) -> None:
    read = snapshot(observation("anc", 2, "10*9/L", **{"effectiveDateTime": None, **effective}))

    assert read.of("anc") == ()
    assert [item.reference for item in read.unread] == [OBSERVATION]


def test_the_organisations_zone_decides_the_day() -> None:
    anc = observation("anc", 2, "10*9/L", effectiveDateTime="2024-05-14T20:30:00Z")
    instant = datetime(2024, 5, 14, 21, 0, tzinfo=UTC)

    (in_utc,) = results("anc", anc, now=instant)
    (in_auckland,) = results("anc", anc, now=instant.astimezone(ZoneInfo("Pacific/Auckland")))

    assert (in_utc.day, in_auckland.day) == (date(2024, 5, 14), date(2024, 5, 15))


def test_a_time_without_a_zone_is_local_time_of_the_organisation() -> None:
    anc = observation("anc", 2, "10*9/L", effectiveDateTime="2024-05-15T00:30:00")

    (result,) = results("anc", anc, now=NOW.astimezone(ZoneInfo("Pacific/Auckland")))

    assert result.day == date(2024, 5, 15)
    assert result.effective.instant == datetime(2024, 5, 14, 12, 30, tzinfo=UTC)


def test_the_zone_moves_a_count_across_the_edge_of_its_window() -> None:
    # Seven days back in UTC is eight in Auckland, where it is already the 16th.
    now = datetime(2024, 5, 15, 13, 0, tzinfo=UTC)
    anc = [{"value": "2.4", "unit": "10*9/L", "at": "2024-05-08T09:00:00+00:00"}]

    assert "monitoring.cbc-due" not in fired(request(labs=labs(anc=anc)), now)
    assert "monitoring.cbc-due" in fired(request(labs=labs(anc=anc)), now.astimezone(ZoneInfo("Pacific/Auckland")))


def test_a_result_of_later_today_or_later_is_named_and_counts_only_against_the_patient() -> None:
    for moment in ("2024-05-15T09:00:01Z", "2024-05-16"):
        read = snapshot(observation("anc", Decimal("0.4"), "10*9/L", effectiveDateTime=moment))
        (result,) = read.of("anc")
        assert result.only_against
        assert [(item.reference, item.fault) for item in read.unread] == [(OBSERVATION, Fault.FUTURE)]


def test_a_result_of_this_very_moment_is_not_of_the_future() -> None:
    for moment in ("2024-05-15T09:00:00Z", "2024-05-15T11:00:00+02:00", "2024-05-15"):
        (result,) = results("anc", observation("anc", 2, "10*9/L", effectiveDateTime=moment))
        assert not result.only_against


def test_a_future_low_count_holds_treatment_and_a_future_good_one_hides_nothing() -> None:
    low = observation("anc", Decimal("0.4"), "10*9/L", id="anc-low", effectiveDateTime="2024-05-20")
    good = observation("anc", Decimal("2.4"), "10*9/L", id="anc-good", effectiveDateTime="2024-05-20")
    low_now = request(labs=labs(anc=[{"value": "0.4", "unit": "10*9/L"}]))

    assert judged(with_resources(request(), low))["recommendation"]["action"] == "hold"
    assert judged(with_resources(low_now, good))["recommendation"]["action"] == "hold"


def test_the_window_counts_calendar_days() -> None:
    for age, due in ((7, False), (8, True)):
        day = (NOW.date() - timedelta(days=age)).isoformat()
        anc = [{"value": "2.4", "unit": "10*9/L", "date": day}]
        assert ("monitoring.cbc-due" in fired(request(labs=labs(anc=anc)))) is due


# --- The same test more than once ------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [("0.4", "2.4"), ("2.4", "0.4")])
def test_of_two_counts_of_the_same_instant_the_lower_one_counts(order: tuple[str, str]) -> None:
    anc = [{"value": value, "unit": "10*9/L", "at": "2024-05-15T08:00:00+00:00"} for value in order]

    assert judged(request(labs=labs(anc=anc)))["recommendation"]["action"] == "hold"


@pytest.mark.parametrize("order", [("1.0", "2.0"), ("2.0", "1.0")])
def test_of_two_creatinines_of_the_same_instant_the_higher_one_counts(order: tuple[str, str]) -> None:
    creatinine = [{"value": value, "unit": "mg/dL", "at": "2024-05-15T08:00:00+00:00"} for value in order]

    # The clearance of a man of 64 with 80 kg and the creatinine 2.0.
    assert judged(request(labs=labs(creatinine=creatinine)))["facts"]["crcl_ml_min"] == 42.2


def test_the_later_of_one_day_counts_and_offsets_do_not_mislead() -> None:
    anc = [
        {"value": "0.4", "unit": "10*9/L", "at": "2024-05-15T09:30:00+02:00"},
        {"value": "2.4", "unit": "10*9/L", "at": "2024-05-15T08:00:00+00:00"},
    ]

    assert judged(request(labs=labs(anc=anc)))["recommendation"]["action"] == "proceed"


def test_one_result_under_two_prefetch_keys_is_one_result() -> None:
    anc = observation("anc", 2, "10*9/L")

    assert len(results("anc", anc, dict(anc))) == 1


_OLDER = {"versionId": "9", "lastUpdated": "2024-05-14T10:00:00Z"}
_NEWER = {"versionId": "10", "lastUpdated": "2024-05-14T12:00:00Z"}


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (_OLDER, _NEWER),
        ({"versionId": "9"}, {"versionId": "10"}),
        ({"lastUpdated": "2024-05-14T10:00:00Z"}, {"lastUpdated": "2024-05-14T12:00:00Z"}),
        # 09:00 at +02:00 is earlier than 08:30 UTC.
        ({"lastUpdated": "2024-05-14T09:00:00+02:00"}, {"lastUpdated": "2024-05-14T08:30:00Z"}),
    ],
)
def test_an_amended_result_replaces_its_older_version(
    older: dict[str, str], newer: dict[str, str], *, newest_first: bool
) -> None:
    first = observation("anc", Decimal("0.4"), "10*9/L", meta=older)
    second = observation("anc", Decimal("1.4"), "10*9/L", status="amended", meta=newer)

    pair = (second, first) if newest_first else (first, second)

    assert value_of("anc", *pair) == Decimal("1.4")


def test_a_result_withdrawn_in_a_newer_version_does_not_count() -> None:
    first = observation("anc", Decimal("0.4"), "10*9/L", meta=_OLDER)
    withdrawn = observation("anc", Decimal("0.4"), "10*9/L", status="entered-in-error", meta=_NEWER)

    assert results("anc", first, withdrawn) == ()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_contents_under_one_id_without_versions_the_worse_counts(order: tuple[int, int]) -> None:
    both = [observation("anc", Decimal(value), "10*9/L", id="anc-x") for value in ("0.4", "2.4")]
    hook_request = with_resources(without(request(), "observations", "anc-1"), *(both[index] for index in order))

    assert judged(hook_request)["recommendation"]["action"] == "hold"
