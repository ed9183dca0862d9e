"""What the rules may know of one patient: dated facts, and what could not be had or read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum

from cds.facts import fact
from cds.lazy import lazy
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
        return self is Supply.EMPTY or self is Supply.WHOLE


@fact(frozen=True, slots=True)
class Moment:
    """A calendar date in the organisation's zone and, where the record gives a time, the instant."""

    day: date
    instant: datetime | None = None


@fact(frozen=True, slots=True)
class Measurement:
    """A decimal in the canonical unit; ``comparator`` as FHIR has it (``<``, ``<=``, ``>=``, ``>``)."""

    value: Decimal
    comparator: str | None = None


@fact(frozen=True, slots=True)
class Result:
    """One laboratory result, vital sign or answer that could be read; ``told`` is a date that is the value."""

    token: str
    measurement: Measurement | None
    answer: str | None
    unit: str
    effective: Moment
    reference: str
    preliminary: bool = False
    future: bool = False
    lower_limit: Decimal | None = None
    upper_limit: Decimal | None = None
    note: str = ""
    told: date | None = None

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
    ABSENT = "no value"
    WORDS = "named by its words only"
    OTHER = "other"


@fact(frozen=True, slots=True)
class Unread:
    """A resource that could not be used, and why; ``token`` where it is known what it would have been.

    ``over``: something of the past, named only where the past matters.
    """

    reference: str
    why: str
    fault: Fault = Fault.OTHER
    token: str | None = None
    day: date | None = None
    instant: datetime | None = None
    over: bool = False


@fact(frozen=True, slots=True)
class Drug:
    """Identity of an ordered drug. ``coded`` is False when only its text looks like this drug.

    ``contraceptive`` names the method of contraception it is, where it is one; ``per_international_unit`` what one unit
    counts in the unit of its dose (milligrams, or units where it is never dosed otherwise).
    """

    token: str
    name: str
    drug_class: str
    coded: bool = True
    strength_mg: Decimal | None = None
    contraceptive: str | None = None
    per_international_unit: Decimal | None = None


@fact(frozen=True, slots=True)
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


