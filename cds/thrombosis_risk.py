"""Risk of venous thrombosis: the scores IMPEDE VTE and SAVED, and the count of the myeloma working group's risk factors.

IMPEDE VTE: Sanfilippo KM et al. Am J Hematol 2019;94:1176-84. SAVED: Li A et al. J Natl Compr Canc Netw 2019;17:840-7.
Risk factors: Palumbo A et al. Leukemia 2008;22:414-23. The points and limits stand in the protocol files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from cds.antithrombotics import Antithrombotics
from cds.calculations import body_mass_index, completed_years, months_after
from cds.counted import highest_first, latest
from cds.drugs_taken import DrugsTaken
from cds.lazy import lazy
from cds.parameters import Threshold, Truth
from cds.protocol import Protocol
from cds.snapshot import ConditionFact, MedicationOrder, PatientSnapshot, ProcedureFact, Result

VEIN_EVENTS = ("vte", "unusual-site-venous-thrombosis")
VEIN_HISTORY = (*VEIN_EVENTS, "vte-history", "thrombosis-history")
EVENT = "thrombosis now or before"
"""Name of the item that is a thrombosis."""

_FRACTURES = ("pelvic-hip-femur-fracture", "lumbar-spine-or-pelvis-fracture")
_ESA, _DEXAMETHASONE, _ANTHRACYCLINE = "esa", "dexamethasone", "anthracycline"
_CHEMOTHERAPY = (_ANTHRACYCLINE, "alkylator")
_INFECTION, _LINE = "acute-infection", "central line or pacemaker"
_CATHETER, _INSERTION, _PACEMAKER = (
    "central-venous-catheter",
    "central-venous-catheter-insertion",
    "pacemaker-implantation",
)
_FACTORS = {
    _LINE: ("central-venous-catheter", "pacemaker"),
    "cardiac disease": (
        "heart-failure",
        "coronary-artery-disease",
        "myocardial-infarction",
        "unstable-angina",
        "cardiac-arrhythmia",
    ),
    "chronic kidney disease": (
        "chronic-kidney-disease",
        "end-stage-renal-disease",
        "dialysis-dependence",
        "kidney-transplant",
    ),
    "diabetes": ("diabetes-mellitus",),
    "infection": (_INFECTION,),
    "immobility": ("immobility",),
    "clotting disorder": ("thrombophilia",),
    "hyperviscosity": ("hyperviscosity",),
}


Fact = ConditionFact | ProcedureFact | Result | MedicationOrder
"""What an item rests on."""


@dataclass(frozen=True)
class Item:
    """One item of a score: the least and the most points it may count, with what it rests on."""

    name: str
    low: int
    high: int
    facts: tuple[Fact, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether its points are not known."""
        return self.low != self.high


@dataclass(frozen=True)
class Score:
    """The items that count, or may; ``missing`` are items counted as absent because nothing is recorded of them."""

    items: tuple[Item, ...]
    missing: tuple[str, ...] = ()

    @lazy
    def low(self) -> int:
        """The least it can be."""
        return sum(item.low for item in self.items)

    @lazy
    def high(self) -> int:
        """The most it can be."""
        return sum(item.high for item in self.items)

    @property
    def facts(self) -> tuple[Fact, ...]:
        """What all items rest on."""
        return tuple(dict.fromkeys(fact for item in self.items for fact in item.facts))


def is_old_infection(fact: ConditionFact, protocol: Protocol, today: date) -> bool:
    """Whether an infection is listed as active that began too long ago to be one still."""
    old = fact.day is not None and not protocol.vte.infection_counts.holds((today - fact.day).days)
    return fact.token == _INFECTION and old


@dataclass(frozen=True)
class _Found:
    """Whether something is so (None: not known), and what shows it."""

    present: Truth
    facts: tuple[Fact, ...] = ()


_PRESENT, _ABSENT, _UNKNOWN = _Found(present=True), _Found(present=False), _Found(None)


