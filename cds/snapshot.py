"""What the rules may know of one patient: dated facts, and what could not be had or read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum

from cds.level import Level, Schedule

LENALIDOMIDE = "lenalidomide"
"""Token of the drug that is judged."""


class Supply(Enum):
    """What came of one kind of data. Only WHOLE and EMPTY prove that something does not exist."""

    ABSENT = "not supplied"
    FAILED = "not retrieved"
    PARTIAL = "supplied only in part"
    EMPTY = "empty"
    WHOLE = "supplied"

    @property
    def proves_absence(self) -> bool:
        """Whether something not found does not exist."""
        return self in {Supply.EMPTY, Supply.WHOLE}


@dataclass(frozen=True, slots=True)
class Moment:
    """A calendar date in the organisation's zone and, where the record gives a time, the instant."""

    day: date
    instant: datetime | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """A decimal in the canonical unit; ``comparator`` as FHIR has it (``<``, ``<=``, ``>=``, ``>``)."""

    value: Decimal
    comparator: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """One laboratory result or vital sign that could be read."""

    token: str
    measurement: Measurement | None
    answer: str | None
    unit: str
    effective: Moment
    reference: str
    preliminary: bool = False
    future: bool = False
    upper_limit: Decimal | None = None
    note: str = ""

    @property
    def day(self) -> date:
        """Date of the specimen or measurement."""
        return self.effective.day

    @property
    def only_against(self) -> bool:
        """A preliminary or post-dated result may count against the patient, never for a dose."""
        return self.preliminary or self.future

    @property
    def value(self) -> Decimal:
        """The number; only for results that have one."""
        if self.measurement is None:
            msg = f"{self.reference} has no numeric value"
            raise ValueError(msg)
        return self.measurement.value


class Fault(Enum):
    """Why a resource was not read, as far as a rule needs to tell."""

    UNIT = "unit"
    IMPLAUSIBLE = "implausible"
    FOREIGN = "another patient's"
    STATUS = "status"
    FUTURE = "dated after now"
    CODE = "code"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Unread:
    """A resource that could not be used, and why; ``token`` where it is known what it would have been."""

    reference: str
    why: str
    fault: Fault = Fault.OTHER
    token: str | None = None
    day: date | None = None


@dataclass(frozen=True, slots=True)
class Drug:
    """Identity of an ordered drug. ``coded`` is False when only its text looks like this drug."""

    token: str
    name: str
    drug_class: str
    coded: bool = True
    strength_mg: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Dosing:
    """How an order is to be taken. ``problems`` says why a part of it is unknown.

    ``daily_mg`` is the largest total on one dosing day, ``per_day`` the administrations on that day.
    """

    daily_mg: Decimal | None = None
    schedule: Schedule | None = None
    per_day: int = 1
    dose_stated: bool = False
    instructions: str = ""
    problems: tuple[str, ...] = ()

    @property
    def level(self) -> Level | None:
        """The level when both dose and schedule are known."""
        if self.daily_mg is None or self.schedule is None:
            return None
        return Level(self.daily_mg, self.schedule)


INTERRUPTED = frozenset({"stopped", "on-hold"})
"""Statuses of an order whose end is the day of the stop."""


@dataclass(frozen=True, slots=True)
class MedicationOrder:
    """A MedicationRequest or MedicationDispense of a drug the rules know.

    ``end`` is the day a bound or a stop ends treatment (that day is no treatment day when ``status`` is stopped or
    on-hold); ``days_supply`` and ``quantity`` (capsules) as dispensed; ``refills`` is None when not stated.
    """

    reference: str
    drug: Drug
    status: str
    dosing: Dosing
    intent: str = "order"
    start: date | None = None
    bounds_start: date | None = None
    end: date | None = None
    days_supply: int | None = None
    quantity: Decimal | None = None
    refills: int | None = None
    authored: date | None = None
    validity_end: date | None = None
    prior: str | None = None
    topical: bool = False

    @property
    def level(self) -> Level | None:
        """Level of the order, None when it is not known."""
        return self.dosing.level

    @property
    def is_interrupted(self) -> bool:
        """Whether it was stopped or put on hold."""
        return self.status in INTERRUPTED


@dataclass(frozen=True, slots=True)
class ConditionFact:
    """A Condition that is not refuted or entered in error. ``active`` is None where clinicalStatus is not given."""

    token: str
    name: str
    reference: str
    active: bool | None
    onset: date | None = None
    abated: date | None = None
    recorded: date | None = None
    grade: int | None = None


@dataclass(frozen=True, slots=True)
class ProcedureFact:
    """A completed or running Procedure; ``day`` is None when it is not dated."""

    token: str
    name: str
    reference: str
    day: date | None
    status: str = "completed"


@dataclass(frozen=True, slots=True)
class AllergyFact:
    """An allergy or intolerance that is not refuted: to ``token`` (a drug), with the manifestations recorded."""

    token: str
    reference: str
    severe: bool | None
    manifestations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reaction:
    """A non-haematological adverse reaction; ``grade`` is the CTCAE grade, ``attributed`` to lenalidomide as stated."""

    token: str
    name: str
    reference: str
    grade: int | None
    onset: date | None
    resolved: bool
    resolved_on: date | None
    attributed: bool | None


@dataclass(frozen=True, slots=True)
class Patient:
    """Demographics. ``sex`` is ``male``, ``female`` or None when not known or neither."""

    reference: str
    birth_date: date | None
    sex: str | None
    sex_source: str = ""
    recorded_female_at_birth: bool = False
    deceased: bool = False


REQUIRED_KINDS = ("Patient", "Observation", "MedicationRequest", "Condition", "Procedure", "AllergyIntolerance")


@dataclass(frozen=True)
class PatientSnapshot:
    """All facts of one patient that the rules may ask for, and what became of each kind of data."""

    patient: Patient | None
    results: Mapping[str, tuple[Result, ...]] = field(default_factory=dict)
    orders: tuple[MedicationOrder, ...] = ()
    conditions: tuple[ConditionFact, ...] = ()
    procedures: tuple[ProcedureFact, ...] = ()
    allergies: tuple[AllergyFact, ...] = ()
    reactions: tuple[Reaction, ...] = ()
    unread: tuple[Unread, ...] = ()
    supply: Mapping[str, Supply] = field(default_factory=dict)

    def of(self, token: str) -> tuple[Result, ...]:
        """Results of one token, oldest first."""
        return self.results.get(token, ())

    def supplied(self, kind: str) -> Supply:
        """What came of a resource type."""
        return self.supply.get(kind, Supply.ABSENT)

    def conditions_of(self, *tokens: str) -> tuple[ConditionFact, ...]:
        """Conditions under any of the tokens."""
        return tuple(condition for condition in self.conditions if condition.token in tokens)

    def procedures_of(self, *tokens: str) -> tuple[ProcedureFact, ...]:
        """Procedures under any of the tokens."""
        return tuple(procedure for procedure in self.procedures if procedure.token in tokens)


@dataclass(frozen=True, slots=True)
class DraftOrders:
    """The unsigned orders of a request; ``selected`` names those to judge, None means all."""

    orders: tuple[MedicationOrder, ...] = ()
    selected: frozenset[str] | None = None
    unread: tuple[Unread, ...] = ()

    def is_selected(self, order: MedicationOrder) -> bool:
        """Whether this order is one to judge."""
        return self.selected is None or order.reference in self.selected
