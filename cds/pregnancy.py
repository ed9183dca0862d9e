"""What the record says of pregnancy today: tests with their verdicts, recorded pregnancies, breastfeeding."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum

from cds.lazy import lazy
from cds.protocol import Protocol
from cds.snapshot import ConditionFact, Fault, PatientSnapshot, Result, Unread

HCG = "hcg"
BREASTFEEDING = ("lactation", "breastfeeding-status")
_PREGNANCY, _POSSIBLE, _OBSTETRIC = "pregnancy", "pregnancy-unconfirmed", "obstetric-condition"
_STATUS, _DELIVERY_DATE = "pregnancy-status", "estimated-delivery-date"
_LACTATION, _FEEDING = BREASTFEEDING
_MAY_BE_A_TEST = (Fault.UNIT, Fault.IMPLAUSIBLE, Fault.CODE, Fault.ABSENT, Fault.OTHER)
_NEGATIVES_THAT_SETTLE = 2  # the rule's own word: one negative test does not undo a positive one

Record = ConditionFact | Result | Unread
"""Where something is recorded."""


class Verdict(Enum):
    """What a pregnancy test says."""

    NEGATIVE = "negative"
    INDETERMINATE = "indeterminate"
    POSITIVE = "positive"


_WORSE = list(Verdict)
_ANSWERS = {
    "negative": Verdict.NEGATIVE,
    "not-pregnant": Verdict.NEGATIVE,
    "positive": Verdict.POSITIVE,
    "pregnant": Verdict.POSITIVE,
}
# "Positive" and a bare yes are how some records answer the question for a pregnancy, or for breastfeeding.
_PREGNANT, _SUSPECTED = {"pregnant", "positive"}, {"pregnancy-possible", "indeterminate"}
_NOT_PREGNANT = {"not-pregnant", "negative"}
_When = tuple[date, int, datetime]


@dataclass(frozen=True)
class PregnancyTest:
    """One hCG test that could be read."""

    verdict: Verdict
    result: Result

    @property
    def day(self) -> date:
        """Calendar date of the specimen."""
        return self.result.day

    @property
    def instant(self) -> datetime | None:
        """Time of the specimen, where it was given."""
        return self.result.effective.instant

    @property
    def when(self) -> _When:
        """Sorts by time. Without a time a negative test opens its day, and any other ends it."""
        return _moment(self.day, self.instant, opens_day=self.verdict is Verdict.NEGATIVE)


@dataclass(frozen=True)
class PregnancyRecord:
    """``tests`` oldest first; ``possible`` pregnancies without those that a later negative test has settled.

    ``unread_tests`` may have been positive; ``unread`` are recent entries about pregnancy or breastfeeding that could not
    be read, settled or not.
    """

    tests: tuple[PregnancyTest, ...]
    unread_tests: tuple[Unread, ...]
    pregnancies: tuple[Record, ...]
    possible: tuple[Record, ...]
    breastfeeding: tuple[Record, ...]
    unread: tuple[Unread, ...]

    @lazy
    def latest(self) -> PregnancyTest | None:
        """The latest test; one without a time is simultaneous with all others of its day, of which the worst counts."""
        of_the_day = [test for test in self.tests if test.day == self.tests[-1].day]
        if any(test.instant is None for test in of_the_day):
            return max(of_the_day, key=lambda test: _WORSE.index(test.verdict))
        return self.tests[-1] if self.tests else None

    @property
    def negatives_since_doubt(self) -> tuple[PregnancyTest, ...]:
        """Negative tests after the last one that was not, oldest first."""
        doubt = max((test.when for test in self.tests if test.verdict is not Verdict.NEGATIVE), default=None)
        return tuple(test for test in self.negatives if doubt is None or test.when > doubt)

    @lazy
    def negatives(self) -> tuple[PregnancyTest, ...]:
        """Negative tests, oldest first."""
        return tuple(test for test in self.tests if test.verdict is Verdict.NEGATIVE)

    def unsettled_positive(self, protocol: Protocol, today: date) -> PregnancyTest | None:
        """The last positive test of late that fewer than two negative ones have followed."""
        positive = [test for test in self.tests if test.verdict is Verdict.POSITIVE]
        return next((test for test in reversed(positive) if self._is_open(test.day, test.when, protocol, today)), None)

    def unsettled_unread(self, protocol: Protocol, today: date) -> Unread | None:
        """A test of late that could not be read, and that fewer than two negative ones have followed.

        One without a date, or of a day to come, is settled by two negative tests of late.
        """
        for unread in reversed(self.unread_tests):
            late = unread.day is None or _is_late(unread.day, protocol, today)
            if late and len(self.negative_days_after(unread, protocol, today)) < _NEGATIVES_THAT_SETTLE:
                return unread
        return None

    def negative_days_after(self, unread: Unread, protocol: Protocol, today: date) -> list[date]:
        """The days of negative tests that count against one that could not be read, oldest first."""
        if unread.day is None or unread.day > today:
            return sorted({test.day for test in self.negatives if _is_late(test.day, protocol, today)})
        return self._negative_days_after(_moment(unread.day, unread.instant))

    def _is_open(self, day: date, when: _When, protocol: Protocol, today: date) -> bool:
        return _is_late(day, protocol, today) and len(self._negative_days_after(when)) < _NEGATIVES_THAT_SETTLE

    def _negative_days_after(self, when: _When) -> list[date]:
        # Days and not tests: one specimen is often reported twice.
        return sorted({test.day for test in self.negatives if test.when > when})


def read_pregnancy_record(snapshot: PatientSnapshot, protocol: Protocol, today: date) -> PregnancyRecord:
    """All that bears on a pregnancy now. What cannot be read counts as possible, never as excluded."""
    tests = tuple(sorted(_tests(snapshot, protocol), key=lambda test: (test.when, _WORSE.index(test.verdict))))
    last_negative = max((test.day for test in tests if test.verdict is Verdict.NEGATIVE), default=date.min)
    certain, possible = _recorded(snapshot, protocol, today)
    unread = _unread(snapshot, {_PREGNANCY, _POSSIBLE, _OBSTETRIC, _STATUS, _DELIVERY_DATE})
    worded = _unread(snapshot, {_PREGNANCY, _POSSIBLE, _STATUS, _DELIVERY_DATE}, Fault.WORDS, Fault.CODE)
    possible += [*unread, *(item for item in worded if _counts_now(item.day, protocol, today))]
    # A test that settles words does not tell when they were said: they are still named.
    unread += [item for item in worded if item.fault is Fault.WORDS and item.day is None]
    unread += _unread(snapshot, {_LACTATION, _FEEDING})
    return PregnancyRecord(
        tests,
        tuple(item for item in snapshot.unread_of(HCG) if item.fault in _MAY_BE_A_TEST),
        tuple(certain),
        tuple(record for record in possible if not _is_settled(record, last_negative, protocol, today)),
        tuple(breastfeeding(snapshot, protocol, today)),
        tuple(record for record in unread if _counts_now(record.day, protocol, today)),
    )


def breastfeeding(snapshot: PatientSnapshot, protocol: Protocol, today: date) -> list[Record]:
    """Records of breastfeeding now."""
    limit = protocol.pregnancy.breastfeeding_counts
    found: list[Record] = [
        condition
        for condition in snapshot.conditions_of(_LACTATION)
        if not condition.is_over(today)
        and (condition.active is True or condition.day is None or limit.holds((today - condition.day).days))
    ]
    stated = _stated(snapshot.of(_FEEDING), {"breastfeeding", "positive"}, {"not-breastfeeding", "negative"})
    return [*found, stated] if stated is not None and limit.holds((today - stated.day).days) else found


def _tests(snapshot: PatientSnapshot, protocol: Protocol) -> Iterable[PregnancyTest]:
    for result in snapshot.of(HCG):
        verdict = _verdict(result, protocol)
        if verdict is not Verdict.NEGATIVE or not result.only_against:
            yield PregnancyTest(verdict, result)


def _verdict(result: Result, protocol: Protocol) -> Verdict:
    """By number and by words; where both are given and differ, the worse."""
    said = _ANSWERS.get(result.answer or "", Verdict.INDETERMINATE)
    if result.measurement is None:
        return said
    if protocol.pregnancy.hcg_positive.holds_for(result.measurement):
        return Verdict.POSITIVE
    negative = protocol.pregnancy.hcg_negative.holds_for(result.measurement)
    if result.answer is not None and (negative is None or said is not Verdict.NEGATIVE):
        return said
    return Verdict.NEGATIVE if negative else Verdict.INDETERMINATE


def _recorded(snapshot: PatientSnapshot, protocol: Protocol, today: date) -> tuple[list[Record], list[Record]]:
    """Pregnancies recorded, and records that leave one possible."""
    certain: list[Record] = []
    possible: list[Record] = []
    for condition in snapshot.conditions_of(_PREGNANCY, _POSSIBLE, _OBSTETRIC):
        if _is_sure(condition, protocol, today):
            certain.append(condition)
        elif _is_possible(condition, protocol, today):
            possible.append(condition)
    statuses = snapshot.of(_STATUS)
    # A suspicion later does not take back what was certain.
    for says, where in ((_PREGNANT, certain), (_SUSPECTED, possible)):
        status = _stated(statuses, says, _NOT_PREGNANT)
        if status is not None and _counts_now(status.day, protocol, today):
            where.append(status)
    for delivery in snapshot.of(_DELIVERY_DATE):
        if delivery.told is not None and delivery.told >= today:
            denied = any(_denies(other, delivery, _NOT_PREGNANT) for other in statuses)
            # A date further away than a pregnancy lasts is a slip of the pen, and of what nobody knows.
            credible = protocol.pregnancy.record_counts.holds((delivery.told - today).days)
            (certain if credible and not denied else possible).append(delivery)
    return certain, possible


def _is_sure(condition: ConditionFact, protocol: Protocol, today: date) -> bool:
    """An active pregnancy; one without a clinical status for as long as a pregnancy lasts."""
    ended = condition.abated is not None and condition.abated <= today
    if condition.token != _PREGNANCY or condition.confirmed is False or ended:
        return False
    return condition.active is True or (condition.active is None and _counts_now(condition.day, protocol, today))


def _is_possible(condition: ConditionFact, protocol: Protocol, today: date) -> bool:
    """A pregnancy that is suspected, of unknown status, or both active and ended; an obstetric diagnosis of late."""
    if condition.is_over(today):
        return False
    return condition.token != _OBSTETRIC or _counts_now(condition.day, protocol, today)


def _stated(results: tuple[Result, ...], says: Container[str | None], denies: Container[str | None]) -> Result | None:
    """The last statement against treatment, unless a final one denied it later; an answer that knows nothing denies nothing."""
    against = [result for result in results if result.answer in says]
    if not against or any(_denies(other, against[-1], denies) for other in results):
        return None
    return against[-1]


def _denies(denial: Result, statement: Result, denies: Container[str | None]) -> bool:
    if denial.answer not in denies or denial.only_against:
        return False
    return _moment(denial.day, denial.effective.instant, opens_day=True) > _moment(
        statement.day, statement.effective.instant
    )


def _unread(snapshot: PatientSnapshot, tokens: Iterable[str], *faults: Fault) -> list[Unread]:
    """Entries of some tokens that could not be read, and are not another patient's."""
    return [item for item in snapshot.unread_of(*tokens) if item.fault in (faults or (Fault.OTHER,))]