class ThrombosisRisk:
    """Both scores and the risk factors, from the snapshot and from the drugs ``taken`` now or drafted."""

    def __init__(
        self,
        snapshot: PatientSnapshot,
        protocol: Protocol,
        today: date,
        taken: DrugsTaken,
        antithrombotics: Antithrombotics,
        since: date,
    ) -> None:
        """``since``: the day treatment began, or begins."""
        self._snapshot = snapshot
        self._protocol = protocol
        self._today = today
        self._taken = taken
        self._antithrombotics = antithrombotics
        self._since = since

    @lazy
    def impede(self) -> Score:
        """IMPEDE VTE."""
        vte, points = self._protocol.vte, self._protocol.vte.impede.value
        races, missing = self._races({"asian", "pacific-islander"})
        items = (
            Item("lenalidomide", points["lenalidomide"], points["lenalidomide"]),
            *_items("body mass index", points["bmi"], self._mass_index(vte.impede_bmi)),
            *_items("fracture", points["fracture"], self._fracture),
            *_items("erythropoietin", points["erythropoietin"], self._erythropoietin),
            self._dexamethasone(
                (vte.high_dose_dexamethasone, points["high-dose-dexamethasone"]),
                (None, points["low-dose-dexamethasone"]),
            ),
            *_items("doxorubicin", points["doxorubicin"], self._drugs(_ANTHRACYCLINE)),
            *_items("Asian or Pacific islander", points["asian-or-pacific-islander"], races),
            *_items(EVENT, points["vte-history"], self._history),
            *_items("central line", points["central-line"], self._line(_CATHETER)),
            self._prophylaxis(points["therapeutic-anticoagulation"], points["prophylaxis"]),
        )
        return Score(_counted(items), missing)

    @lazy
    def saved(self) -> Score:
        """SAVED."""
        vte, points = self._protocol.vte, self._protocol.vte.saved.value
        races, missing = self._races({"asian"})
        items = (
            *_items("surgery", points["surgery"], self._surgery),
            *_items("Asian", points["asian"], races),
            *_items(EVENT, points["vte-history"], self._history),
            *_items("age", points["age"], self._age(vte.saved_age)),
            self._dexamethasone(
                (vte.high_dose_dexamethasone, points["high-dose-dexamethasone"]),
                (vte.standard_dose_dexamethasone, points["standard-dose-dexamethasone"]),
            ),
        )
        return Score(_counted(items), missing)

    @lazy
    def factors(self) -> tuple[Item, ...]:
        """The risk factors of the myeloma working group."""
        return (
            *_items("body mass index", 1, self._mass_index(self._protocol.vte.imwg_bmi)),
            *_items(EVENT, 1, self._history),
            *(item for name, tokens in _FACTORS.items() for item in _items(name, 1, self._factor(name, tokens))),
            *_items("surgery", 1, self._surgery),
            *_items("erythropoietin", 1, self._erythropoietin),
        )

    def _factor(self, name: str, tokens: Sequence[str]) -> _Found:
        return self._line(*tokens) if name == _LINE else self._conditions(tokens, now=True)

    @lazy
    def therapy_factors(self) -> tuple[Item, ...]:
        """Treatment that raises the risk of itself."""
        orders, total = self._dexamethasone_orders, self._dexamethasone_amount
        high = total is not None and self._protocol.vte.imwg_dexamethasone.holds(total)
        return (
            *_items("high-dose dexamethasone", 1, _Found(high, orders)),
            *_items("chemotherapy", 1, self._chemotherapy()),
        )

    @property
    def prior_event(self) -> Truth:
        """Whether there is or was a thrombosis."""
        return self._history.present

    @property
    def dexamethasone_unknown(self) -> bool:
        """Whether the amount of dexamethasone is not told."""
        return self._dexamethasone_amount is None

    @lazy
    def _history(self) -> _Found:
        return self._conditions(VEIN_HISTORY)

    @lazy
    def _erythropoietin(self) -> _Found:
        return self._drugs(_ESA)

    def _conditions(self, tokens: Sequence[str], *, now: bool = False) -> _Found:
        """Diagnoses, at any time or only while they last. One that is only suspected leaves it open."""
        recorded = self._snapshot.conditions_of(*tokens)
        if not recorded:
            return _ABSENT if self._knows_diagnoses(tokens) else _UNKNOWN
        conditions = [
            fact
            for fact in recorded
            if fact.confirmed is not False
            and not (now and (fact.is_over(self._today) or is_old_infection(fact, self._protocol, self._today)))
        ]
        suspected = any(fact.confirmed is False and not fact.is_over(self._today) for fact in recorded)
        return _found(conditions, known=self._knows_diagnoses(tokens) and not suspected)

    @lazy
    def _fracture(self) -> _Found:
        limit = int(self._protocol.vte.fracture_counts.value)
        recent = [
            fact
            for fact in self._snapshot.conditions_of(*_FRACTURES)
            if fact.confirmed is not False
            and (
                (fact.onset is not None and months_after(fact.onset_by or fact.onset, limit) >= self._today)
                or (fact.active is True and not fact.is_over(self._today))
            )
        ]
        return _found(recent, known=self._knows_diagnoses(_FRACTURES))

    def _knows_diagnoses(self, tokens: Sequence[str]) -> bool:
        """Whether all diagnoses came, and none that may be one of these could not be read."""
        return self._all_diagnoses and not self._snapshot.unread_of(*tokens)

    @lazy
    def _all_diagnoses(self) -> bool:
        return self._snapshot.supplied("Condition").proves_absence

    @lazy
    def _all_procedures(self) -> bool:
        return self._snapshot.supplied("Procedure").proves_absence

    @lazy
    def _all_orders(self) -> bool:
        return self._snapshot.supplied("MedicationRequest").proves_absence

    def _line(self, *tokens: str) -> _Found:
        """Catheters listed as a diagnosis, or put in lately; a pacemaker stays."""
        limit = self._protocol.vte.line_counts
        diagnosed = self._conditions(tokens, now=True)
        put_in = [
            fact
            for fact in self._snapshot.procedures_of(_INSERTION)
            if fact.day is not None and fact.day <= self._today and limit.holds((self._today - fact.day).days)
        ]
        if len(tokens) > 1:
            put_in += self._snapshot.procedures_of(_PACEMAKER)
        if not put_in:
            return diagnosed if self._all_procedures or diagnosed.present is not False else _UNKNOWN
        return _Found(present=True, facts=(*diagnosed.facts, *put_in))

    @lazy
    def _surgery(self) -> _Found:
        limit, recorded = self._protocol.vte.surgery_counts, self._snapshot.procedures_of("surgery")
        dated = [
            fact
            for fact in recorded
            if fact.day is not None and fact.day <= self._today and limit.holds((self._today - fact.day).days)
        ]
        undated = any(fact.day is None for fact in recorded)
        return _found(dated, known=self._all_procedures and not undated)

    def _drugs(self, drug_class: str) -> _Found:
        return _found(self._taken.of(drug_class), known=self._all_orders)

    def _chemotherapy(self) -> _Found:
        """Chemotherapy beside lenalidomide; an order from before it is conditioning that nobody closed."""
        orders = [
            order
            for drug_class in _CHEMOTHERAPY
            for order in self._taken.of(drug_class)
            if order.start is None or order.start >= self._since
        ]
        return _Found(bool(orders), tuple(orders))

    def _mass_index(self, limit: Threshold) -> _Found:
        if self._body is None:
            return _UNKNOWN
        index, facts = self._body
        return _Found(limit.holds(index), facts)

    @lazy
    def _body(self) -> tuple[Decimal, tuple[Result, ...]] | None:
        """The body mass index, and what it was computed from or was measured as."""
        weight, height = self._largest("body-weight"), self._largest("body-height")
        if weight is not None and height is not None and height.value > 0:
            return body_mass_index(weight.value, height.value), (weight, height)
        recorded = self._largest("bmi")
        return None if recorded is None else (recorded.value, (recorded,))

    def _largest(self, token: str) -> Result | None:
        return latest(_measured(self._snapshot, token), worse=highest_first)

    def _age(self, limit: Threshold) -> _Found:
        patient = self._snapshot.patient
        if patient is None or patient.birth_date is None:
            return _UNKNOWN
        return _Found(limit.holds(completed_years(patient.birth_date, self._today)))

    def _races(self, counted: set[str]) -> tuple[_Found, tuple[str, ...]]:
        """A race that is not recorded counts as none of these, and is named as missing."""
        patient = self._snapshot.patient
        races = frozenset() if patient is None else patient.races
        return _ABSENT if races.isdisjoint(counted) else _PRESENT, () if races else ("race",)

    def _dexamethasone(self, high: tuple[Threshold, int], low: tuple[Threshold | None, int]) -> Item:
        """Dexamethasone of 28 days; orders whose amount is not told may be any."""
        facts, total = self._dexamethasone_orders, self._dexamethasone_amount
        if not facts:
            return Item(_DEXAMETHASONE, 0, 0 if self._all_orders else high[1])
        if total is None:
            return Item(_DEXAMETHASONE, 0 if low[0] is not None else low[1], high[1], facts)
        if high[0].holds(total):
            return Item(_DEXAMETHASONE, high[1], high[1], facts)
        points = low[1] if low[0] is None or low[0].holds(total) else 0
        return Item(_DEXAMETHASONE, points, points, facts)

    @lazy
    def _dexamethasone_orders(self) -> tuple[MedicationOrder, ...]:
        """Orders of dexamethasone; a single dose, against sickness say, is none."""
        return tuple(
            order
            for order in self._taken.of("corticosteroid")
            if order.drug.token == _DEXAMETHASONE and not order.single_dose
        )

    @lazy
    def _dexamethasone_amount(self) -> Decimal | None:
        return _in_28_days(self._dexamethasone_orders)

    def _prophylaxis(self, therapeutic: int, prophylactic: int) -> Item:
        """One of the two, the greater; a dose that is not known may treat."""
        found = self._antithrombotics
        facts = tuple(drug.order for drug in found.protecting)
        if found.therapeutic:
            return Item("anticoagulation", therapeutic, therapeutic, facts)
        if found.dose_unknown:
            return Item("anticoagulant, dose not known", therapeutic, prophylactic, facts)
        if found.protecting:
            return Item("prophylaxis", prophylactic, prophylactic, facts)
        return Item("prophylaxis", 0 if self._all_orders else therapeutic, 0)


def _items(name: str, points: int, found: _Found) -> tuple[Item, ...]:
    """The item where it counts, or may; its points may be below nothing."""
    if found.present is False or not points:
        return ()
    counts = points if found.present else 0
    return (Item(name, min(counts, points), max(counts, points), found.facts),)


def _counted(items: Iterable[Item]) -> tuple[Item, ...]:
    return tuple(item for item in items if item.low or item.high)


def _found(facts: Sequence[Fact], *, known: bool) -> _Found:
    if facts:
        return _Found(present=True, facts=tuple(facts))
    return _ABSENT if known else _UNKNOWN


def _in_28_days(orders: Sequence[MedicationOrder]) -> Decimal | None:
    """Milligrams of all orders together; None where one does not tell. The same amount twice is one drug told twice."""
    amounts = {order.amount_in_28_days for order in orders}
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if len(known) == len(amounts) else None


def _measured(snapshot: PatientSnapshot, token: str) -> list[Result]:
    return [result for result in snapshot.of(token) if result.measurement is not None]
