"""Who can become pregnant: the class that supply rules, and the pregnancy rules to come, depend on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from cds.calculations import completed_years, months_after
from cds.protocol import Protocol
from cds.snapshot import ConditionFact, PatientSnapshot, ProcedureFact

MALE, ABLE, NOT_ABLE, PRESUMED_NOT_ABLE = "male", "frp", "not-frp", "presumed-not-frp"
_STERILISING = ("hysterectomy", "bilateral-oophorectomy")
_EU_ONLY = ("premature-ovarian-failure", "turner-syndrome", "xy-genotype", "uterine-agenesis")
_INDUCED = ("amenorrhoea-after-chemotherapy",)


@dataclass(frozen=True)
class ReproductiveClass:
    """``male``, ``frp`` (female of reproductive potential), ``not-frp`` or ``presumed-not-frp``, and the reason."""

    value: str
    why: str
    reference: str | None = None

    @property
    def able(self) -> bool:
        """Whether pregnancy must be assumed possible."""
        return self.value == ABLE


def reproductive_class(snapshot: PatientSnapshot, protocol: Protocol, today: date) -> ReproductiveClass:
    """The class by the protocol's family of definitions; whatever is unknown counts as able to conceive."""
    patient = snapshot.patient
    if patient is not None and patient.sex == "male" and not patient.recorded_female_at_birth:
        return ReproductiveClass(MALE, "recorded as male", patient.reference)
    excluding = _excluding(snapshot, protocol)
    if excluding is not None:
        return ReproductiveClass(NOT_ABLE, excluding.name, excluding.reference)
    if patient is None or patient.birth_date is None:
        return ReproductiveClass(ABLE, "sex or age is not known")
    age = completed_years(patient.birth_date, today)
    if not protocol.reproduction.menopause_age.holds(age):
        return ReproductiveClass(ABLE, f"{age} years old, nothing recorded that excludes pregnancy", patient.reference)
    menopause = _natural_menopause(snapshot, protocol, today)
    if menopause is not None:
        return ReproductiveClass(NOT_ABLE, f"natural menopause since {menopause.onset}", menopause.reference)
    if protocol.reproduction.presumed_age.holds(age):
        return ReproductiveClass(PRESUMED_NOT_ABLE, f"{age} years old, nothing recorded", patient.reference)
    return ReproductiveClass(ABLE, f"{age} years old, menopause not documented", patient.reference)


def _excluding(snapshot: PatientSnapshot, protocol: Protocol) -> ProcedureFact | ConditionFact | None:
    """A record that excludes pregnancy for good. Tubal ligation is contraception, not sterility."""
    done = [procedure for procedure in snapshot.procedures_of(*_STERILISING) if procedure.status == "completed"]
    tokens = _STERILISING + (_EU_ONLY if protocol.reproduction.family.value == "EU" else ())
    recorded = snapshot.conditions_of(*tokens)
    return done[0] if done else next(iter(recorded), None)


def _natural_menopause(snapshot: PatientSnapshot, protocol: Protocol, today: date) -> ConditionFact | None:
    """Menopause of known onset, long enough ago, and not brought on by treatment."""
    if snapshot.conditions_of(*_INDUCED):
        return None
    months = int(protocol.reproduction.menopause_months.value)
    return next(
        (
            condition
            for condition in snapshot.conditions_of("menopause")
            if condition.active is not False
            and condition.onset is not None
            and months_after(condition.onset, months) <= today
        ),
        None,
    )
