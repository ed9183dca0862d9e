"""The treatment course: what the order history and the counts say about maintenance so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise

from cds.episodes import Episode, cytopenia_episodes
from cds.lazy import lazy
from cds.level import CYCLE_DAYS, Level
from cds.parameters import Threshold
from cds.periods import Period, covered_days, periods_of
from cds.protocol import Protocol
from cds.snapshot import LENALIDOMIDE, MedicationOrder, PatientSnapshot, ProcedureFact, Supply

TRANSPLANTS = ("autologous-hsct", "allogeneic-sct", "stem-cell-transplant-unspecified")
_PRESCRIBED = {"active", "completed", "on-hold", "stopped", "ended"}
_UNTOLD = {"unknown", ""}
_MAYBE_PRESCRIBED = _PRESCRIBED | _UNTOLD
_ORDER_INTENTS = {"", "order", "original-order", "reflex-order", "filler-order", "instance-order"}


@dataclass(frozen=True)
class Course:
    """The course up to ``today``, for a draft that would start on ``draft_start``."""

    periods: tuple[Period, ...]
    episodes: tuple[Episode, ...]
    transplants: tuple[ProcedureFact, ...]
    history: Supply
    procedures: Supply
    unreadable: tuple[str, ...]
    today: date
    draft_start: date
    gap_unknown_days: int
    maintenance_dose: Threshold

    @lazy
    def maintenance_start(self) -> date | None:
        """Start of the first maintenance order."""
        return self.periods[0].start if self.periods else None

    @lazy
    def new_start(self) -> bool:
        """Whether no maintenance order exists in what was supplied."""
        return not any(period.start <= self.today for period in self.periods)

    @lazy
    def transplant(self) -> ProcedureFact | None:
        """The latest dated transplant."""
        dated = [procedure for procedure in self.transplants if procedure.day is not None]
        return max(dated, key=lambda procedure: procedure.day or date.min) if dated else None

    @property
    def transplant_date_unknown(self) -> bool:
        """Whether a transplant may have been at a time that is not known."""
        return self.transplant is None and (bool(self.transplants) or not self.procedures.proves_absence)

    @lazy
    def latest(self) -> Period | None:
        """The latest order."""
        return self.periods[-1] if self.periods else None

    @lazy
    def on_treatment_days(self) -> int:
        """Days covered by orders before the draft's start."""
        return self.treatment_days_before(self.draft_start)

    def treatment_days_before(self, day: date) -> int:
        """Days covered by orders before a day, overlaps counted once."""
        return covered_days(self.periods, day)

    @property
    def completed_cycles(self) -> int:
        """Whole cycles of treatment before the draft's start."""
        return self.on_treatment_days // CYCLE_DAYS

    @property
    def cycle_number(self) -> int:
        """Calendar cycle of today, not corrected for interruptions; 1 is the first."""
        return (
            1
            if self.maintenance_start is None
            else max(1, (self.today - self.maintenance_start).days // CYCLE_DAYS + 1)
        )

    @lazy
    def gap_days(self) -> int | None:
        """Days since the end of the latest order; None when it has not ended or its end is not known."""
        if self.latest is None or self.latest.end is None or self.latest.end > self.today:
            return None
        return (self.today - self.latest.end).days

    @lazy
    def restart(self) -> bool:
        """Whether treatment lay idle so long that the order is a restart."""
        return self.gap_days is not None and self.gap_days > self.gap_unknown_days

    @lazy
    def level_problems(self) -> tuple[str, ...]:
        """Why the current level cannot be told; empty when it can, or at a new start."""
        problems = list(self.unreadable)
        if not self.history.proves_absence and not (self.history is Supply.PARTIAL and self.periods):
            problems.append(f"the order history was {self.history.value}")
        latest = self.latest
        if latest is None:
            return tuple(problems)
        if latest.level is None:
            reasons = [problem for order in latest.orders for problem in order.dosing.problems]
            problems.append(
                f"the latest order ({_named(latest)}) has no clear dose: {'; '.join(reasons) or 'dose or schedule'}"
            )
        elif not self.maintenance_dose.holds(latest.level.dose_mg):
            problems.append(f"the latest order ({_named(latest)}) is {latest.level.in_words}, no maintenance dose")
        if latest.end is None:
            problems.append(f"the latest order ({_named(latest)}) does not say how long it lasts")
        problems += [
            f"two orders overlap with different doses ({_named(other)} and {_named(latest)})"
            for other in self.periods[:-1]
            if _compete(other, latest, self.today)
        ]
        if self.restart:
            problems.append(f"the latest order ended {self.gap_days} days ago: a restart, confirm dose and reason")
        return tuple(problems)

    @lazy
    def current_level(self) -> Level | None:
        """Level of the latest order; None at a new start or when it cannot be told."""
        return None if self.level_problems or self.latest is None else self.latest.level

    @lazy
    def level_since(self) -> date | None:
        """Start of the unbroken run of orders at the current level; holds and gaps do not restart it."""
        since = None
        for period in reversed(self.periods):
            if period.level != self.current_level:
                break
            since = period.start
        return since

    @property
    def latest_episode(self) -> Episode | None:
        """The latest drop."""
        return self.episodes[-1] if self.episodes else None

    @lazy
    def open_episode(self) -> Episode | None:
        """The latest drop while a lineage is still low."""
        episode = self.latest_episode
        return episode if episode is not None and episode.is_open else None

    @lazy
    def pending_reduction(self) -> Episode | None:
        """The latest drop when it is closed and no order has started on or after its closing date."""
        episode = self.latest_episode
        if episode is None or episode.closed is None:
            return None
        discharged = any(period.start >= episode.closed for period in self.periods)
        return None if discharged else episode

    def onset_period(self, episode: Episode) -> Period | None:
        """The order during which an episode opened, else the latest order before it."""
        during = [period for period in self.periods if period.contains(episode.opened)]
        before = [period for period in self.periods if period.start <= episode.opened]
        return during[-1] if during else (before[-1] if before else None)

    def onset_level(self, episode: Episode) -> Level | None:
        """Level at the opening of an episode."""
        period = self.onset_period(episode)
        return None if period is None else period.level


def build_course(
    snapshot: PatientSnapshot, protocol: Protocol, today: date, draft_start: date | None, drafts: Iterable[str]
) -> Course:
    """The course by ``clinical definitions C.0.7-C.0.9``; ``drafts`` are references that are not history."""
    excluded = set(drafts)
    orders = [
        order
        for order in snapshot.orders
        if order.drug.token == LENALIDOMIDE and order.intent in _ORDER_INTENTS and order.reference not in excluded
    ]
    transplants = tuple(
        procedure
        for procedure in snapshot.procedures_of(*TRANSPLANTS)
        if procedure.status == "completed" and (procedure.day is None or procedure.day <= today)
    )
    last_transplant = max((procedure.day for procedure in transplants if procedure.day), default=None)
    prescribed = [order for order in orders if order.status in _PRESCRIBED]
    coded = [order for order in prescribed if order.drug.coded and order.start is not None]
    taken = [period for period in periods_of(coded, protocol, today) if _was_taken(period)]
    periods = _maintenance(taken, last_transplant, protocol)
    start = draft_start or _after_supply(periods, today)
    maintenance_start = periods[0].start if periods else None
    return Course(
        periods,
        cytopenia_episodes(snapshot, protocol, maintenance_start),
        transplants,
        snapshot.supplied("MedicationRequest"),
        snapshot.supplied("Procedure"),
        _unreadable(snapshot, orders),
        today,
        start,
        int(protocol.dosing.gap_unknown.value),
        protocol.dosing.maintenance_order,
    )


def _maintenance(periods: list[Period], transplant: date | None, protocol: Protocol) -> tuple[Period, ...]:
    """The orders from maintenance start on."""
    if transplant is not None:
        periods = [period for period in periods if period.start >= transplant]
    else:
        last_larger = max(
            (index for index, period in enumerate(periods) if not _may_be_maintenance(period, protocol)), default=-1
        )
        periods = periods[last_larger + 1 :]
    first = next((index for index, period in enumerate(periods) if _may_be_maintenance(period, protocol)), len(periods))
    course = periods[first:]
    # An earlier order that does not say when it ended did so with the next one at the latest.
    ended = [
        replace(period, end=min(period.end or following.start, following.start)) if _ends_untold(period) else period
        for period, following in pairwise(course)
    ]
    return (*ended, *course[-1:])


def _ends_untold(period: Period) -> bool:
    return period.end is None or any(order.is_interrupted and order.end is None for order in period.orders)


def _was_taken(period: Period) -> bool:
    """Not stopped, as the record says, before its first day was over."""
    stops = [order.end for order in period.orders if order.is_interrupted and order.end is not None]
    return len(stops) < len(period.orders) or max(stops) > period.start


def _may_be_maintenance(period: Period, protocol: Protocol) -> bool:
    doses = [order.dosing.daily_mg for order in period.orders]
    known = [dose for dose in doses if dose is not None]
    return len(known) < len(doses) or protocol.dosing.maintenance_order.holds(sum(known))


def _unreadable(snapshot: PatientSnapshot, orders: Sequence[MedicationOrder]) -> tuple[str, ...]:
    problems = [
        f"{order.reference} looks like lenalidomide by its text only"
        for order in orders
        if not order.drug.coded and order.status in _MAYBE_PRESCRIBED
    ]
    problems += [
        f"{order.reference} is not dated" for order in orders if order.start is None and order.status in _PRESCRIBED
    ]
    problems += [f"{order.reference} does not say whether it was given" for order in orders if order.status in _UNTOLD]
    problems += [f"{unread.reference} could not be read: {unread.why}" for unread in snapshot.unread_of(LENALIDOMIDE)]
    return tuple(problems)


def _after_supply(periods: Sequence[Period], today: date) -> date:
    ends = [period.end for period in periods if period.end is not None]
    return max([today, *ends])


def _compete(one: Period, other: Period, today: date) -> bool:
    """Whether two orders of different level run side by side and neither replaces the other.

    Active ones do when they overlap today; others when they cover largely the same days, so that both may have been taken.
    """
    if not one.contains(other.start) or one.level == other.level:
        return False
    if any(order.prior in {earlier.reference for earlier in one.orders} for order in other.orders):
        return False
    if one.active and other.active:
        return one.contains(today) or one.end is None
    shared = ((one.end or today) - other.start).days
    stopped = any(order.is_interrupted for order in (*one.orders, *other.orders))
    return not stopped and shared > CYCLE_DAYS // 2


def _named(period: Period) -> str:
    return f"{period.orders[0].reference} of {period.start.isoformat()}"
