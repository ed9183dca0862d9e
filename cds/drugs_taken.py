"""Which drugs of a class a patient takes: now, with the orders being written, or until not long ago."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from cds.lazy import lazy
from cds.parameters import Threshold
from cds.snapshot import MedicationOrder

_OVER = {"completed", "stopped"}


class DrugsTaken:
    """All orders of a record, of which the ``concurrent`` are in force or being written.

    What is given on the skin, into the eye or by inhalation does not count.
    """

    def __init__(
        self, concurrent: tuple[MedicationOrder, ...], orders: tuple[MedicationOrder, ...], today: date
    ) -> None:
        self._concurrent, self._orders, self._today = concurrent, orders, today

    def of(self, drug_class: str, *, ended: Threshold | None = None) -> tuple[MedicationOrder, ...]:
        """Those of a class; with ``ended`` also those that ended not that long ago."""
        orders = self._concurrent_by_class.get(drug_class, ())
        if ended is not None:
            orders = (*orders, *self._over_by_class.get(drug_class, ()))
        if not orders:
            return ()
        return tuple(order for order in orders if not order.topical and not self._ended_before(order, ended))

    @lazy
    def _concurrent_by_class(self) -> Mapping[str, tuple[MedicationOrder, ...]]:
        return _by_class(self._concurrent)

    @lazy
    def _over_by_class(self) -> Mapping[str, tuple[MedicationOrder, ...]]:
        return _by_class(order for order in self._orders if order.status in _OVER)

    def _ended_before(self, order: MedicationOrder, ended: Threshold | None) -> bool:
        """Whether an order ended, and longer ago than it may have."""
        last_day = order.end
        if last_day is None and order.status != "active" and order.start is not None:
            # Of an order that is over without saying when, no more is known than the days it was supplied for.
            last_day = order.start + timedelta(days=max((order.days_supply or 1) - 1, 0))
        if last_day is None or last_day >= self._today or order.status == "draft":
            return False
        return ended is None or ended.holds((self._today - last_day).days)


def _by_class(orders: Iterable[MedicationOrder]) -> dict[str, tuple[MedicationOrder, ...]]:
    grouped: dict[str, list[MedicationOrder]] = {}
    for order in orders:
        grouped.setdefault(order.drug.drug_class, []).append(order)
    return {drug_class: tuple(orders) for drug_class, orders in grouped.items()}
