"""What a rule reports: a finding with its indicator, its words, its evidence and its sources."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum

from cds.level import Level


class Indicator(Enum):
    """Urgency as CDS Hooks has it."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Higher is more urgent."""
        return _RANKS[self.value]


_RANKS = {indicator.value: rank for rank, indicator in enumerate(Indicator)}


class Outcome(Enum):
    """How a rule ended; a rule that is false reports nothing."""

    FIRED = "fired"
    UNKNOWN = "unknown"
    FAILED = "failed"


class Action(Enum):
    """What to do with the draft; the first wins."""

    DISCONTINUE = "discontinue"
    HOLD = "hold"
    DEFER = "defer"
    MODIFY = "modify"
    PROCEED = "proceed"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A fact that a finding rests on. ``value`` in ``unit``; ``effective`` and ``reference`` where the record has them."""

    fact: str
    value: Decimal | str | None = None
    unit: str | None = None
    effective: date | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """A change to the draft that a finding asks for beside the dose.

    ``field`` is one of level (Level), days_supply (int), quantity (Decimal, capsules), refills (int), validity_end (date),
    start (date), instructions (str, added to the patient's instructions).
    """

    field: str
    value: Level | int | Decimal | date | str


@dataclass(frozen=True, slots=True)
class DrugOffer:
    """A drug to order: by name only where the dose is the clinician's, else ``daily_mg`` once daily."""

    token: str
    daily_mg: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule's outcome.

    ``summary`` is the headline of a card led by this finding, ``advice`` what to do in one or two sentences, ``rule`` the
    rule in words with the protocol's numbers. ``action`` is what the finding asks for by itself. ``order_tests`` names
    laboratory orders to offer, ``order_drugs`` drugs to offer, ``corrections`` changes to the
    draft. ``found_before`` marks advice that an earlier draft already met, ``waits_for_dose`` a complaint about an order
    whose dose is still to be written, ``alone`` a finding beside which nothing else matters. ``fault`` tells for the log where
    a rule failed.
    """

    id: str
    indicator: Indicator
    summary: str
    advice: str
    rule: str = ""
    evidence: tuple[Evidence, ...] = ()
    sources: tuple[str, ...] = ()
    inherited_from: str | None = None
    outcome: Outcome = Outcome.FIRED
    action: Action | None = None
    order_tests: tuple[str, ...] = ()
    order_drugs: tuple[DrugOffer, ...] = ()
    corrections: tuple[Correction, ...] = ()
    found_before: bool = False
    waits_for_dose: bool = False
    alone: bool = False
    fault: str = ""

    @property
    def area(self) -> str:
        """The part of the id before the dot."""
        return self.id.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The one answer for a draft regimen: the action, the level where there is one, and the rules that gave it."""

    action: Action
    level: Level | None = None
    resume_at: Level | None = None
    reasons: tuple[str, ...] = ()
