"""Contraception on record: which methods, since when, and whether they are what the protocol asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from cds.protocol import Protocol
from cds.protocol_areas import CONTRACEPTIVE_METHODS
from cds.snapshot import ConditionFact, DeviceFact, MedicationOrder, PatientSnapshot, ProcedureFact, Result

TUBAL_LIGATION = "tubal-ligation"
_ABSTINENCE = "abstinence"
_REPORTED = "contraception-method"
_LASTING = {TUBAL_LIGATION, "vasectomy"}
_REMOVED_BY = {
    "intrauterine-device": ("intrauterine-device-removal",),
    "hormonal-intrauterine-system": ("intrauterine-device-removal",),
    "contraceptive-implant": ("contraceptive-implant-removal",),
}

Source = ConditionFact | ProcedureFact | DeviceFact | MedicationOrder | Result


@dataclass(frozen=True)
class Method:
    """One method in use, ``since`` a day where the record tells it."""

    token: str
    since: date | None
    source: Source

    @property
    def name(self) -> str:
        """The method in words."""
        return self.token.replace("-", " ")


@dataclass(frozen=True)
class Contraception:
    """All methods in use; ``sufficient`` those that together are what the protocol asks for, empty where they are not."""

    methods: tuple[Method, ...]
    sufficient: tuple[Method, ...]

    @property
    def since(self) -> date | None:
        """Since when it suffices; None when the record does not tell."""
        days = [method.since for method in self.sufficient]
        return None if not days or None in days else max(day for day in days if day is not None)

    def uses(self, tokens: Iterable[str]) -> Method | None:
        """The first method in use among some."""
        return next((method for method in self.methods if method.token in set(tokens)), None)


def read_contraception(snapshot: PatientSnapshot, protocol: Protocol, today: date) -> Contraception:
    """What is in use today, and whether it is sufficient under the protocol."""
    methods = tuple(_in_use(snapshot, protocol, today))
    wanted = [protocol.contraception.effective.value]
    if protocol.contraception.additional is not None:
        wanted.append(protocol.contraception.additional.value)
    combined = [_longest(methods, tokens) for tokens in wanted]
    abstinent = _longest(methods, (_ABSTINENCE,))
    choices = [tuple(method for method in combined if method is not None)] if None not in combined else []
    # Continuous abstinence stands in for all methods.
    choices += [(abstinent,)] if abstinent is not None else []
    best = min(choices, key=_begun, default=())
    return Contraception(methods, best)


def _begun(methods: tuple[Method, ...]) -> date:
    return max(method.since or date.max for method in methods)


def _longest(methods: Iterable[Method], tokens: Iterable[str]) -> Method | None:
    """The method of some that has been in use longest."""
    allowed = set(tokens)
    fitting = [method for method in methods if method.token in allowed]
    return min(fitting, key=lambda method: method.since or date.max, default=None)


def _in_use(snapshot: PatientSnapshot, protocol: Protocol, today: date) -> Iterator[Method]:
    for method in _recorded(snapshot, protocol, today):
        begun = method.since is None or method.since <= today
        if method.token in CONTRACEPTIVE_METHODS and begun and not _removed(method, snapshot):
            yield method


def _recorded(snapshot: PatientSnapshot, protocol: Protocol, today: date) -> Iterator[Method]:
    for condition in snapshot.conditions_of(*CONTRACEPTIVE_METHODS):
        if _is_current(condition, protocol, today):
            yield Method(condition.token, condition.day, condition)
    for procedure in snapshot.procedures_of(*CONTRACEPTIVE_METHODS):
        if procedure.status == "completed":
            yield Method(procedure.token, procedure.day, procedure)
    for device in snapshot.devices:
        yield Method(device.token, device.since, device)
    yield from _ordered(snapshot, today)
    yield from _told(snapshot, protocol, today)


def _is_current(condition: ConditionFact, protocol: Protocol, today: date) -> bool:
    """A sterilisation stays; another method without a clinical status counts as long as a report of it does."""
    ended = condition.abated is not None and condition.abated <= today
    if condition.active is False or condition.confirmed is False or ended:
        return False
    recent = condition.day is None or protocol.contraception.report_counts.holds((today - condition.day).days)
    return condition.active is True or condition.token in _LASTING or recent


def _removed(method: Method, snapshot: PatientSnapshot) -> bool:
    """Whether it was taken out after it was last seen; without both dates that is open, and counts as removed."""
    seen = method.source.day if isinstance(method.source, Result) else method.since
    tokens = _REMOVED_BY.get(method.token, ())
    removals: list[ProcedureFact | ConditionFact] = [*snapshot.procedures_of(*tokens), *snapshot.conditions_of(*tokens)]
    return any(removal.day is None or seen is None or removal.day > seen for removal in removals)


def _ordered(snapshot: PatientSnapshot, today: date) -> Iterator[Method]:
    """Contraceptives on order now, since the first of an unbroken run of orders."""
    by_method: dict[str, list[MedicationOrder]] = {}
    for order in snapshot.orders:
        if order.drug.contraceptive is not None and order.drug.coded:
            by_method.setdefault(order.drug.contraceptive, []).append(order)
    for token, orders in by_method.items():
        current = [order for order in orders if order.status == "active" and _lasts_until(order, today)]
        if not current:
            continue
        first = min(current, key=lambda order: order.start or date.max)
        for earlier in sorted(orders, key=lambda order: order.start or date.min, reverse=True):
            if _runs_into(earlier, first):
                first = earlier
        yield Method(token, first.start, current[-1])


def _runs_into(earlier: MedicationOrder, later: MedicationOrder) -> bool:
    """Whether an order is known to have lasted until a later one began."""
    if earlier.start is None or later.start is None or earlier.start >= later.start:
        return False
    return _end(earlier) is not None and _lasts_until(earlier, later.start)


def _lasts_until(order: MedicationOrder, day: date) -> bool:
    end = _end(order)
    return end is None or end >= day


def _end(order: MedicationOrder) -> date | None:
    """The day on which an order ends, or its supply with all refills; None when neither is told."""
    if order.end is not None or order.start is None or order.days_supply is None:
        return order.end
    return order.start + timedelta(days=order.days_supply * (1 + (order.refills or 0)))


def _told(snapshot: PatientSnapshot, protocol: Protocol, today: date) -> Iterator[Method]:
    """Methods of the latest interview, since the first of the interviews that all named them."""
    told = [result for result in snapshot.of(_REPORTED) if not result.only_against]
    days = sorted({result.day for result in told}, reverse=True)
    answers = {(result.day, result.answer) for result in told}
    # What was said later and could not be read may have been that a method was given up.
    if any(item.day is None or item.day > days[0] for item in snapshot.unread_of(_REPORTED) if days):
        return
    for result in told:
        if result.day != days[0] or result.answer is None:
            continue
        if not protocol.contraception.report_counts.holds((today - result.day).days):
            continue
        since = result.day
        for day in days:
            if (day, result.answer) not in answers:
                break
            since = day
        yield Method(result.answer, since, result)
