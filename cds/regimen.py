"""The draft regimen: lenalidomide drafts of one request whose days overlap are one order, doses added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from cds.lazy import lazy
from cds.level import CYCLE_DAYS, Level, Schedule
from cds.periods import supply_days
from cds.snapshot import LENALIDOMIDE, DraftOrders, MedicationOrder


@dataclass(frozen=True)
class Regimen:
    """One or several lenalidomide drafts taken together."""

    orders: tuple[MedicationOrder, ...]

    @property
    def references(self) -> tuple[str, ...]:
        """The drafts, in the order of the request."""
        return tuple(order.reference for order in self.orders)

    @lazy
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

    @lazy
    def daily_mg(self) -> Decimal | None:
        """The largest dose on any single day, all drafts added."""
        doses = [order.dosing.daily_mg for order in self.orders]
        known = [dose for dose in doses if dose is not None]
        return sum(known, Decimal(0)) if len(known) == len(doses) else None

    @lazy
    def schedule(self) -> Schedule | None:
        """The schedule, when all drafts share it."""
        schedules = {order.dosing.schedule for order in self.orders}
        return schedules.pop() if len(schedules) == 1 else None

    @lazy
    def level(self) -> Level | None:
        """Dose and schedule, when both are known."""
        if self.daily_mg is None or self.schedule is None:
            return None
        return Level(self.daily_mg, self.schedule)

    @property
    def cycle_mg(self) -> Decimal | None:
        """Milligrams in one cycle."""
        return None if self.level is None else self.level.cycle_mg

    @lazy
    def per_day(self) -> int:
        """Administrations on a dosing day."""
        return max(order.dosing.per_day for order in self.orders)

    @property
    def start(self) -> date | None:
        """First dosing day as the drafts state it."""
        starts = [order.bounds_start for order in self.orders if order.bounds_start is not None]
        return min(starts) if starts else None


def regimens(drafts: DraftOrders, today: date) -> tuple[Regimen, ...]:
    """The regimens that hold at least one draft to judge; drafts that follow one another stay apart."""
    drawn = [order for order in drafts.orders if order.drug.token == LENALIDOMIDE]
    groups: list[list[int]] = []
    covered = date.min
    for place, (start, end) in sorted(enumerate(_days(order, today) for order in drawn), key=lambda row: row[1]):
        if start < covered:
            groups[-1].append(place)
        else:
            groups.append([place])
        covered = max(covered, end)
    together = (tuple(drawn[place] for place in sorted(group)) for group in sorted(groups, key=min))
    return tuple(Regimen(orders) for orders in together if any(drafts.is_selected(order) for order in orders))


def _days(order: MedicationOrder, today: date) -> tuple[date, date]:
    start = order.bounds_start or today
    return start, start + timedelta(days=supply_days(order) or CYCLE_DAYS)


def references_of(drafts: Sequence[MedicationOrder]) -> frozenset[str]:
    """References of all drafts: none of them is history. Resources without an id cannot be told apart, so none is named."""
    return frozenset(order.reference for order in drafts if not order.reference.endswith(" without id"))
