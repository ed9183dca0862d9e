"""Dosage in free text: the last resort, and the check on what the structure says. Words not understood are never harmless."""

from __future__ import annotations

import re
from collections.abc import Collection
from decimal import Decimal
from typing import NamedTuple

from cds.fhir.primitives import UnreadableError
from cds.level import Schedule
from cds.remembering import remembered

_I = re.IGNORECASE
_TO = r"\s*(?:-|–|—|to|through|thru|until)\s*"
_THREE_WEEKS = re.compile(
    rf"\b(?:days?|d)\s*1{_TO}(?:day\s*|d)?21\b"
    r"|\b(?:1\s*[-–—]\s*)?21\s*(?:days?\s*)?(?:of|/|out of|in|every|per)\s*(?:(?:a|each|every)\s*)?28\b"
    r"|\b(?:3|three)\s*w(?:ee)?ks?\s*on\b.{0,12}\b(?:1|one)\s*w(?:ee)?k\s*off\b"
    r"|\b21\s*days?\s*(?:on\b.{0,12}\b7\s*(?:days?\s*)?off|(?:followed by|,?\s*then)\s*7)",
    _I,
)
_CONTINUOUS = re.compile(
    rf"\b(?:days?|d)\s*1{_TO}(?:day\s*|d)?28\b|\b28\s*(?:of|/|out of)\s*28\b|\bcontinuous(?:ly)?\b|\bevery 28 days\b",
    _I,
)
_OTHER_CYCLE_LENGTH = re.compile(r"\b(?!28\b)\d{1,2}[- ]days?[- ]cycle", _I)
_LENGTH_OF_SUPPLY = re.compile(
    r"\b(?:for|x)\s*(?:(?:28|30|56|84|90)\s*days|(?:4|four|8|12)\s*w(?:ee)?ks|(?:1|one|a|3|three)\s*months?)\b", _I
)
_SPEAKS_OF_A_CYCLE = re.compile(
    r"\b(?:off|rest|pause|break|cycles?|w(?:ee)?ks?|months?|tage?|of 28|21|twenty[- ]?one)\b|\bd(?:ays?)?\s*(?:1|one)\b",
    _I,
)
_SENTENCE = re.compile(r"[.;\n]\s+|;")
_SPEAKS_OF_VISITS = re.compile(
    r"\b(?:return|visit|clinic|labs?|blood|counts?|cbc|tests?|appointment|follow|check|refill|dispense|call|see)\b", _I
)
_TWICE = re.compile(
    r"\b(?:twice[\s-]+(?:(?:a|per|each|every)\s+day|daily)|(?:two|2)(?:\s+\((?:two|2)\))?\s+times\s+(?:(?:a|per|each)\s+day|daily)"
    r"|2\s?x\s?(?:/\s?day|daily|a day)|bid|bd|b\.i\.d\.?|every\s+(?:12|twelve)(?:\s+\((?:12|twelve)\))?\s+(?:hours|hrs?)|q12h)\b"
    r"|\bmornings?\b[^.;]*\b(?:and|plus)\b[^.;]*\b(?:evenings?|night|bedtime)\b|\bam and pm\b",
    _I,
)
_MORE_OFTEN = re.compile(
    r"\b(?:thrice|(?:three|four|five|six|[3-6]) ?(?:x|times) ?(?:a day|daily)|[tq]id|[tq]\.i\.d\.?|every [2-8] hours|q[2-8]h)\b",
    _I,
)
_EVERY_OTHER_DAY = re.compile(
    r"\b(?:every other day|every second day|alternate days?|every 48 hours|q48h|every 2 days|qod)\b", _I
)
_DAILY = re.compile(
    r"\b(?:once (?:a day|daily)|daily|every day|each day|(?:in the|every|each) (?:morning|evening)|at bedtime"
    r"|every 24 hours|qd|od|q24h|nightly)\b",
    _I,
)
_AS_NEEDED = re.compile(r"\b(?:as needed|if needed|when needed|prn|p\.r\.n\.?)\b", _I)
_WEEKDAYS = re.compile(r"\b(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:days?)?\b(?! cream)", _I)
_DOSE = re.compile(r"(\d+(?:[.,]\d+)?)\s*(?:mg|milligrams?)\b", _I)
_RANGE = re.compile(r"\d\s*(?:-|–|to|or)\s*\d+(?:[.,]\d+)?\s*mg\b", _I)
_ONE_PIECE = re.compile(r"\b(?:1|one|a)\s*(?:capsule|cap|tablet|tab|pill)\b", _I)
_SEVERAL_PIECES = re.compile(
    r"\b(?:[2-9]|\d{2,}|two|three|four)\s*(?:x(?!\s*(?:/|a|per)?\s*da)|×|\*|(?:\d+(?:[.,]\d+)?\s*mg\s*)?(?:capsules?|caps?|tablets?|pills?)\b)",
    _I,
)


