"""Who can become pregnant: the class that pregnancy tests, contraception and supply depend on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from cds.calculations import completed_years, months_after, years_after
from cds.pregnancy import breastfeeding
from cds.protocol import Protocol
from cds.snapshot import ConditionFact, Fault, PatientSnapshot, ProcedureFact, Result, Supply, Unread

MALE, ABLE, NOT_ABLE, PRESUMED_NOT_ABLE = "male", "frp", "not-frp", "presumed-not-frp"
_STERILISING = ("hysterectomy", "bilateral-oophorectomy")
_ONE_SIDED = ("left-oophorectomy", "right-oophorectomy")
_TURNER = "turner-syndrome"
_EU_ONLY = (_TURNER, "xy-genotype", "uterine-agenesis")
_OVARIAN_FAILURE = "premature-ovarian-failure"
_TELLS_OF_PERIODS = ("last-menstrual-period", "menopausal-status")
_INDUCED = "artificial-menopause"
_TRANSPLANTS = ("autologous-hsct", "allogeneic-sct", "stem-cell-transplant-unspecified")
_CANCER_DRUGS = {"imid", "alkylator", "anthracycline", "anti-myeloma"}

_NOTHING = "nothing recorded that excludes pregnancy"

Basis = ConditionFact | ProcedureFact | Result


@dataclass(frozen=True)
class ReproductiveClass:
    """``male``, ``frp`` (female of reproductive potential), ``not-frp`` or ``presumed-not-frp``, and the reason.

    ``basis`` is the record it rests on; ``undocumented`` tells that data are missing which would decide it.
    """

    value: str
    why: str
    basis: Basis | None = None
    reference: str | None = None
    undocumented: bool = False

    @property
    def able(self) -> bool:
        """Whether pregnancy must be assumed possible."""
        return self.value == ABLE

    @property
    def male(self) -> bool:
        """Whether the patient is a man, for whom there is no pregnancy test."""
        return self.value == MALE


@dataclass(frozen=True)
class _Menopause:
    """Menopause that began on ``since`` at the latest (None when not told), as ``basis`` records it."""

    since: date | None
    basis: Basis


def reproductive_class(snapshot: PatientSnapshot, protocol: Protocol, today: date) -> ReproductiveClass:
    """The class by the protocol's family of definitions; whatever is unknown counts as able to conceive."""
    patient = snapshot.patient
    if patient is not None and patient.sex == "male" and not patient.recorded_female:
        return ReproductiveClass(MALE, "recorded as male", reference=patient.reference)
    excluding = _excluding(snapshot, protocol, today)
    if excluding is not None:
        return ReproductiveClass(NOT_ABLE, excluding.name, excluding, excluding.reference)
    if patient is None or patient.born_by is None:
        failed = snapshot.supplied("Patient") is Supply.FAILED
        missing = "the Patient was not retrieved" if failed else "no Patient was supplied"
        why = missing if patient is None else "the date of birth is not known"
        return ReproductiveClass(ABLE, why, undocumented=True)
    age = completed_years(patient.born_by, today)
    years = f"{age} years old"
    sex = "" if patient.sex == "female" else patient.recorded_female or "neither male nor female recorded"
    who = f"{years}, {sex}" if sex else years
    sexless = patient.sex is None and not patient.recorded_female
    if not protocol.reproduction.menopause_age.holds(age):
        why = f"{who}, {_nothing_that_excludes(snapshot)}"
        return ReproductiveClass(ABLE, why, reference=patient.reference, undocumented=sexless)
    menopause, doubt = _natural_menopause(snapshot, protocol, today)
    if menopause is not None and not doubt:
        return ReproductiveClass(NOT_ABLE, "natural menopause", menopause.basis, menopause.basis.reference)
    if protocol.reproduction.presumed_age.holds(age) and not _bled_of_late(snapshot, protocol, today):
        return ReproductiveClass(PRESUMED_NOT_ABLE, who, reference=patient.reference)
    basis = None if menopause is None else menopause.basis
    return ReproductiveClass(ABLE, f"{who}, {doubt}", basis, patient.reference, undocumented=True)


def _excluding(snapshot: PatientSnapshot, protocol: Protocol, today: date) -> ProcedureFact | ConditionFact | None:
    """A record that excludes pregnancy for good. Tubal ligation is contraception, not sterility."""
    done = [
        procedure
        for procedure in snapshot.procedures_of(*_STERILISING, *_ONE_SIDED)
        if procedure.status == "completed" and (procedure.day is None or procedure.day <= today)
    ]
    whole = next((procedure for procedure in done if procedure.token in _STERILISING), None)
    if whole is not None:
        return whole
    # What was removed does not come back, so a clinical status says nothing here.
    recorded = [
        item
        for item in snapshot.conditions_of(*_STERILISING, *_ONE_SIDED)
        if item.confirmed is not False and (item.day is None or item.day <= today)
    ]
    stated = next((condition for condition in recorded if condition.token in _STERILISING), None)
    if stated is not None:
        return stated
    one_sided: list[ProcedureFact | ConditionFact] = [*recorded, *done]
    sides = {fact.token: fact for fact in one_sided}
    if set(sides) == set(_ONE_SIDED):
        return sides[_ONE_SIDED[1]]
    return _inborn(snapshot) if protocol.reproduction.family.value == "EU" else None


