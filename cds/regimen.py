"""The draft regimen: lenalidomide drafts of one request whose days overlap are one order, doses added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property

from cds.course import supply_days
from cds.level import CYCLE_DAYS, Level, Schedule
from cds.snapshot import LENALIDOMIDE, DraftOrders, MedicationOrder


@dataclass(frozen=True)
class Regimen:
    """One or several lenalidomide drafts taken together."""

    orders: tuple[MedicationOrder, ...]

    @property
    def references(self) -> tuple[str, ...]:
        """The drafts, in the order of the request."""
        return tuple(order.reference for order in self.orders)

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """Why drug, dose or schedule are not known."""
        problems = [problem for order in self.orders for problem in order.dosing.problems]
        problems += [
            f"the drug is recognised only by its text, '{order.drug.name}', without a known code"
            for order in self.orders
            if not order.drug.coded
        ]
        if len({order.dosing.schedule for order in self.orders}) > 1:
            problems.append("the drafts together have no single schedule")
        return tuple(dict.fromkeys(problems))

    @property
    def dose_stated(self) -> bool:
        """Whether any draft states a dose at all."""
        return any(order.dosing.dose_stated for order in self.orders)

    @cached_property
    def daily_mg(self) -> Decimal | None:
        """The largest dose on any single day, all drafts added."""
        doses = [order.dosing.daily_mg for order in self.orders]
        known = [dose for dose in doses if dose is not None]
        return sum(known, Decimal(0)) if len(known) == len(doses) else None

    @property
    def schedule(self) -> Schedule | None:
        """The schedule, when all drafts share it."""
        schedules = {order.dosing.schedule for order in self.orders}
        return schedules.pop() if len(schedules) == 1 else None

    @property
    def level(self) -> Level | None:
        """Dose and schedule, when both are known."""
        if self.daily_mg is None or self.schedule is None:
            return None
        return Level(self.daily_mg, self.schedule)

    @property
    def cycle_mg(self) -> Decimal | None:
        """Milligrams in one cycle."""
        return None if self.level is None else self.level.cycle_mg

    @property
    def per_day(self) -> int:
        """Administrations on a dosing day."""
        return max(order.dosing.per_day for order in self.orders)

    @property
    def every_other_day(self) -> bool:
        """Whether it is taken every other day."""
        return self.schedule is Schedule.EVERY_OTHER_DAY

    @property
    def start(self) -> date | None:
        """First dosing day as the drafts state it."""
        starts = [order.bounds_start for order in self.orders if order.bounds_start is not None]
        return min(starts) if starts else None


def regimens(drafts: DraftOrders, today: date) -> tuple[Regimen, ...]:
    """The regimens that hold at least one draft to judge; drafts that follow one another stay apart."""
    drawn = [order for order in drafts.orders if order.drug.token == LENALIDOMIDE]
    groups: list[list[MedicationOrder]] = []
    for order in drawn:
        touching = [group for group in groups if any(_overlap(order, other, today) for other in group)]
        merged = [member for group in touching for member in group] + [order]
        groups = [group for group in groups if group not in touching] + [merged]
    ordered = [sorted(group, key=drawn.index) for group in groups]
    return tuple(
        Regimen(tuple(group))
        for group in sorted(ordered, key=lambda group: drawn.index(group[0]))
        if any(drafts.is_selected(order) for order in group)
    )


def _overlap(one: MedicationOrder, other: MedicationOrder, today: date) -> bool:
    (one_start, one_end), (other_start, other_end) = _days(one, today), _days(other, today)
    return one_start < other_end and other_start < one_end


def _days(order: MedicationOrder, today: date) -> tuple[date, date]:
    start = order.bounds_start or today
    return start, start + timedelta(days=supply_days(order) or CYCLE_DAYS)


def references_of(drafts: Sequence[MedicationOrder]) -> frozenset[str]:
    """References of all drafts: none of them is history. Resources without an id cannot be told apart, so none is named."""
    return frozenset(order.reference for order in drafts if not order.reference.endswith(" without id"))