class Frequency(NamedTuple):
    """Administrations per dosing day (1, 2 …) or every other day; ``slots`` are the times of the day named."""

    per_day: int
    every_other_day: bool = False
    slots: tuple[str, ...] = ()

    def agrees_with(self, other: Frequency) -> bool:
        """Whether both say the same, times of the day aside."""
        return (self.per_day, self.every_other_day) == (other.per_day, other.every_other_day)


@remembered
def says_as_needed(words: str) -> bool:
    """Whether free text says that it is taken only when needed."""
    return bool(_AS_NEEDED.search(words))


@remembered
def frequency_in_words(words: str) -> Frequency | None:
    """A frequency that free text names; unreadable when it is one that no protocol has."""
    if _AS_NEEDED.search(words):
        raise UnreadableError("it is ordered as needed")
    if _WEEKDAYS.search(words):
        raise UnreadableError("the text names single days of the week")
    if _MORE_OFTEN.search(words):
        raise UnreadableError("the text names more than two doses a day")
    if _TWICE.search(words):
        return Frequency(2)
    if _EVERY_OTHER_DAY.search(words):
        return Frequency(1, every_other_day=True)
    return Frequency(1) if _DAILY.search(words) else None


@remembered
def schedule_in_words(words: str) -> Schedule | None:
    """A cycle that free text names; unreadable when it speaks of one that is not understood."""
    if _OTHER_CYCLE_LENGTH.search(words):
        raise UnreadableError("the schedule in the text is not one of 28-day cycles")
    if _THREE_WEEKS.search(words):
        return Schedule.THREE_WEEKS
    if _CONTINUOUS.search(words):
        return Schedule.CONTINUOUS
    if _SPEAKS_OF_A_CYCLE.search(_LENGTH_OF_SUPPLY.sub("", of_the_drug(words))):
        raise UnreadableError("the schedule in the text is neither days 1-21 nor days 1-28")
    return None


def of_the_drug(words: str) -> str:
    """The sentences that do not speak of visits and blood counts."""
    return " ".join(part for part in _SENTENCE.split(words) if not _SPEAKS_OF_VISITS.search(part))


def dose_in_words(words: str, strength_mg: Decimal | None) -> Decimal:
    """The one dose that free text names, in milligrams or as one capsule of the ordered strength."""
    doses = _doses(words)
    if len(doses) > 1:
        raise UnreadableError("the text names several doses")
    if _SEVERAL_PIECES.search(words):
        raise UnreadableError("the text names several capsules")
    if doses:
        return next(iter(doses))
    if strength_mg is None or not _ONE_PIECE.search(words):
        raise UnreadableError("no dose is stated")
    return strength_mg


def check_dose_in_words(words: str, strengths: Collection[Decimal], *accepted: Decimal | None) -> None:
    """Raise when free text names doses of this drug and none of them is one of those that the structure gives.

    Milligrams that are no ``strengths`` of the drug belong to another one: "with aspirin 81 mg".
    """
    doses = _doses(words).intersection(strengths)
    if doses and doses.isdisjoint(accepted):
        raise UnreadableError("text and structure of the dosage give different doses")


@remembered
def _doses(words: str) -> frozenset[Decimal]:
    if _RANGE.search(words):
        raise UnreadableError("the dose in the text is a range")
    return frozenset(Decimal(match[1].replace(",", ".")) for match in _DOSE.finditer(words))
