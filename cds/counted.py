"""Which of several results counts: the latest, the worse of simultaneous ones, preliminary ones only against the patient."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal

from cds.snapshot import Result


def latest(
    results: Iterable[Result],
    *,
    worse: Callable[[Result], tuple[Decimal, bool]],
    against: Callable[[Result], bool] = lambda _: False,
) -> Result | None:
    """The result that counts now; None when there is none.

    ``worse`` gives a sort key, larger for the worse value; ``against`` tells whether a preliminary result would count
    against the patient. A result dated without a time is simultaneous with all others of its day.
    """
    counted = [result for result in results if not result.only_against or against(result)]
    if not counted:
        return None
    last_day = max(result.day for result in counted)
    of_the_day = [result for result in counted if result.day == last_day]
    return max(last_of_day(of_the_day), key=worse)


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


def _instant(result: Result) -> datetime:
    return result.effective.instant or datetime.min.replace(tzinfo=UTC)
