"""Which of several results counts: the latest, the worse of simultaneous ones, preliminary ones only against the patient."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from cds.snapshot import Result

_SEVERAL = 2


def latest(
    results: Sequence[Result],
    *,
    worse: Callable[[Result], tuple[Decimal, bool]],
    against: Callable[[Result], bool] = lambda _: False,
) -> Result | None:
    """The result that counts now of some that are ordered by day; None when there is none.

    ``worse`` gives a sort key, larger for the worse value; ``against`` tells whether a preliminary result would count
    against the patient. A result dated without a time is simultaneous with all others of its day.
    """
    of_the_day: list[Result] = []
    for result in reversed(results):
        if of_the_day and result.day < of_the_day[0].day:
            break
        if not result.only_against or against(result):
            of_the_day.append(result)
    if len(of_the_day) < _SEVERAL:
        return of_the_day[0] if of_the_day else None
    return max(last_of_day(of_the_day[::-1]), key=worse)


def last_final(results: Sequence[Result]) -> Result | None:
    """The latest final one of results that are ordered by day."""
    return next((result for result in reversed(results) if not result.only_against), None)


def since(results: Sequence[Result], day: date) -> Sequence[Result]:
    """Those of a day or later among results that are ordered by day."""
    return results[bisect_left(results, day, key=_day) :]


def until(results: Sequence[Result], day: date) -> Sequence[Result]:
    """Those of a day or earlier among results that are ordered by day."""
    return results[: bisect_right(results, day, key=_day)]


def last_of_day(results: list[Result]) -> list[Result]:
    """The simultaneous results that end a day: those of the last instant, or all when one has no time."""
    if any(result.effective.instant is None for result in results):
        return results
    last = max(_instant(result) for result in results)
    return [result for result in results if _instant(result) == last]


def lowest_first(result: Result) -> tuple[Decimal, bool]:
    """Sort key by which a lower value is worse; a bound such as ``<1.0`` is worse than the number itself."""
    measurement = result.measurement
    assert measurement is not None
    return (-measurement.value, measurement.comparator in {"<", "<="})


def highest_first(result: Result) -> tuple[Decimal, bool]:
    """Sort key by which a higher value is worse."""
    measurement = result.measurement
    assert measurement is not None
    return (measurement.value, measurement.comparator in {">", ">="})


def _day(result: Result) -> date:
    return result.effective.day


def _instant(result: Result) -> datetime:
    return result.effective.instant or datetime.min.replace(tzinfo=UTC)