@fact(frozen=True, slots=True)
class MedicationOrder:
    """A MedicationRequest or MedicationDispense of a drug the rules know.

    ``end`` is the day a bound or a stop ends treatment (that day is no treatment day when ``status`` is stopped or
    on-hold); ``days_supply`` and ``quantity`` (capsules) as dispensed; ``refills`` is None when not stated;
    ``in_programme`` tells whether it carries evidence of the pregnancy-prevention programme; ``amount_in_28_days``
    and ``amount_per_day`` (of a day on which it is taken) are in milligrams, of some heparins in international units, for
    drugs of which a rule asks for the dose and as far as it is told. ``dose_per_kilogram`` is one dose ordered by body
    weight, in mg/kg. ``once`` and ``as_needed``: not taken regularly.
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
    vaginal: bool = False
    oral: bool = False
    in_programme: bool = False
    amount_in_28_days: Decimal | None = None
    amount_per_day: Decimal | None = None
    dose_per_kilogram: Decimal | None = None
    as_needed: bool = False
    once: bool = False

    @property
    def single_dose(self) -> bool:
        """Whether it is for one day only, against sickness say, or only when needed."""
        begins_and_ends = self.bounds_start is not None and self.bounds_start == self.end
        return self.days_supply == 1 or begins_and_ends or self.once or self.as_needed

    @property
    def level(self) -> Level | None:
        """Level of the order, None when it is not known."""
        return self.dosing.level

    @property
    def is_interrupted(self) -> bool:
        """Whether it was stopped or put on hold."""
        return self.status in INTERRUPTED


@fact(frozen=True, slots=True)
class ConditionFact:
    """A Condition that is not refuted or entered in error.

    ``active`` is None where clinicalStatus, and ``confirmed`` where verificationStatus is not given; ``confirmed`` is
    False for one that is unconfirmed, provisional or one of a differential diagnosis. ``onset`` of a month or a year is its
    first day, ``onset_by`` its last.
    """

    token: str
    name: str
    reference: str
    active: bool | None
    onset: date | None = None
    abated: date | None = None
    recorded: date | None = None
    grade: int | None = None
    confirmed: bool | None = None
    onset_by: date | None = None

    @property
    def day(self) -> date | None:
        """When it began, else when it was recorded."""
        return self.onset or self.recorded

    @property
    def latest_day(self) -> date | None:
        """The last day on which it can have begun; of one without onset when it was recorded."""
        return self.onset_by or self.onset or self.recorded

    def is_over(self, today: date) -> bool:
        """Whether it is said to be over, and not active all the same."""
        ended = self.abated is not None and self.abated <= today
        return self.active is False or (ended and self.active is not True)


@fact(frozen=True, slots=True)
class ProcedureFact:
    """A completed or running Procedure; ``day`` is None when it is not dated."""

    token: str
    name: str
    reference: str
    day: date | None
    status: str = "completed"


@fact(frozen=True, slots=True)
class AllergyFact:
    """An allergy or intolerance that is not refuted: to ``token`` (a drug), with the manifestations recorded.

    ``severe`` is None where the record does not tell; ``over`` where it is recorded as inactive or resolved.
    """

    token: str
    name: str
    drug_class: str
    reference: str
    severe: bool | None
    manifestations: tuple[str, ...] = ()
    over: bool = False


@fact(frozen=True, slots=True)
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


@fact(frozen=True, slots=True)
class Patient:
    """Demographics. ``sex`` is ``male``, ``female`` or None when not known or neither.

    ``born_by`` is the last day on which the patient can have been born, also where the record gives only a year.
    ``recorded_female`` is why the body may be female whatever ``sex`` says (sex at birth, say); empty where nothing is.
    ``races`` are the declared ones that a risk score asks for, empty where none is declared.
    """

    reference: str
    birth_date: date | None
    sex: str | None
    sex_source: str = ""
    recorded_female: str = ""
    deceased: bool = False
    born_by: date | None = None
    races: frozenset[str] = frozenset()


@fact(frozen=True, slots=True)
class DeviceFact:
    """A device in use or implanted, ``since`` a day where it is told."""

    token: str
    reference: str
    since: date | None = None


REQUIRED_KINDS = ("Patient", "Observation", "MedicationRequest", "Condition", "Procedure", "AllergyIntolerance")


@dataclass(frozen=True)
class PatientSnapshot:
    """All facts of one patient that the rules may ask for, and what became of each kind of data.

    ``in_programme``: whether the record shows enrolment in the pregnancy-prevention programme.
    """

    patient: Patient | None
    results: Mapping[str, tuple[Result, ...]] = field(default_factory=dict)
    orders: tuple[MedicationOrder, ...] = ()
    conditions: tuple[ConditionFact, ...] = ()
    procedures: tuple[ProcedureFact, ...] = ()
    allergies: tuple[AllergyFact, ...] = ()
    reactions: tuple[Reaction, ...] = ()
    devices: tuple[DeviceFact, ...] = ()
    in_programme: bool = False
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
        if self._condition_tokens.isdisjoint(tokens):
            return ()
        return tuple(condition for condition in self.conditions if condition.token in tokens)

    def procedures_of(self, *tokens: str) -> tuple[ProcedureFact, ...]:
        """Procedures under any of the tokens."""
        if self._procedure_tokens.isdisjoint(tokens):
            return ()
        return tuple(procedure for procedure in self.procedures if procedure.token in tokens)

    def unread_of(self, *tokens: str) -> tuple[Unread, ...]:
        """What could not be read and would have been one of the tokens."""
        if self._unread_tokens.isdisjoint(tokens):
            return ()
        return tuple(unread for unread in self.unread if unread.token in tokens)

    # Of most tokens that a rule asks for a record holds nothing.

    @lazy
    def _condition_tokens(self) -> frozenset[str]:
        return frozenset(condition.token for condition in self.conditions)

    @lazy
    def _procedure_tokens(self) -> frozenset[str]:
        return frozenset(procedure.token for procedure in self.procedures)

    @lazy
    def _unread_tokens(self) -> frozenset[str | None]:
        return frozenset(unread.token for unread in self.unread)


@fact(frozen=True, slots=True)
class DraftOrders:
    """The unsigned orders of a request; ``selected`` names those to judge, None means all."""

    orders: tuple[MedicationOrder, ...] = ()
    selected: frozenset[str] | None = None
    unread: tuple[Unread, ...] = ()

    def is_selected(self, order: MedicationOrder) -> bool:
        """Whether this order is one to judge."""
        return self.selected is None or order.reference in self.selected
