"""The shape of one clinical case after it has been merged with its file's baseline.

Every model refuses unknown keys: a misspelt key in a case file would otherwise test nothing.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from cds.level import Level

CaseId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]*$")]
RuleId = Annotated[
    str,
    StringConstraints(
        pattern=r"^(dosing|renal|heme|teratogenicity|vte|interaction|monitoring|eligibility|supply)\.[a-z0-9-]+$"
    ),
]
PartialDate = Annotated[str, StringConstraints(pattern=r"^\d{4}(-\d\d(-\d\d)?)?$")]
ScoreRange = Annotated[str, StringConstraints(pattern=r"^-?\d+ to -?\d+$")]
LevelText = Annotated[str, AfterValidator(lambda text: str(Level.parse(text)))]
Schedule = Literal["28", "21", "qod"]
Indicator = Literal["critical", "warning", "info"]
PrefetchKey = Literal["observations", "medications", "conditions", "procedures", "allergies"]


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Part(BaseModel):
    """Base of everything that stands in a case."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Patient(Part):
    """Demographics; ``race`` is a token of the race terminology, ``programme`` enrolment as an identifier shows it."""

    birth_date: PartialDate | None = None
    sex: Literal["male", "female", "other", "unknown"] | None = None
    race: str | None = None
    birth_sex: Literal["F", "M", "UNK"] | None = None
    sex_for_clinical_use: Literal["male-typical", "female-typical", "specified", "unknown"] | None = None
    gender_identity: Literal["trans-man", "trans-woman", "male", "female"] | None = None
    programme: str | None = None


class Reading(Part):
    """One laboratory result or vital sign; dated today unless the case says otherwise.

    ``tells`` is a date as the value, ``dated`` a date as it was typed, ``of`` another patient's id.
    """

    value: Decimal | None = None
    unit: str | None = None
    result: str | None = None
    tells: PartialDate | None = None
    interpretation: str | None = None
    days_ago: int | None = None
    date: PartialDate | None = None
    at: AwareDatetime | None = None
    dated: str | None = None
    of: str | None = None
    comparator: Literal["<", "<=", ">=", ">"] | None = None
    status: str = "final"
    uln: Decimal | None = None
    lln: Decimal | None = None
    component_of: str | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if sum(given is not None for given in (self.value, self.result, self.tells)) != 1:
            raise ValueError("needs one of value, result and tells")
        if self.value is not None and "unit" not in self.model_fields_set:
            raise ValueError("needs a unit (or unit: null): the baseline has none to take over")
        if len({"days_ago", "date", "at", "dated"} & self.model_fields_set) > 1:
            raise ValueError("days_ago, date, at and dated exclude each other")
        return self

    def effective(self, now: datetime) -> str:
        """The reading's date or instant as FHIR writes it."""
        if self.at is not None:
            return self.at.isoformat()
        if self.dated is not None:
            return self.dated
        return self.date or (now.date() - timedelta(days=self.days_ago or 0)).isoformat()


class Condition(Part):
    """A diagnosis; one with ``text`` has no code."""

    code: str
    text: str | None = None
    onset: PartialDate | None = None
    recorded: PartialDate | None = None
    abated: PartialDate | None = None
    status: str | None = "active"
    verification: str | None = "confirmed"
    grade: int | None = Field(default=None, ge=1, le=5)
    severity: Literal["mild", "moderate", "severe"] | None = None


class Procedure(Part):
    """A procedure; undated without ``date``."""

    code: str
    date: PartialDate | None = None
    status: str = "completed"
    side: Literal["left", "right", "bilateral"] | None = None


class Medication(Part):
    """An order of a drug other than lenalidomide; ``drafted`` ones are signed together with the draft."""

    code: str
    dose: str | None = None
    status: str = "active"
    drafted: bool = False
    start: date | None = None
    days_supply: int | None = None


class Contraception(Part):
    """A method that was reported at each visit since it began."""

    method: str
    since: date


class Device(Part):
    """A device in use, as a DeviceUseStatement says it."""

    code: str
    since: PartialDate | None = None
    status: str = "active"


class Allergy(Part):
    """An allergy to a drug, with the reactions it showed as."""

    code: str
    status: str = "active"
    verification: str = "confirmed"
    criticality: Literal["low", "high", "unable-to-assess"] | None = None
    manifestations: tuple[str, ...] = ()
    severity: Literal["mild", "moderate", "severe"] | None = None