def _is_settled(record: Record, last_negative: date, protocol: Protocol, today: date) -> bool:
    """Whether a test was negative on the day of a possible pregnancy or later.

    What is not dated is as of today, unless it is no more than words: then a test does that allows a prescription.
    """
    said = _last_said(record)
    if said is None and isinstance(record, Unread) and record.fault is Fault.WORDS:
        return protocol.pregnancy.per_prescription.holds((today - last_negative).days)
    return last_negative >= (said or today)


def _last_said(record: Record) -> date | None:
    """The day on which a test settles a record at the earliest: a suspicion recorded today is not settled by a test before."""
    if not isinstance(record, ConditionFact):
        return record.day
    return max((day for day in (record.onset, record.recorded) if day is not None), default=None)


def _moment(day: date, instant: datetime | None, *, opens_day: bool = False) -> _When:
    """A sort key; without a time the beginning or the end of the day."""
    if instant is not None:
        return (day, 1, instant)
    return (day, 0 if opens_day else 2, datetime.min.replace(tzinfo=UTC))


def _is_late(day: date, protocol: Protocol, today: date) -> bool:
    return protocol.pregnancy.positive_needs_two_negatives.holds((today - day).days)


def _counts_now(day: date | None, protocol: Protocol, today: date) -> bool:
    return day is None or protocol.pregnancy.record_counts.holds((today - day).days)
