"""Area interaction: other drugs taken now, or drafted together with lenalidomide."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from cds.case import HIDES, Case
from cds.findings import Action, Indicator
from cds.level import CYCLE_DAYS, plain
from cds.parameters import Threshold
from cds.periods import supply_days
from cds.rules.rule import Report, rule
from cds.snapshot import MedicationOrder
from cds.words import capital, drug_names, of_order, of_result, on

_ANALOGUES = ("thalidomide", "pomalidomide")
_VITAMIN_K_ANTAGONIST, _ESA, _OESTROGEN, _STATIN, _PD1 = "anticoagulant-vka", "esa", "oestrogen", "statin", "pd-1"
_HAEMOGLOBIN = "haemoglobin"


@rule(
    "interaction.digoxin",
    "Lenalidomide raises digoxin; its level of the last {interaction.digoxin_level.amount} is known.",
    cites=("interaction.digoxin_level",),
    sources=("F 7.1",),
)
def digoxin(case: Case) -> Report | None:
    """Digoxin without a recent level."""
    found = case.taken("digoxin")
    if not found or _measured_within(case, "digoxin-level", case.protocol.interaction.digoxin_level):
        return None
    return Report(
        Indicator.WARNING if case.course.new_start else Indicator.INFO,
        f"Digoxin: {_none_within(case, 'digoxin-level', 'level', case.protocol.interaction.digoxin_level)}",
        "Lenalidomide raises its concentration: measure it.",
        tuple(of_order(order) for order in found),
        order_tests=("digoxin-level",),
    )


@rule(
    "interaction.warfarin",
    "With warfarin or a related drug the INR of the last {interaction.inr.amount} is known.",
    cites=("interaction.inr",),
    sources=("F 7.3",),
)
def warfarin(case: Case) -> Report | None:
    """A vitamin K antagonist without a recent INR."""
    found = case.taken(_VITAMIN_K_ANTAGONIST)
    if not found or _measured_within(case, "inr", case.protocol.interaction.inr):
        return None
    return Report(
        Indicator.WARNING,
        f"{capital(drug_names(found))}: {_none_within(case, 'inr', 'INR', case.protocol.interaction.inr)}",
        "Lenalidomide does not change its concentration; myeloma and dexamethasone may change the INR.",
        tuple(of_order(order) for order in found),
        order_tests=("inr",),
    )


@rule(
    "interaction.esa",
    "Erythropoietins raise the risk of thrombosis.[ They are stopped with haemoglobin {interaction.esa_haemoglobin}.]",
    cites=("interaction.esa_haemoglobin",),
    sources=("F 5.4", "F 7.2"),
)
def erythropoietin(case: Case) -> Report | None:
    """An erythropoiesis-stimulating agent."""
    found = case.taken(_ESA)
    if not found:
        return None
    limit, results = case.protocol.interaction.esa_haemoglobin, case.snapshot.of(_HAEMOGLOBIN)
    latest = next((result for result in reversed(results) if not result.only_against), None)
    high = limit is not None and latest is not None and limit.holds_for(latest.measurement) is True
    if limit is not None and latest is not None and high:
        return Report(
            Indicator.WARNING,
            f"Stop {drug_names(found)}: haemoglobin {limit.in_words} ({on(latest.day, case.today)})",
            "It raises the risk of thrombosis, more so with lenalidomide.",
            (*(of_order(order) for order in found), of_result(latest)),
        )
    return Report(
        Indicator.WARNING,
        f"{capital(drug_names(found))} with lenalidomide: higher risk of thrombosis",
        "Weigh the benefit; check thrombosis prophylaxis.",
        tuple(of_order(order) for order in found),
        found_before=_was_known(case, found),
    )


@rule(
    "interaction.estrogen",
    "Oestrogens raise the risk of thrombosis. A contraceptive is replaced, never just stopped.",
    cites=("contraception.oestrogen_advice",),
    sources=("F 5.4", "F 7.2", "F 8.3"),
)
def oestrogen(case: Case) -> Report | None:
    """An oestrogen, for contraception or for symptoms; a low dose in the vagina hardly reaches the blood."""
    found = case.taken(_OESTROGEN)
    systemic = [order for order in found if order.drug.contraceptive is not None or not order.vaginal]
    if not systemic:
        return _vaginal(found)
    contraceptive = any(order.drug.contraceptive is not None for order in systemic)
    advice = (
        f"{capital(case.protocol.contraception.oestrogen_advice.value)}. Do not stop it before another method works."
        if contraceptive
        else "Weigh the benefit; check thrombosis prophylaxis."
    )
    return Report(
        Indicator.WARNING,
        f"{capital(drug_names(systemic))} with lenalidomide: higher risk of thrombosis",
        advice,
        tuple(of_order(order) for order in systemic),
        found_before=_was_known(case, systemic),
    )


def _vaginal(found: tuple[MedicationOrder, ...]) -> Report | None:
    if not found:
        return None
    return Report(
        Indicator.INFO,
        "Vaginal oestrogen: a low dose hardly raises the risk of thrombosis",
        "",
        tuple(of_order(order) for order in found),
    )


@rule(
    "interaction.dexamethasone",
    "With dexamethasone, or prednisone {dosing.steroid_prednisone}, it is not maintenance with lenalidomide alone, and the risk "
    "of thrombosis is higher.",
    cites=("dosing.steroid_prednisone",),
    sources=("F 5.4", "V2 score table"),
)
def steroid(case: Case) -> Report | None:
    """A systemic steroid of a combination regimen."""
    found = case.steroid
    if found is None:
        return None
    return Report(
        Indicator.WARNING,
        f"{capital(found.drug.name)} with lenalidomide: not maintenance alone, and higher risk of thrombosis",
        "Check that this combination is meant, and thrombosis prophylaxis for it.",
        (of_order(found),),
        found_before=_was_known(case, (found,)),
    )


@rule(
    "interaction.statin",
    "Statins and lenalidomide together can damage muscle.[ Watched in the first {interaction.statin_watch.amount}.]",
    cites=("interaction.statin_watch",),
    sources=("I1 report",),
)
def statin(case: Case) -> Report | None:
    """A statin; where the protocol says so, watched when treatment starts or the dose rises."""
    found, watch = case.taken(_STATIN), case.protocol.interaction.statin_watch
    if not found:
        return None
    draft, current = case.draft_level, case.course.current_level
    rises = draft is not None and current is not None and draft.cycle_mg > current.cycle_mg
    watched = watch is not None and (case.course.new_start or rises)
    return Report(
        Indicator.WARNING if watched else Indicator.INFO,
        f"{capital(drug_names(found))} with lenalidomide: report muscle pain",
        f"Rhabdomyolysis is possible, most likely in the first {watch.amount}. Creatine kinase if there is pain."
        if watch is not None
        else "Rhabdomyolysis is possible. Creatine kinase if there is pain.",
        tuple(of_order(order) for order in found),
    )


@rule(
    "interaction.pd1",
    "Antibodies to PD-1 or PD-L1 with a drug of this class and dexamethasone raised mortality in myeloma; not outside trials. "
    "One that ended more than {interaction.pd1_ended.amount} ago does not count.",
    cites=("interaction.pd1_ended",),
    sources=("F 5.7",),
)
def checkpoint_inhibitor(case: Case) -> Report | None:
    """A checkpoint inhibitor now, or until recently."""
    found = case.taken(_PD1, ended=case.protocol.interaction.pd1_ended)
    if not found:
        return None
    beside = f" and {case.steroid.drug.name}" if case.steroid is not None else ""
    return Report(
        Indicator.CRITICAL if beside else Indicator.WARNING,
        f"{capital(drug_names(found))} with lenalidomide{beside}: increased mortality in trials",
        "Not recommended outside a clinical trial: give one of them only.",
        tuple(of_order(order) for order in found),
    )


@rule(
    "interaction.melphalan",
    "Melphalan by mouth, or any planned after maintenance began, adds to the risk of second cancers; conditioning before it does "
    "not count.",
    sources=("F 5.6", "S4 5.2"),
)
def melphalan(case: Case) -> Report | None:
    """Melphalan beside maintenance."""
    since = case.course.maintenance_start or case.today
    found = tuple(
        order
        for order in case.taken("alkylator")
        if order.drug.token == "melphalan" and (order.oral or order.start is None or order.start >= since)
    )
    if not found:
        return None
    return Report(
        Indicator.WARNING,
        "Melphalan with lenalidomide: higher risk of second cancers",
        "Check that both are meant.",
        tuple(of_order(order) for order in found),
    )


@rule(
    "interaction.duplicate-imid",
    "Lenalidomide is not given with thalidomide or pomalidomide.",
    sources=("F 4.2", "F 5.9"),
)
def second_analogue(case: Case) -> Report | None:
    """Another drug of the class."""
    found = tuple(order for order in case.taken("imid") if order.drug.token in _ANALOGUES)
    if not found:
        return None
    return Report(
        Indicator.CRITICAL,
        f"{capital(drug_names(found))} and lenalidomide: two drugs of one class",
        "End one of them before the other is given.",
        tuple(of_order(order) for order in found),
    )


@rule(
    "interaction.duplicate-lenalidomide",
    "Two lenalidomide orders that overlap by more than {interaction.overlap.amount} are added up; above the maximum dose "
    "treatment waits until one is ended.",
    cites=("interaction.overlap", "dosing.maximum_daily_dose"),
)
def second_order(case: Case) -> Report | None:
    """Another active lenalidomide order that this one does not replace."""
    regimen, course, limit = case.regimen, case.course, case.protocol.interaction.overlap
    if regimen is None:
        return None
    replaced = {order.prior for order in regimen.orders}
    supply = max((supply_days(order) or CYCLE_DAYS for order in regimen.orders), default=CYCLE_DAYS)
    ends = course.draft_start + timedelta(days=supply)
    for period in course.periods:
        if not period.active or period.end is None:
            continue
        if replaced & {order.reference for order in period.orders}:
            continue
        overlap = (min(period.end, ends) - max(period.start, course.draft_start)).days
        if limit.holds(overlap):
            return _two_orders(case, period.orders, period.end)
    return None


def _two_orders(case: Case, active: tuple[MedicationOrder, ...], until: date) -> Report:
    doses = [case.regimen.daily_mg if case.regimen is not None else None, *(order.dosing.daily_mg for order in active)]
    known = [dose for dose in doses if dose is not None]
    total = sum(known, Decimal(0)) if len(known) == len(doses) else None
    too_much = total is not None and case.protocol.dosing.maximum_daily_dose.holds(total)
    together = "" if total is None else f", together {plain(total)} mg a day"
    last = until - timedelta(days=1)
    return Report(
        Indicator.WARNING,
        f"{'Hold: a' if too_much else 'A'}nother lenalidomide order is active until {on(last, case.today)}{together}",
        "End that order, or name it as the one this replaces.",
        tuple(of_order(order) for order in active),
        Action.HOLD if too_much else None,
    )


def _none_within(case: Case, token: str, name: str, window: Threshold) -> str:
    """Why there is none: one that could not be read or was not supplied may exist."""
    unread = case.newer_unread((token,), *HIDES)
    if unread:
        return f"{name} of {on(unread[-1].day, case.today)} could not be read"
    supply = case.snapshot.supplied("Observation")
    return f"no {name} of the last {window.amount}" + (
        "" if supply.proves_absence else f" (laboratory data {supply.value})"
    )


def _measured_within(case: Case, token: str, window: Threshold) -> bool:
    return any(
        not result.only_against and window.holds((case.today - result.day).days) for result in case.snapshot.of(token)
    )


def _was_known(case: Case, found: tuple[MedicationOrder, ...] | list[MedicationOrder]) -> bool:
    return all(order.status != "draft" for order in found) and case.was_known(*(order.start for order in found))


RULES = (
    digoxin,
    warfarin,
    erythropoietin,
    oestrogen,
    steroid,
    statin,
    checkpoint_inhibitor,
    melphalan,
    second_analogue,
    second_order,
)
