"""Dose levels in the notation ``dose/days``: ``10/28`` is 10 mg once daily on days 1-28 of a 28-day cycle."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

CYCLE_DAYS = 28
"""Length of a treatment cycle in days (US prescribing information of Revlimid, 2.1; all protocols)."""


class Schedule(Enum):
    """The days of a 28-day cycle on which the drug is taken."""

    CONTINUOUS = "28"
    THREE_WEEKS = "21"
    EVERY_OTHER_DAY = "qod"

    def __init__(self, days: str) -> None:
        """``dosing_days``: those in one cycle."""
        self.dosing_days = int(days) if days.isdecimal() else CYCLE_DAYS // 2

    @property
    def in_words(self) -> str:
        """As a prescriber writes it."""
        return "every other day" if self is Schedule.EVERY_OTHER_DAY else f"days 1–{self.value}"


@dataclass(frozen=True, slots=True)
class Level:
    """A dose in mg taken once on each dosing day of a schedule; compared by milligrams per cycle."""

    dose_mg: Decimal
    schedule: Schedule

    @classmethod
    def parse(cls, text: str) -> Level:
        """Read ``10/28``, ``5/21`` or ``15/qod``; ``ValueError`` on anything else."""
        dose, separator, days = text.partition("/")
        if not separator or not dose.replace(".", "", 1).isdecimal():
            msg = f"'{text}' is not a level: expected dose/days such as 10/28"
            raise ValueError(msg)
        return cls(Decimal(dose), Schedule(days))

    @property
    def cycle_mg(self) -> Decimal:
        """Milligrams in one 28-day cycle."""
        return self.dose_mg * self.schedule.dosing_days

    @property
    def daily_mg(self) -> Decimal:
        """Milligrams per day of the dosing period: 15 mg every other day is 7.5 mg a day."""
        return self.dose_mg / 2 if self.schedule is Schedule.EVERY_OTHER_DAY else self.dose_mg

    @property
    def in_words(self) -> str:
        """``10 mg once daily, days 1–28``."""
        frequency = "" if self.schedule is Schedule.EVERY_OTHER_DAY else "once daily, "
        return f"{plain(self.dose_mg)} mg {frequency}{self.schedule.in_words}"

    @property
    def brief(self) -> str:
        """``10 mg days 1–28``."""
        return f"{plain(self.dose_mg)} mg {self.schedule.in_words}"

    def __str__(self) -> str:
        return f"{plain(self.dose_mg)}/{self.schedule.value}"


def next_lower(cycle_mg: Decimal, ladder: tuple[Level, ...]) -> Level | None:
    """The rung with the most milligrams per cycle strictly below ``cycle_mg``, or None."""
    lower = [rung for rung in ladder if rung.cycle_mg < cycle_mg]
    return max(lower, key=lambda rung: rung.cycle_mg) if lower else None


def next_higher(cycle_mg: Decimal, ladder: tuple[Level, ...]) -> Level | None:
    """The rung with the fewest milligrams per cycle strictly above ``cycle_mg``, or None."""
    higher = [rung for rung in ladder if rung.cycle_mg > cycle_mg]
    return min(higher, key=lambda rung: rung.cycle_mg) if higher else None


def plain(number: Decimal) -> str:
    """A decimal without exponent or trailing zeros: ``10``, ``2.5``."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
