"""Drafted and earlier orders as a clinical case states them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

from cds.case import Case
from cds.evaluation import Evaluation, Judgement
from cds.level import CYCLE_DAYS, Schedule, plain
from cds.periods import periods_of, supply_days
from cds.regimen import references_of
from cds.rules.renal import AFTER_DIALYSIS, dialysis_timing
from cds.snapshot import LENALIDOMIDE, MedicationOrder
from cds.terminology import load_terminology
from hooks.sandbox.vignette_record import Entry, known

_NOT_ORDERED = {"proposal", "plan", "option"}
_TIMES_A_DAY = {1: "once daily", 2: "twice daily"}
_RHYTHMS = {
    Decimal(14): "every other day",
    Decimal(12): "three times a week",
    Decimal(8): "twice weekly",
    Decimal(4): "once weekly",
}


def orders(evaluation: Evaluation) -> Entry:
    """Medications and history, and the drafts of all regimens that are judged; a visit has none."""
    case = evaluation.judgements[0].case
    stated: Entry = {
        "medications": [_medication(order, case) for order in _others(case) if not _unsuitable(order)],
        "history": _folded([_past_order(order, case) for order in _past(case) if not _obstacle(order, case)]),
    }
    drafts = [_draft(order, judgement) for order, judgement in _drafts(evaluation)]
    if len(drafts) > 1:
        return {**stated, "drafts": drafts}
    return {**stated, "draft": drafts[0]} if drafts else stated


def not_stated(evaluation: Evaluation) -> Iterator[str]:
    """What a case cannot say of the orders."""
    case = evaluation.judgements[0].case
    for order in _others(case):
        if why := _unsuitable(order):
            yield f"an order of {order.drug.token}: {why}"
        elif not order.drug.coded:
            yield f"that {order.drug.token} is told by its words only"
    yield from _not_stated_of_past(case)
    judged = [order for order, _ in _drafts(evaluation)]
    if any(order not in judged for order in case.drafts.orders if order.drug.token == LENALIDOMIDE):
        yield "drafts that are not selected and not taken together with a selected one"
    for order in judged:
        yield from (f"of a draft, {what}" for what in _not_stated_of_draft(order))


def _not_stated_of_past(case: Case) -> Iterator[str]:
    starts = Counter(order.start for order in _past(case))
    for order in _past(case):
        if why := _obstacle(order, case):
            yield f"an earlier order of {LENALIDOMIDE}: {why}"
            continue
        if order.prior:
            yield f"which order that of {order.start} replaced"
        # Of orders of one day the strengths tell whether they were taken together.
        if starts[order.start] > 1 and order.drug.strength_mg != _dose(order):
            yield f"the strength of the capsules of {order.start}"


def _not_stated_of_draft(order: MedicationOrder) -> Iterator[str]:
    if not order.drug.coded:
        yield "that its drug is told by words only"
    if order.dosing.per_day != _per_day(order):
        yield f"that it is taken {order.dosing.per_day} times a day"
    if not order.dosing.dose_stated:
        yield "that it states no dose at all"
    if order.bounds_start is None:
        yield "that it states no first day: the one given is where the service takes it to begin"
    if order.prior:
        yield "which order it replaces"


def _past(case: Case) -> list[MedicationOrder]:
    """Earlier orders of lenalidomide by their start; a draft that came back with the history is none."""
    drafted = references_of(case.drafts.orders)
    found = [
        order for order in case.snapshot.orders if order.drug.token == LENALIDOMIDE and order.reference not in drafted
    ]
    return sorted(found, key=lambda order: (order.start or date.min, order.dosing.daily_mg or Decimal(0)))


def _obstacle(order: MedicationOrder, case: Case) -> str:
    """Why an earlier order cannot be stated; empty where it can."""
    if not order.drug.coded:
        return "its drug is told by words only"
    if order.intent in _NOT_ORDERED:
        return "it is only planned"
    if order.start is None:
        return "it is not dated"
    if periods_of([order], case.protocol, case.today)[0].level is None:
        return f"dose or schedule of that of {order.start} is not known"
    return "" if _end(order, case) else f"that of {order.start} does not say how long it lasts"


def _end(order: MedicationOrder, case: Case) -> date | None:
    """The first day that an order no longer covers; where it does not tell, as the course takes it."""
    (own,) = periods_of([order], case.protocol, case.today)
    return own.end or next((period.end for period in case.course.periods if order in period.orders), None)


def _past_order(order: MedicationOrder, case: Case) -> Entry:
    (period,) = periods_of([order], case.protocol, case.today)
    end = _end(order, case)
    assert period.level is not None
    assert end is not None
    supplied = supply_days(order) if order.is_interrupted else None
    days = supplied or max((end - period.start).days, 1)
    return known(
        dose_mg=period.level.dose_mg / _per_day(order),
        schedule_days=_schedule(period.level.schedule),
        start=period.start,
        days_supply=days if days != CYCLE_DAYS else None,
        doses_per_day=_per_day(order) if _per_day(order) != 1 else None,
        status=order.status if order.status != "completed" else None,
        hold_date=order.end if order.is_interrupted else None,
    )


def _folded(entries: list[Entry]) -> list[Entry]:
    """Equal orders of which each begins where the last one ends, as one."""
    folded: list[Entry] = []
    for entry in entries:
        if folded and _continues(folded[-1], entry):
            folded[-1]["orders"] = folded[-1].get("orders", 1) + 1
        else:
            folded.append(entry)
    return folded


def _continues(run: Entry, entry: Entry) -> bool:
    first = {key: value for key, value in run.items() if key != "orders"}
    covered = timedelta(days=run.get("orders", 1) * run.get("days_supply", CYCLE_DAYS))
    return "hold_date" not in run and {**first, "start": first["start"] + covered} == entry


def _others(case: Case) -> list[MedicationOrder]:
    """Orders of other drugs, drafted ones too."""
    drafted = references_of(case.drafts.orders)
    earlier = [order for order in case.snapshot.orders if order.reference not in drafted]
    return [order for order in (*earlier, *case.drafts.orders) if order.drug.token != LENALIDOMIDE]


def _unsuitable(order: MedicationOrder) -> str:
    """Why an order of another drug cannot be stated; empty where it can."""
    if order.topical:
        return "it is inhaled, or put on the skin or into the eye"
    return "it is only planned" if order.intent in _NOT_ORDERED else ""


def _medication(order: MedicationOrder, case: Case) -> Entry:
    drafted = order in case.drafts.orders
    ended = order.end is not None and order.end < case.today
    status = "completed" if order.status == "active" and ended else order.status
    return known(
        code=order.drug.token,
        dose=_dose_in_words(order) or None,
        drafted=drafted or None,
        status=status if status != "active" and not drafted else None,
        start=order.start if order.start != case.today else None,
        days_supply=_lasts(order),
    )


def _lasts(order: MedicationOrder) -> int | None:
    """Days of an order, by its end or its supply: a case knows no end and no refills of it."""
    if order.end is not None and order.start is not None:
        return max((order.end - order.start).days + 1, 1)
    if order.days_supply is None or order.status != "active":
        return order.days_supply
    return order.days_supply * (1 + (order.refills or 0))


def _dose_in_words(order: MedicationOrder) -> str:
    """The dose as it was understood, in words that are understood in the same way; never those of the record."""
    manner = {
        "vaginally": order.vaginal,
        "by mouth": order.oral and not order.vaginal,
        "single dose": order.once,
        "prn": order.as_needed,
    }
    return " ".join([*_amount(order), *(said for said, holds in manner.items() if holds)])


def _amount(order: MedicationOrder) -> Iterator[str]:
    if order.amount_per_day is None and order.dose_per_kilogram is not None:
        yield f"{plain(order.dose_per_kilogram)} mg/kg"
        return
    amount = order.amount_per_day or order.dosing.daily_mg
    if amount is None:
        return
    days = _days_in_cycle(order)
    rhythm = None if days is None else _RHYTHMS.get(days)
    times = 1 if rhythm else _per_day(order)
    yield f"{plain(amount / times)} {'units' if order.drug.per_international_unit == 1 else 'mg'}"
    if rhythm is not None or days == CYCLE_DAYS:
        yield rhythm or _TIMES_A_DAY[times]
    else:
        told = days is not None and not days % 1
        yield f"{_TIMES_A_DAY[times]} {f'for {days} days' if told else 'in some weeks'}"


def _days_in_cycle(order: MedicationOrder) -> Decimal | None:
    """Days of a cycle on which another drug is taken; None where that is not told."""
    if order.amount_per_day is None:
        every_other = order.dosing.schedule is Schedule.EVERY_OTHER_DAY
        return Decimal(Schedule.EVERY_OTHER_DAY.dosing_days if every_other else CYCLE_DAYS)
    return None if order.amount_in_28_days is None else order.amount_in_28_days / order.amount_per_day


def _drafts(evaluation: Evaluation) -> list[tuple[MedicationOrder, Judgement]]:
    """The drafts of lenalidomide that are judged, in the order of the request."""
    found = [(order, one) for one in evaluation.judgements if one.regimen for order in one.regimen.orders]
    written = evaluation.judgements[0].case.drafts.orders
    return sorted(found, key=lambda row: written.index(row[0]))


def _draft(order: MedicationOrder, judgement: Judgement) -> Entry:
    case, dosing, strength = judgement.case, order.dosing, order.drug.strength_mg
    start = order.bounds_start or case.course.draft_start
    return {
        "dose_mg": _dose(order),
        "schedule_days": None if dosing.schedule is None else _schedule(dosing.schedule),
        "days_supply": order.days_supply,
        "refills": order.refills,
        **known(
            doses_per_day=_per_day(order) if _per_day(order) != 1 else None,
            # Without the strength, a number of capsules tells nothing.
            quantity=order.quantity if strength is not None else None,
            strength_mg=strength if strength != _dose(order) else None,
            start=start if start != case.today else None,
            validity_end=order.validity_end,
            authored_on=order.authored if order.authored != case.today else None,
            instructions=AFTER_DIALYSIS if _is_timed(judgement) else None,
            programme=min(load_terminology().programme.extensions) if order.in_programme else None,
        ),
    }


def _is_timed(judgement: Judgement) -> bool:
    """Whether the draft for a patient on dialysis says when it is taken, in whatever words."""
    missing = any(finding.id == dialysis_timing.id for finding in judgement.findings)
    return judgement.case.kidney.dialysis is not None and not missing


def _dose(order: MedicationOrder) -> Decimal | None:
    return None if order.dosing.daily_mg is None else order.dosing.daily_mg / _per_day(order)


def _per_day(order: MedicationOrder) -> int:
    """Doses a day, as far as the words of a case can tell them."""
    return min(order.dosing.per_day, max(_TIMES_A_DAY))


def _schedule(schedule: Schedule) -> int | str:
    return int(schedule.value) if schedule.value.isdecimal() else schedule.value
