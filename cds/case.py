"""Everything the rules ask about one draft regimen: facts derived once from the snapshot, the protocol and now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from cds.antithrombotics import Antithrombotics, read_antithrombotics
from cds.calculations import completed_years
from cds.contraception import Contraception, read_contraception
from cds.counted import last_final, latest, lowest_first, since
from cds.course import Course, build_course
from cds.drugs_taken import DrugsTaken
from cds.episodes import NEUTROPHILS, PLATELETS
from cds.kidney import Kidney, assess_kidney, cap_of, is_severe
from cds.lazy import lazy
from cds.level import Level, Schedule
from cds.parameters import Threshold, Truth
from cds.pregnancy import PregnancyRecord, read_pregnancy_record
from cds.protocol import Protocol
from cds.regimen import Regimen, references_of
from cds.reproduction import ReproductiveClass, reproductive_class
from cds.snapshot import ConditionFact, DraftOrders, Fault, MedicationOrder, PatientSnapshot, Result, Supply, Unread
from cds.thrombosis_risk import ThrombosisRisk, is_old_infection
from cds.toxicity import Reactions, attributed_reactions, liver_hold, liver_hold_since

COUNTS = (NEUTROPHILS, PLATELETS)
HIDES = (Fault.UNIT, Fault.IMPLAUSIBLE, Fault.ABSENT, Fault.OTHER)
"""Why a result that is not read may still have been one."""

_STEROIDS = ("dexamethasone", "prednisone", "prednisolone")
_G_CSF = "g-csf"
_NOT_ORDERED = {"proposal", "plan", "option"}


class Case:
    """One patient, one draft regimen (None where no order is being written), one protocol, one instant."""

    def __init__(
        self,
        snapshot: PatientSnapshot,
        drafts: DraftOrders,
        regimen: Regimen | None,
        protocol: Protocol,
        now: datetime,
    ) -> None:
        self.snapshot = snapshot
        self.drafts = drafts
        self.regimen = regimen
        self.protocol = protocol
        self.now = now
        self.today: date = now.date()

    @lazy
    def course(self) -> Course:
        """The treatment course up to today."""
        start = None if self.regimen is None else self.regimen.start
        return build_course(self.snapshot, self.protocol, self.today, start, references_of(self.drafts.orders))

    @lazy
    def draft_level(self) -> Level | None:
        """The drafted level; None where no order is being written or its level is not known."""
        return None if self.regimen is None else self.regimen.level

    @property
    def is_start(self) -> bool:
        """A new start, or a restart after a long gap."""
        return self.course.new_start or self.course.restart

    def was_known(self, *days: date | None) -> bool:
        """Whether an earlier lenalidomide order was written after all these days: what they say was answered then."""
        last = self._last_order
        return last is not None and all(day is not None and day < last for day in days)

    @lazy
    def _last_order(self) -> date | None:
        """The day of the latest order before today's."""
        earlier = [period.start for period in self.course.periods if period.start < self.today]
        return earlier[-1] if earlier else None

    def knew_of(self, facts: Iterable[ConditionFact]) -> bool:
        """Whether an earlier order was written after all these were recorded."""
        return self.was_known(*(fact.recorded or fact.onset for fact in facts))

    def conditions_ever(self, *tokens: str) -> list[ConditionFact]:
        """Conditions on record, over or not; what is only suspected is none."""
        return [fact for fact in self.snapshot.conditions_of(*tokens) if fact.confirmed is not False]

    def conditions_now(self, *tokens: str) -> list[ConditionFact]:
        """Conditions that are not over."""
        return [fact for fact in self.conditions_ever(*tokens) if not fact.is_over(self.today)]

    def recent_events(self, *tokens: str) -> list[ConditionFact]:
        """Thromboses that are not over and began lately; one without any date counts as such."""
        limit = self.protocol.vte.active_event
        return [
            fact
            for fact in self.conditions_now(*tokens)
            if fact.latest_day is None or limit.holds((self.today - fact.latest_day).days)
        ]

    def taken(self, drug_class: str, *, ended: Threshold | None = None) -> tuple[MedicationOrder, ...]:
        """Drugs of a class taken now or drafted with this order; with ``ended`` also those that ended not that long ago."""
        return self._drugs_taken.of(drug_class, ended=ended)

    @lazy
    def _drugs_taken(self) -> DrugsTaken:
        return DrugsTaken(self.concurrent_orders, self.snapshot.orders, self.today)

    @lazy
    def kidney(self) -> Kidney:
        """Kidney function."""
        hidden = self.hides_newer("creatinine")
        return assess_kidney(self.snapshot, self.protocol, self.today, hidden, new_start=self.course.new_start)

    @lazy
    def renal_cap(self) -> Level | None:
        """The highest level the kidney function allows; None when there is no cap or it is not known."""
        return cap_of(self.protocol, self.kidney)

    @lazy
    def renal_is_severe(self) -> bool:
        """Dialysis or the lowest clearance range."""
        return is_severe(self.protocol, self.kidney)

    @lazy
    def reproductive_class(self) -> ReproductiveClass:
        """Whether the patient can become pregnant."""
        return reproductive_class(self.snapshot, self.protocol, self.today)

    @lazy
    def pregnancy(self) -> PregnancyRecord:
        """Pregnancy tests and what is recorded of pregnancy."""
        return read_pregnancy_record(self.snapshot, self.protocol, self.today)

    @lazy
    def contraception(self) -> Contraception:
        """Contraception on record."""
        return read_contraception(self.snapshot, self.protocol, self.today)

    @lazy
    def antithrombotics(self) -> Antithrombotics:
        """Drugs against thrombosis, taken now or drafted."""

        def begun(drug_class: str) -> tuple[MedicationOrder, ...]:
            taken = self.taken(drug_class)
            return tuple(
                order for order in taken if order.status == "draft" or order.start is None or order.start <= self.today
            )

        return read_antithrombotics(begun, self.protocol)

    @lazy
    def thrombosis_risk(self) -> ThrombosisRisk:
        """Risk scores and risk factors of venous thrombosis."""
        since = self.course.maintenance_start or self.today
        return ThrombosisRisk(self.snapshot, self.protocol, self.today, self._drugs_taken, self.antithrombotics, since)

    def is_old_infection(self, fact: ConditionFact) -> bool:
        """Whether an infection is listed as active that began too long ago to be one still."""
        return is_old_infection(fact, self.protocol, self.today)

    @lazy
    def treatment_is_over(self) -> bool:
        """Whether no order is being written and the last one ended long ago."""
        return self.regimen is None and self.course.restart

    @lazy
    def reactions(self) -> Reactions:
        """Non-haematological reactions attributed to lenalidomide."""
        return attributed_reactions(self.snapshot, self.protocol, self.course.maintenance_start)

    @lazy
    def liver_hold(self) -> Result | None:
        """A liver test that stops treatment."""
        return liver_hold(self.snapshot, self.protocol)

    @lazy
    def age(self) -> int | None:
        """Age in completed years."""
        patient = self.snapshot.patient
        if patient is None or patient.birth_date is None:
            return None
        return completed_years(patient.birth_date, self.today)

    def count(self, token: str, limit: Threshold | None = None) -> Result | None:
        """The blood count that matters for a limit: a preliminary one only where it counts against the patient."""
        if token in self._settled_counts:
            return self._settled_counts[token]
        harmful_low = limit is not None and limit.comparator in {"below", "at_most"}

        def against(result: Result) -> bool:
            return limit is not None and limit.holds_for(result.measurement) is harmful_low

        return latest(self.snapshot.of(token), worse=lowest_first, against=against)

    @lazy
    def _settled_counts(self) -> dict[str, Result | None]:
        """The latest counts that are the same for every limit: all results of their day, the last one, are final."""
        settled = {}
        for token in COUNTS:
            results = self.snapshot.of(token)
            last_day = since(results, results[-1].day) if results else ()
            if not any(result.only_against for result in last_day):
                settled[token] = latest(last_day, worse=lowest_first)
        return settled

    @property
    def latest_counts(self) -> list[Result]:
        """The latest neutrophils and platelets, as far as there are any."""
        return [result for token in COUNTS if (result := self.count(token)) is not None]

    def meets(self, token: str, limit: Threshold) -> Truth:
        """Whether the latest count meets a limit, whatever its age."""
        result = self.count(token, limit)
        return None if result is None else limit.holds_for(result.measurement)

    @lazy
    def cbc_window(self) -> Decimal:
        """How many days old a blood count may be now."""
        fresh = self.protocol.freshness
        if self.course.new_start:
            return fresh.cbc_new_start.value
        if self.course.open_episode or self.course.pending_reduction:
            return fresh.cbc_after_interruption.value
        return fresh.cbc_by_cycle.for_cycle(self.course.cycle_number)

    def is_fresh(self, token: str) -> bool:
        """Whether there is a final count inside the window."""
        result = self.count(token)
        return result is not None and (self.today - result.day).days <= self.cbc_window

    @lazy
    def tolerated(self) -> Truth:
        """Whether treatment was tolerated, as escalation asks: no drop, adequate fresh counts, no open toxicity."""
        dosing = self.protocol.dosing
        if self.course.episodes or self.reactions.open_severe or self.reactions.permanent_stop or self.liver_hold:
            return False
        permitted = self.counts_permit(dosing.escalation_anc, dosing.escalation_platelets)
        return None if permitted and self.history_may_hide_something else permitted

    @lazy
    def history_may_hide_something(self) -> bool:
        """Whether a transplant may lie within the course, or an earlier drop in what was not supplied."""
        if self.course.transplant_date_unknown or self.snapshot.supplied("Observation") is Supply.PARTIAL:
            return True
        # With orders missing, maintenance may have begun before the first one seen, and a low count then was a drop.
        return self.course.history is Supply.PARTIAL and self._low_before_course

    @property
    def _low_before_course(self) -> bool:
        heme, start = self.protocol.heme, self.course.maintenance_start or self.today
        limits = {NEUTROPHILS: heme.anc_interrupt, PLATELETS: heme.platelets_interrupt}
        return any(
            result.day < start and limit.holds_for(result.measurement) is not False
            for token, limit in limits.items()
            for result in self.snapshot.of(token)
        )

    def counts_permit(self, anc: Threshold, platelets: Threshold) -> Truth:
        """Whether both latest counts meet their limits and are fresh; None when stale or undecidable."""
        verdicts = [self.meets(NEUTROPHILS, anc), self.meets(PLATELETS, platelets)]
        if False in verdicts:
            return False
        fresh = all(self.is_fresh(token) for token in COUNTS)
        return True if fresh and None not in verdicts else None

    @lazy
    def toxicity_since_start(self) -> bool:
        """A drop, a severe reaction or a liver hold since maintenance start."""
        since = self.course.maintenance_start
        liver = self.liver_hold is not None or liver_hold_since(self.snapshot, self.protocol, since)
        return bool(self.course.episodes) or self.reactions.any_severe or liver

    @lazy
    def steroid(self) -> MedicationOrder | None:
        """A systemic steroid of a combination regimen, active or drafted together with lenalidomide."""
        high = self.protocol.dosing.steroid_prednisone
        for order in self.taken("corticosteroid"):
            if order.drug.token not in _STEROIDS or order.single_dose:
                continue
            daily = order.dosing.daily_mg
            if order.drug.token == _STEROIDS[0] or (daily is not None and high.holds(daily)):
                return order
        return None

    @lazy
    def combination(self) -> bool:
        """An ordinary induction or relapse regimen: too large for maintenance, and a steroid beside it."""
        daily = None if self.regimen is None else self.regimen.daily_mg
        return (
            daily is not None and not self.protocol.dosing.maintenance_order.holds(daily) and self.steroid is not None
        )

    @lazy
    def concurrent_orders(self) -> tuple[MedicationOrder, ...]:
        """Active orders of other drugs and drafts of the same request."""
        drafted = {order.reference for order in self.drafts.orders}
        taken = [
            order
            for order in self.snapshot.orders
            if order.reference not in drafted
            and order.intent not in _NOT_ORDERED
            and (order.status == "active" or self._is_supplied(order))
        ]
        return (*taken, *self.drafts.orders)

    def _is_supplied(self, order: MedicationOrder) -> bool:
        """Whether a completed order, or what was handed over, still lasts."""
        if order.status != "completed" or order.start is None or order.days_supply is None:
            return False
        if not order.start <= self.today < order.start + timedelta(days=order.days_supply):
            return False
        return not any(
            other.drug.token == order.drug.token and other.is_interrupted and (other.end or self.today) >= order.start
            for other in self.snapshot.orders
        )

    @lazy
    def gcsf(self) -> MedicationOrder | None:
        """An active or drafted granulocyte growth factor."""
        return next(iter(self.taken(_G_CSF)), None)

    @lazy
    def every_other_day_is_allowed(self) -> bool:
        """The one case in which a dose every other day is the protocol's own: severe impairment without dialysis."""
        allowed = self.protocol.renal.every_other_day_dose
        if (
            allowed is None
            or allowed.inherited_from is not None
            or self.regimen is None
            or self.kidney.dialysis is not None
        ):
            return False
        return self.renal_is_severe and self.regimen.level == allowed.value

    @lazy
    def frequency_is_wrong(self) -> bool:
        """Split over the day, or every other day where the protocol does not say so."""
        if self.regimen is None:
            return False
        split = self.regimen.per_day > 1
        return split or (self.regimen.schedule is Schedule.EVERY_OTHER_DAY and not self.every_other_day_is_allowed)

    def newer_unread(self, tokens: Sequence[str], *faults: Fault) -> tuple[Unread, ...]:
        """Results that could not be read, for one of these reasons, and are not older than the latest that could."""
        unread = self.snapshot.unread_of(*tokens)
        if not unread:
            return ()
        usable = self._last_readable(tokens)
        return tuple(item for item in unread if item.fault in faults and (item.day or date.max) >= usable)

    def hides_newer(self, token: str) -> Unread | None:
        """A result later than the latest readable one, so that the present value is not known."""
        newer = self.newer_unread((token,), *HIDES)
        if not newer:
            return None
        usable = self._last_readable((token,))
        return next((unread for unread in newer if (unread.day or date.max) > usable), None)

    def _last_readable(self, tokens: Sequence[str]) -> date:
        """The day of the latest result that may speak for the patient: a preliminary one never excuses a newer fault."""
        finals = [last_final(self.snapshot.of(token)) for token in tokens]
        return max((result.day for result in finals if result is not None), default=date.min)