class AdverseEvent(Part):
    """A reaction graded by CTCAE; ``attributed`` when lenalidomide is named as the suspected cause."""

    code: str
    grade: int | None = Field(default=None, ge=1, le=5)
    onset: PartialDate | None = None
    status: Literal["active", "resolved"] = "active"
    resolved: PartialDate | None = None
    attributed: bool = False


class Response(Part):
    """An assessment of the myeloma."""

    code: str
    date: PartialDate


class PastOrders(Part):
    """One or more consecutive past lenalidomide orders of the same dose."""

    dose_mg: Decimal
    schedule_days: Schedule = "28"
    start: date
    days_supply: int = 28
    orders: int = Field(default=1, ge=1)
    status: str = "completed"
    hold_date: date | None = None
    doses_per_day: int = 1

    @model_validator(mode="after")
    def _stops_once(self) -> Self:
        if self.hold_date is not None and self.orders > 1:
            raise ValueError("hold_date belongs to a single order: give that one an entry of its own")
        return self


class Line(Part):
    """One dosage line of a draft; what it does not say is as the draft has it."""

    dose_mg: Decimal | None
    schedule_days: Schedule | None = None
    doses_per_day: int | None = None
    start: date | None = None


class Draft(Part):
    """A lenalidomide order about to be signed."""

    dose_mg: Decimal | None
    schedule_days: Schedule | None
    days_supply: int | None
    refills: int | None
    doses_per_day: int = 1
    quantity: Decimal | None = None
    start: date | None = None
    strength_mg: Decimal | None = None
    instructions: str | None = None
    validity_end: date | None = None
    authored_on: date | None = None
    lines: tuple[Line, ...] = ()
    text_only: str | None = None
    programme: str | None = None


class Facts(Part):
    """Derived facts of the explanation; those not named are not compared."""

    crcl_ml_min: Decimal | None = None
    completed_cycles: int | None = None
    current_level: LevelText | None = None
    reproductive_class: str | None = None
    impede: ScoreRange | None = None
    saved: ScoreRange | None = None


class Expectation(Part):
    """What the answer must say. Rules that are not listed may fire or not; ``action`` None is not compared.

    ``cards`` are texts that stand somewhere on the cards, ``unsaid`` texts that stand on none.
    """

    action: Literal["discontinue", "hold", "defer", "modify", "proceed"] | None
    level: LevelText | None = None
    resume_at: LevelText | None = None
    fires: dict[RuleId, Indicator] = {}
    silent: tuple[RuleId, ...] = ()
    unknown: tuple[RuleId, ...] = ()
    cards: tuple[str, ...] = ()
    unsaid: tuple[str, ...] = ()
    facts: Facts = Facts()

    @model_validator(mode="after")
    def _has_level_where_there_is_one(self) -> Self:
        if (self.action in {"proceed", "modify"}) != (self.level is not None):
            raise ValueError("level goes with proceed and modify, and only with them")
        return self


class Case(Part):
    """One patient, one order, one expected outcome."""

    id: CaseId
    title: str
    rule: str
    now: Annotated[datetime, AfterValidator(_in_utc)]
    hook: Literal["order-sign", "order-select", "patient-view"] = "order-sign"
    patient: Patient
    conditions: tuple[Condition, ...] = ()
    procedures: tuple[Procedure, ...] = ()
    medications: tuple[Medication, ...] = ()
    allergies: tuple[Allergy, ...] = ()
    adverse_events: tuple[AdverseEvent, ...] = ()
    responses: tuple[Response, ...] = ()
    contraception: tuple[Contraception, ...] = ()
    devices: tuple[Device, ...] = ()
    flags: tuple[str, ...] = ()
    labs: dict[str, tuple[Reading, ...]] = {}
    history: tuple[PastOrders, ...] = ()
    drafts: tuple[Draft, ...] = Field(min_length=1)
    withheld: tuple[PrefetchKey, ...] = ()
    failed: tuple[PrefetchKey, ...] = ()
    expect: Expectation


def without_typing(value: Any) -> Any:
    """A parsed case whose scalars are all text, with ``null`` read as nothing."""
    if isinstance(value, dict):
        return {key: without_typing(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_typing(item) for item in value]
    return None if value == "null" else value
