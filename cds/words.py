"""Numbers, dates and facts as a card prints them. Independent of the process's locale."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from cds.findings import Evidence
from cds.level import plain
from cds.parameters import printed_unit
from cds.snapshot import LENALIDOMIDE, ConditionFact, MedicationOrder, ProcedureFact, Reaction, Result, Unread

_LONG_NUMBER = 20
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
NAMES = {
    "anc": "ANC",
    "alt": "ALT",
    "ast": "AST",
    "platelets": "platelets",
    "creatinine": "creatinine",
    "body-weight": "body weight",
    "lvef": "ejection fraction",
    "dlco-percent-predicted": "diffusing capacity",
}


def on(day: date | None, today: date) -> str:
    """``20 Nov``, with the year unless it is this year's."""
    if day is None:
        return "undated"
    text = f"{day.day} {_MONTHS[day.month - 1]}"
    return text if day.year == today.year else f"{text} {day.year}"


def amount(result: Result) -> str:
    """``0.4 ×10⁹/L``, with its comparator."""
    measurement = result.measurement
    if measurement is None:
        return result.answer or ""
    return f"{measurement.comparator or ''}{plain(_rounded(measurement.value))} {printed_unit(result.unit)}".strip()


def _rounded(value: Decimal) -> Decimal:
    """To three decimals; numbers too long for that as they are."""
    return round(value, 3) if value.adjusted() < _LONG_NUMBER else value


def reading(result: Result, today: date) -> str:
    """``ANC 0.4 ×10⁹/L (20 Nov)``."""
    extra = ", preliminary" if result.preliminary else ""
    derived = f", {result.note}" if result.note else ""
    return f"{NAMES.get(result.token, result.token.replace('-', ' '))} {amount(result)} ({on(result.day, today)}{extra}{derived})"


def capital(text: str) -> str:
    """With a capital at the beginning; the rest as it is: ``hCG`` stays ``HCG``, never ``Hcg``."""
    return text[:1].upper() + text[1:]


def listed(items: list[str]) -> str:
    """``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def drug_names(orders: Iterable[MedicationOrder]) -> str:
    """``apixaban and aspirin``, each once."""
    return listed(list(dict.fromkeys(order.drug.name for order in orders)))


def of_result(result: Result) -> Evidence:
    """A result as evidence."""
    value = result.answer if result.measurement is None else result.measurement.value
    if result.told is not None:
        value = result.told.isoformat()
    if result.measurement is not None and result.measurement.comparator is not None:
        value = f"{result.measurement.comparator}{plain(result.measurement.value)}"
    return Evidence(result.token, value, result.unit or None, result.day, result.reference)


def of_order(order: MedicationOrder) -> Evidence:
    """An order as evidence: of lenalidomide with its level."""
    fact = f"{order.drug.token}-order"
    if order.drug.token != LENALIDOMIDE:
        return Evidence(fact, None, None, order.start, order.reference)
    return Evidence(fact, None if order.level is None else str(order.level), "mg/days", order.start, order.reference)


def of_unread(unread: Unread) -> Evidence:
    """Something that could not be read, as evidence."""
    return Evidence(unread.token or "unread", None, None, unread.day, unread.reference)


def of_record(fact: ConditionFact | ProcedureFact | Reaction) -> Evidence:
    """A condition, procedure or reaction as evidence."""
    day = fact.day if isinstance(fact, ProcedureFact) else fact.onset
    return Evidence(fact.token, fact.name, None, day, fact.reference)


def of_fact(fact: ConditionFact | ProcedureFact | Result | MedicationOrder) -> Evidence:
    """Any of these as evidence."""
    match fact:
        case Result():
            return of_result(fact)
        case MedicationOrder():
            return of_order(fact)
        case _:
            return of_record(fact)
