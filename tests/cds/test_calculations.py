"""Ages and anniversaries, against a calendar that knows nothing of this project."""

from __future__ import annotations

from datetime import date

from dateutil.relativedelta import relativedelta
from hypothesis import given
from hypothesis import strategies as st

from cds.calculations import completed_years, months_after, years_after

_LEAP_DAYS = st.sampled_from([date(1996, 2, 29), date(2000, 2, 29), date(2024, 2, 29)])
_DAYS = st.dates(date(1890, 1, 1), date(2100, 12, 31)) | _LEAP_DAYS


@given(_DAYS, _DAYS)
def test_an_age_changes_on_the_birthday_and_on_28_february_for_one_born_on_the_29th(birth: date, on: date) -> None:
    assert completed_years(birth, on) == relativedelta(on, birth).years


def test_one_born_on_a_leap_day_is_a_year_older_on_28_february() -> None:
    assert completed_years(date(2000, 2, 29), date(2023, 2, 27)) == 22
    assert completed_years(date(2000, 2, 29), date(2023, 2, 28)) == 23


@given(_DAYS, st.integers(-1200, 1200))
def test_months_later_is_the_same_day_of_the_month_or_its_last(start: date, months: int) -> None:
    assert months_after(start, months) == start + relativedelta(months=months)


@given(_DAYS, st.integers(-100, 100))
def test_years_later_is_the_anniversary(start: date, years: int) -> None:
    assert years_after(start, years) == start + relativedelta(years=years)
