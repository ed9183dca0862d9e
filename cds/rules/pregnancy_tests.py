"""When pregnancy tests allow a prescription: which test is missing, and the next day on which the order could be valid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, timedelta
from decimal import Decimal

from cds.case import Case
from cds.findings import Evidence
from cds.parameters import Threshold
from cds.pregnancy import PregnancyTest
from cds.snapshot import LENALIDOMIDE
from cds.words import of_result, of_unread, on

_MICROSECONDS_PER_HOUR = timedelta(hours=1) // timedelta(microseconds=1)


@dataclass(frozen=True)
class Wait:
    """Why the order must wait: ``short`` goes into the headline, ``steps`` says what to do and when it could be valid."""

    short: str
    steps: str
    evidence: tuple[Evidence, ...] = ()


def before_start(case: Case) -> Wait | None:
    """What the first prescription still waits for; None when its tests are there."""
    waits = unreadable(case)
    if waits is not None:
        return waits
    limits = case.protocol.pregnancy
    if limits.single_first_test is not None:
        return _single_test(case, limits.single_first_test)
    if limits.first_test_from is None or limits.first_test_until is None or limits.second_test is None:
        return None
    return _two_tests(case, limits.first_test_from, limits.first_test_until, limits.second_test)


def contraception_ready(case: Case) -> date | None:
    """The day on which documented contraception will have lasted long enough; None when it has, or nothing is known."""
    since = case.contraception.since
    if since is None:
        return None
    ready = since + timedelta(days=int(case.protocol.contraception.lead.value))
    return ready if ready > case.course.draft_start else None


@dataclass(frozen=True)
class _Window:
    """When two tests allow the first prescription: the first test on ``first``, the order from ``opens`` to ``closes``."""

    first: date
    taken: bool
    opens: date
    closes: date


def _two_tests(case: Case, begin: Threshold, end: Threshold, hours: Threshold) -> Wait | None:
    """One test in a window of days, another within hours."""
    days = [test.day for test in case.pregnancy.negatives_since_doubt]
    first = [day for day in days if begin.holds((case.today - day).days) and end.holds((case.today - day).days)]
    second = any(_within_hours(case, test, hours) for test in case.pregnancy.negatives)
    if first and second:
        return None
    ready = contraception_ready(case) or case.today
    within = f"within {hours.amount}"
    if first and ready <= _after(first[-1], end):
        when = "today" if ready == case.today else f"on {on(ready, case.today)}"
        return Wait(
            f"pregnancy test {within} missing; the first one, {on(first[-1], case.today)}, is negative",
            f"Test {when}. If negative, sign {within} of it, by {on(_after(first[-1], end), case.today)} at the latest.",
            _last_tests(case),
        )
    window = _next_window(days, begin, end, case.today, ready)
    earliest, latest = on(window.opens, case.today), on(window.closes, case.today)
    if window.taken:
        opening = f"The negative test of {on(window.first, case.today)} can be the first one"
    else:
        opening = "Test today" if window.first == case.today else f"Test on {on(window.first, case.today)}"
    lacking = "second pregnancy test needed" if window.taken else "two negative pregnancy tests needed"
    condition, otherwise = _unless_contraception(case, window.opens)
    return Wait(
        f"{lacking}; earliest {earliest}{condition}",
        f"{opening}. Test again and sign {within} of it, from {earliest} to {latest}.{otherwise}",
        _last_tests(case),
    )


def _unless_contraception(case: Case, earliest: date) -> tuple[str, str]:
    """Where no sufficient contraception is known: since when it must have been used for a day to hold, and what else holds."""
    if case.contraception.since is not None:
        return "", ""
    lead = timedelta(days=int(case.protocol.contraception.lead.value))
    return (
        f" if on contraception since {on(earliest - lead, case.today)}",
        f" If contraception begins today: not before {on(case.today + lead, case.today)}.",
    )


def _next_window(days: list[date], begin: Threshold, end: Threshold, today: date, ready: date) -> _Window:
    """The earliest window: from the oldest negative test that will still do, else from one to be taken."""
    usable = sorted(day for day in days if _after(day, end) >= ready)
    first = usable[0] if usable else max(today, ready - timedelta(days=int(begin.value)))
    return _Window(first, bool(usable), max(_after(first, begin), ready), _after(first, end))


def _single_test(case: Case, limit: Threshold) -> Wait | None:
    """One test, after contraception has lasted long enough."""
    ready, lead = contraception_ready(case), case.protocol.contraception.lead
    if ready is not None:
        return Wait(
            f"contraception for {lead.amount} comes before the pregnancy test; earliest {on(ready, case.today)}",
            f"Test on {on(ready, case.today)}. If negative, sign by {on(_after(ready, limit), case.today)}.",
        )
    wait = _negative_within(case, limit)
    if wait is None:
        return None
    condition, otherwise = _unless_contraception(case, case.today)
    return replace(wait, short=f"{wait.short}{condition}", steps=f"{wait.steps}{otherwise}")


def before_prescription(case: Case) -> Wait | None:
    """What a later prescription still waits for."""
    return unreadable(case) or _negative_within(case, case.protocol.pregnancy.per_prescription)


def on_treatment(case: Case) -> Wait | None:
    """Whether the next test is overdue while no order is being written."""
    limit, days = _interval(case), [test.day for test in case.pregnancy.negatives]
    if days and limit.holds((case.today - days[-1]).days):
        return None
    return Wait(
        f"{_last_negative(case)} ({limit.in_words} apart)", "Tests continue during interruptions.", _last_tests(case)
    )


def unreadable(case: Case) -> Wait | None:
    """A recent test that could not be read, and that no two negative tests have followed."""
    unread = case.pregnancy.unsettled_unread(case.protocol, case.today)
    if unread is None:
        return None
    which = f"of {on(unread.day, case.today)}" if unread.day is not None else "without a readable date"
    negative = case.pregnancy.negative_days_after(unread, case.protocol, case.today)
    if negative:
        settles = f"{on(negative[-1], case.today)} is negative, one more of another day settles it"
    else:
        settles = "two negative tests of different days settle it"
    return Wait(
        f"a pregnancy test {which} could not be read",
        f"It may have been positive ({unread.reference}: {unread.why}). Read it in the record; otherwise {settles}.",
        (of_unread(unread), *_last_tests(case)),
    )


def _negative_within(case: Case, limit: Threshold) -> Wait | None:
    days = [test.day for test in case.pregnancy.negatives]
    if days and limit.holds((case.today - days[-1]).days):
        return None
    return Wait(
        f"pregnancy test needed, {_last_negative(case)} (at most {limit.amount})",
        f"Test today. If negative, sign by {on(_after(case.today, limit), case.today)}.",
        _last_tests(case),
    )


def _interval(case: Case) -> Threshold:
    """How far apart tests are on treatment now."""
    limits = case.protocol.pregnancy
    orders = [
        order.start for order in case.snapshot.orders if order.drug.token == LENALIDOMIDE and order.start is not None
    ]
    started = case.course.maintenance_start or min(orders, default=None)
    first_weeks = limits.weekly_period
    is_new = started is not None and first_weeks is not None and first_weeks.holds((case.today - started).days)
    if is_new and limits.weekly_interval is not None:
        return limits.weekly_interval
    irregular = [item for item in case.snapshot.conditions_of("irregular-menstruation") if item.active is not False]
    return limits.irregular_interval if irregular and limits.irregular_interval is not None else limits.test_interval


def _last_negative(case: Case) -> str:
    """``last negative 27 Aug, 8 days ago``, or that there is none."""
    tests = case.pregnancy.negatives
    if not tests:
        supply = case.snapshot.supplied("Observation")
        return "no negative test on record" if supply.proves_absence else f"none known, laboratory data {supply.value}"
    return f"last negative {on(tests[-1].day, case.today)}, {(case.today - tests[-1].day).days} days ago"


def _last_tests(case: Case) -> tuple[Evidence, ...]:
    return tuple(of_result(test.result) for test in case.pregnancy.tests[-2:])


def _within_hours(case: Case, test: PregnancyTest, limit: Threshold) -> bool:
    """By the clock; a test without a time counts on its calendar day only."""
    if test.instant is None:
        return test.day == case.today
    elapsed = (case.now.astimezone(UTC) - test.instant) // timedelta(microseconds=1)
    return limit.holds(Decimal(elapsed) / _MICROSECONDS_PER_HOUR)


def _after(day: date, limit: Threshold) -> date:
    return day + timedelta(days=int(limit.value))
