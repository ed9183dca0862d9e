"""Past orders as intervals of days with a level."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from cds.level import CYCLE_DAYS, Level, Schedule
from cds.protocol import Protocol
from cds.snapshot import MedicationOrder

_LONGEST_SUPPLY = 3660  # ten years: a supply that lasts longer is an error of entry


@dataclass(frozen=True)
class Period:
    """One order of the history, or several strengths ordered together: ``[start, end)``; ``end`` None when not known."""

    start: date
    end: date | None
    level: Level | None
    orders: tuple[MedicationOrder, ...]

    @property
    def active(self) -> bool:
        """Whether an order of it is still active."""
        return any(order.status == "active" for order in self.orders)

    @property
    def interrupted(self) -> bool:
        """Whether an order of it was stopped or put on hold."""
        return any(order.is_interrupted for order in self.orders)

    def contains(self, day: date) -> bool:
        """Whether the day is a day of this order."""
        return self.start <= day and (self.end is None or day < self.end)


def periods_of(orders: list[MedicationOrder], protocol: Protocol, today: date) -> list[Period]:
    """Orders as intervals; different strengths ordered together on one day for the same days are one order."""
    groups: dict[tuple[date | None, int | None], list[list[MedicationOrder]]] = {}
    for order in orders:
        same_days = groups.setdefault((order.start, supply_days(order)), [])
        fitting = next((group for group in same_days if _complements(order, group)), None)
        if fitting is None:
            same_days.append([order])
        else:
            fitting.append(order)
    periods = [_period(group, protocol, today) for same_days in groups.values() for group in same_days]
    if len({_days(period) for period in periods}) < len(periods):
        # Of the same days the level decides.
        periods.sort(key=lambda period: str(period.level))
    return sorted(periods, key=_days)


def _days(period: Period) -> tuple[date, date]:
    return period.start, period.end or date.max


def covered_days(periods: Iterable[Period], before: date) -> int:
    """Days that orders cover before a day, overlaps counted once; ``periods`` in the order of their start."""
    covered, reached = 0, date.min
    for period in periods:
        begin, end = max(period.start, reached), min(period.end or period.start, before)
        if begin < end:
            covered, reached = covered + (end - begin).days, end
    return covered


def supply_days(order: MedicationOrder) -> int | None:
    """Calendar days an order covers; 21 capsules of days 1-21 cover a cycle of 28."""
    days, schedule = order.days_supply, order.dosing.schedule
    if days is None and order.quantity is not None and order.drug.strength_mg and order.dosing.daily_mg:
        capsules_a_day = order.dosing.daily_mg / order.drug.strength_mg
        dosing_days = int(order.quantity / capsules_a_day)
        days = dosing_days * 2 if schedule is Schedule.EVERY_OTHER_DAY else dosing_days
    if days is None or not 0 < days <= _LONGEST_SUPPLY:
        return None
    if schedule is Schedule.THREE_WEEKS and days % CYCLE_DAYS and days % schedule.dosing_days == 0:
        return days // schedule.dosing_days * CYCLE_DAYS
    return days


def _complements(order: MedicationOrder, group: list[MedicationOrder]) -> bool:
    """Whether an order is another strength of the same regimen, not its replacement."""
    strengths = {other.drug.strength_mg or other.dosing.daily_mg for other in group}
    replaced = any(order.prior == other.reference or other.prior == order.reference for other in group)
    stopped = any(other.is_interrupted for other in group) != order.is_interrupted
    return not replaced and not stopped and (order.drug.strength_mg or order.dosing.daily_mg) not in strengths


def _period(orders: list[MedicationOrder], protocol: Protocol, today: date) -> Period:
    start = orders[0].start
    assert start is not None
    levels = [_level(order, protocol) for order in orders]
    ends = [end for order in orders if (end := _end(start, order, today)) is not None]
    return Period(start, max(ends) if len(ends) == len(orders) else None, _together(levels), tuple(orders))


def _together(levels: list[Level | None]) -> Level | None:
    """The doses added, where all are known and given on the same days."""
    if len(levels) == 1:
        return levels[0]
    known = [level for level in levels if level is not None]
    if len(known) < len(levels) or any(level.schedule is not known[0].schedule for level in known[1:]):
        return None
    return Level(sum([level.dose_mg for level in known], start=known[0].dose_mg * 0), known[0].schedule)


def _level(order: MedicationOrder, protocol: Protocol) -> Level | None:
    """Level of a past order; where a stop hides the schedule, the protocol's own schedule for that dose."""
    dosing = order.dosing
    if dosing.schedule is None and dosing.daily_mg is not None and order.is_interrupted:
        renal = protocol.renal
        caps = [*(band.cap for band in renal.bands.value), renal.dialysis_cap.value]
        scheduled = [
            cap if renal.cap_schedule is None else Level(cap.dose_mg, Schedule(renal.cap_schedule.value))
            for cap in caps
        ]
        for levels in (protocol.dosing.ladder.value, scheduled):
            same_dose = [level for level in levels if level.dose_mg == dosing.daily_mg]
            if same_dose:
                return max(same_dose, key=lambda level: level.cycle_mg)
        return None
    return order.level


def _end(start: date, order: MedicationOrder, today: date) -> date | None:
    """First day no longer covered by an order."""
    supply = supply_days(order)
    covered = None if supply is None else start + timedelta(days=supply)
    if order.is_interrupted:
        known = [end for end in (order.end, covered) if end is not None]
        return min(known, default=None)
    if order.end is not None and order.dosing.schedule is Schedule.THREE_WEEKS:
        return covered or start + timedelta(days=CYCLE_DAYS)
    if order.end is not None:
        bound = order.end + timedelta(days=1)
        return bound if covered is None else min(bound, covered)
    if covered is None and order.status == "active":
        return max(today, start) + timedelta(days=1)
    return covered
