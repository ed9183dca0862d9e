"""Area supply: how much may be dispensed, how often, and until when."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from cds.case import Case
from cds.findings import Correction, Indicator
from cds.level import CYCLE_DAYS, Schedule, plain
from cds.periods import supply_days
from cds.rules.rule import Report, rule
from cds.snapshot import MedicationOrder
from cds.words import of_order, on


def _orders(case: Case) -> tuple[MedicationOrder, ...]:
    return () if case.regimen is None else case.regimen.orders


@rule(
    "supply.days",
    "At most {supply.days_other.amount} are dispensed at once (able to become pregnant: "
    "{supply.days_able_to_conceive.amount}).",
    cites=("supply.days_able_to_conceive", "supply.days_other"),
)
def days(case: Case) -> Report | None:
    """Days' supply."""
    limits = case.protocol.supply
    limit = limits.days_able_to_conceive if case.reproductive_class.able else limits.days_other
    stated = [(order.days_supply or supply_days(order), order) for order in _orders(case)]
    over = [(supply, order) for supply, order in stated if supply is not None and limit.holds(supply)]
    if over:
        supply, order = max(over, key=lambda row: row[0])
        return Report(
            Indicator.WARNING,
            f"Supply {limit.amount} at most: {supply} days ordered",
            f"Not more than {limit.amount} may be dispensed at once.",
            (of_order(order),),
            corrections=(Correction("days_supply", int(limit.value)),),
        )
    missing = [order for supply, order in stated if supply is None and order.dosing.dose_stated]
    if not missing:
        return None
    return Report(
        Indicator.INFO,
        f"State the days' supply (at most {limit.amount})",
        "The order states neither days' supply nor a quantity from which it follows.",
        tuple(of_order(order) for order in missing),
    )


@rule(
    "supply.refills",
    "Each supply needs a prescription of its own (at most {supply.refills.amount}).",
    cites=("supply.refills",),
    applies=lambda protocol: protocol.supply.refills is not None,
)
def refills(case: Case) -> Report | None:
    """Refills on the prescription."""
    limit = case.protocol.supply.refills
    over = [
        order
        for order in _orders(case)
        if order.refills is not None and limit is not None and limit.holds(order.refills)
    ]
    if not over or limit is None:
        return None
    return Report(
        Indicator.WARNING,
        f"No refills: {over[0].refills} ordered",
        "Each supply needs a prescription of its own.",
        tuple(of_order(order) for order in over),
        corrections=(Correction("refills", int(limit.value)),),
    )


@rule(
    "supply.rx-validity",
    "A prescription is valid for at most {supply.validity_other.amount} after it was written (able to become pregnant: "
    "{supply.validity_able_to_conceive.amount}, also counted from the last pregnancy test).",
    cites=("supply.validity_able_to_conceive", "supply.validity_other"),
    applies=lambda protocol: protocol.supply.validity_other is not None,
)
def validity(case: Case) -> Report | None:
    """How long the prescription can be filled."""
    limits, able = case.protocol.supply, case.reproductive_class.able
    limit = limits.validity_able_to_conceive if able else limits.validity_other
    if limit is None:
        return None
    tests = case.pregnancy.negatives if able else ()
    for order in _orders(case):
        starts = [order.authored or case.today, *(test.day for test in tests[-1:])]
        last_day = min(starts) + timedelta(days=int(limit.value))
        if order.validity_end is not None and last_day < case.today:
            return Report(
                Indicator.WARNING,
                f"Prescription cannot be filled: its {limit.amount} ended on {on(last_day, case.today)}",
                "A new pregnancy test, or a new prescription, is needed.",
                (of_order(order),),
            )
        if order.validity_end is not None and order.validity_end > last_day:
            return Report(
                Indicator.WARNING,
                f"Prescription valid until {on(order.validity_end, case.today)}: at most {limit.amount}",
                f"It may be filled until {on(last_day, case.today)}.",
                (of_order(order),),
                corrections=(Correction("validity_end", last_day),),
            )
        if order.validity_end is None and able:
            return Report(
                Indicator.INFO,
                f"To be filled until {on(last_day, case.today)}",
                f"The prescription states no end; it may be filled within {limit.amount}.",
                (of_order(order),),
            )
    return None


@rule(
    "supply.early-fill",
    "The next supply is dispensed when at most {supply.days_left_at_fill.amount} are left.",
    cites=("supply.days_left_at_fill",),
    applies=lambda protocol: protocol.supply.days_left_at_fill is not None,
)
def early_fill(case: Case) -> Report | None:
    """Too much is left of the previous order."""
    limit, latest_order = case.protocol.supply.days_left_at_fill, case.course.latest
    if limit is None or latest_order is None or latest_order.end is None:
        return None
    left = (latest_order.end - case.today).days
    if not limit.holds(left):
        return None
    opens = latest_order.end - timedelta(days=int(limit.value))
    return Report(
        Indicator.WARNING,
        f"Early: {left} days left of the previous supply",
        f"It can be filled from {on(opens, case.today)} ({limit.amount} left).",
        tuple(of_order(order) for order in latest_order.orders),
    )


@rule(
    "supply.quantity-mismatch",
    "Capsules times strength equal the dose on the dosing days of the supply.",
    sources=("arithmetic",),
)
def quantity(case: Case) -> Report | None:
    """The number of capsules does not fit dose, schedule and days."""
    for order in _orders(case):
        needed = capsules_needed(order, order.days_supply)
        if needed is None or order.quantity is None or order.quantity == needed:
            continue
        return Report(
            Indicator.WARNING,
            f"{plain(order.quantity)} capsules do not fit: {plain(needed)} are needed",
            f"{plain(needed)} capsules give the drafted dose for {order.days_supply} days.",
            (of_order(order),),
            corrections=(Correction("quantity", needed),),
        )
    return None


def capsules_needed(order: MedicationOrder, supply: int | None) -> Decimal | None:
    """Capsules for the order's dose over a supply of so many days; None when a part is unknown."""
    dosing, strength = order.dosing, order.drug.strength_mg
    if supply is None or strength is None or dosing.daily_mg is None or dosing.schedule is None:
        return None
    return dosing.daily_mg / strength * dosing_days(dosing.schedule, supply)


def dosing_days(schedule: Schedule, supply: int) -> int:
    """Days on which the drug is taken within a supply."""
    if schedule is Schedule.EVERY_OTHER_DAY:
        return (supply + 1) // 2
    cycles, rest = divmod(supply, CYCLE_DAYS)
    return cycles * schedule.dosing_days + min(rest, schedule.dosing_days)


RULES = (days, refills, validity, early_fill, quantity)