def _inborn(snapshot: PatientSnapshot) -> ConditionFact | None:
    """Further grounds of the EU family; ovarian failure must have been confirmed, and not have come with cancer treatment."""
    treated = _treatment_began(snapshot)
    for condition in snapshot.conditions_of(*_EU_ONLY, _OVARIAN_FAILURE):
        if condition.active is False or condition.confirmed is False:
            continue
        if condition.token == _OVARIAN_FAILURE:
            induced = treated is not None and condition.day is not None and condition.day >= treated
            counts = condition.confirmed is True and not induced
        else:
            counts = condition.token != _TURNER or not snapshot.conditions_of(f"{_TURNER}-mosaic")
        if counts:
            return condition
    return None


def _nothing_that_excludes(snapshot: PatientSnapshot) -> str:
    """What stands in the record instead of a reason that excludes pregnancy."""
    hinted = [item for item in snapshot.unread_of(*_STERILISING) if item.fault is Fault.OTHER]
    if hinted:
        return f"{hinted[0].token} recorded only in words that no code confirms".replace("-", " ")
    sides = [*snapshot.procedures_of(*_ONE_SIDED), *snapshot.conditions_of(*_ONE_SIDED)]
    if sides:
        return "removal of one ovary recorded, not of both"
    missing = [kind for kind in ("Condition", "Procedure") if not snapshot.supplied(kind).proves_absence]
    if missing:
        return f"{' and '.join(kind.lower() + 's' for kind in missing)} not available"
    return _NOTHING


def _natural_menopause(snapshot: PatientSnapshot, protocol: Protocol, today: date) -> tuple[_Menopause | None, str]:
    """The best record of menopause, and what keeps it from counting: too short, not dated, or perhaps from treatment."""
    months = protocol.reproduction.menopause_months
    found = sorted(_recorded_menopause(snapshot, int(months.value)), key=lambda item: item.since or date.max)
    if not found:
        nothing = _nothing_that_excludes(snapshot)
        return None, "menopause not documented" if nothing == _NOTHING else f"menopause not documented, {nothing}"
    menopause = found[0]
    treated, bleeding = _treatment_began(snapshot), _last_sign_of_periods(snapshot)
    induced = snapshot.conditions_of(_INDUCED) or any(
        status.answer == "postsurgical-menopause" for status in snapshot.of("menopausal-status")
    )
    if induced or breastfeeding(snapshot, protocol, today):
        return menopause, "menopause or amenorrhoea with another cause recorded"
    if menopause.since is None:
        return menopause, "menopause recorded without the date it began"
    irregular = any(item.active is not False for item in snapshot.conditions_of("irregular-menstruation"))
    if irregular or (bleeding is not None and bleeding > menopause.since):
        return menopause, "menopause recorded, and periods after it"
    if any(_may_be_a_period(item, menopause.since) for item in snapshot.unread):
        return menopause, "menopause recorded, and a later entry about periods that could not be read"
    if treated is not None and menopause.since >= treated:
        return menopause, "menopause began after cancer treatment, which may have caused it"
    if months_after(menopause.since, int(months.value)) > today:
        return menopause, f"menopause less than {months.amount} ago"
    return menopause, ""


def _may_be_a_period(unread: Unread, since: date) -> bool:
    """Whether an entry that could not be read may say that she had periods after a day."""
    return (
        unread.token in _TELLS_OF_PERIODS
        and unread.fault not in {Fault.FOREIGN, Fault.STATUS}
        and (unread.day is None or unread.day > since)
    )


def _bled_of_late(snapshot: PatientSnapshot, protocol: Protocol, today: date) -> bool:
    """Whether a period is recorded that is not as long ago as menopause asks for."""
    bleeding = _last_sign_of_periods(snapshot)
    return bleeding is not None and months_after(bleeding, int(protocol.reproduction.menopause_months.value)) > today


def _last_sign_of_periods(snapshot: PatientSnapshot) -> date | None:
    """The last day of which the record says that she still had periods."""
    days = [result.told for result in snapshot.of("last-menstrual-period")]
    days += [
        status.day
        for status in snapshot.of("menopausal-status")
        if status.answer in {"before-menopause", "during-menopause"}
    ]
    return max((day for day in days if day is not None), default=None)


def _recorded_menopause(snapshot: PatientSnapshot, months: int) -> Iterator[_Menopause]:
    """From diagnoses, menopausal status, age at menopause, and the last period where it was told late enough."""
    for condition in snapshot.conditions_of("menopause"):
        if condition.active is not False and condition.confirmed is not False:
            # Recorded on a day, it had begun by then.
            yield _Menopause(condition.day, condition)
    for status in snapshot.of("menopausal-status"):
        if status.answer == "after-menopause" and not status.only_against:
            yield _Menopause(status.day, status)
    born = snapshot.patient.birth_date if snapshot.patient is not None else None
    for told in snapshot.of("age-at-menopause"):
        exact = told.measurement is not None and told.measurement.comparator is None
        if born is not None and exact and not told.only_against:
            # Told in completed years, so it may have begun up to a day before the next birthday.
            yield _Menopause(years_after(born, int(told.value) + 1), told)
    # Hormones may have stopped the periods.
    hormones = any(order.drug.contraceptive is not None for order in snapshot.orders)
    for period in () if hormones else snapshot.of("last-menstrual-period")[-1:]:
        # What came after the interview is not known: the time without a period must have passed by then.
        if period.told is not None and not period.only_against and months_after(period.told, months) <= period.day:
            yield _Menopause(period.told, period)


def _treatment_began(snapshot: PatientSnapshot) -> date | None:
    """The first cancer treatment on record: a drug or a transplant."""
    days = [procedure.day for procedure in snapshot.procedures_of(*_TRANSPLANTS)]
    days += [order.start for order in snapshot.orders if order.drug.drug_class in _CANCER_DRUGS]
    return min((day for day in days if day is not None), default=None)
