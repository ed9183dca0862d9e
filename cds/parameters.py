"""The kinds of numbers a protocol file may hold, and the sections they stand in.

Every parameter carries its unit, its comparator where it is a threshold, and its citations, or is marked as policy (our
pick, no source) or unverified.
"""

from __future__ import annotations

import operator
from abc import abstractmethod
from collections.abc import Callable
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from cds.level import Level, plain
from cds.snapshot import Measurement

Truth = bool | None
"""True, false, or unknown (None)."""

ExactNumber = Annotated[Decimal, Field(allow_inf_nan=False)]
LevelText = Annotated[Level, BeforeValidator(lambda text: Level.parse(text) if isinstance(text, str) else text)]


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Parameter(Strict):
    """What every parameter says of itself. ``origin`` and ``inherited_from`` are set by the loader."""

    cite: tuple[str, ...] = ()
    basis: Literal["policy", "unverified"] | None = None
    note: str = ""
    origin: str = ""
    inherited_from: str | None = None

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if not self.cite and self.basis is None:
            msg = "has neither 'cite' (source and place) nor 'basis: policy' or 'basis: unverified'"
            raise ValueError(msg)
        return self

    @property
    def citations(self) -> tuple[str, ...]:
        """Source and place, or the honest word for having none."""
        return self.cite or (f"[{self.basis}]",)

    @property
    @abstractmethod
    def in_words(self) -> str:
        """The value as a sentence takes it."""


_COMPARATORS = {"below": "below", "at_most": "at most", "at_least": "at least", "above": "above"}
_COMPARISONS: dict[str, Callable[[Decimal | int, Decimal], bool]] = {
    "below": operator.lt,
    "at_most": operator.le,
    "at_least": operator.ge,
    "above": operator.gt,
}
_PRINTED_UNITS = {"10*9/L": "×10⁹/L", "10*6/L": "×10⁶/L", "m[IU]/mL": "mIU/mL"}


def printed_unit(unit: str) -> str:
    """A unit as it is printed on a card."""
    return _PRINTED_UNITS.get(unit, unit)


class Threshold(Parameter):
    """A limit: exactly one of below, at_most, at_least, above, with its unit."""

    below: ExactNumber | None = None
    at_most: ExactNumber | None = None
    at_least: ExactNumber | None = None
    above: ExactNumber | None = None
    unit: str

    @model_validator(mode="after")
    def _one_comparator(self) -> Self:
        if sum(getattr(self, name) is not None for name in _COMPARATORS) != 1:
            msg = "needs exactly one of below, at_most, at_least, above"
            raise ValueError(msg)
        return self

    @cached_property
    def comparator(self) -> str:
        """``below``, ``at_most``, ``at_least`` or ``above``."""
        return next(name for name in _COMPARATORS if getattr(self, name) is not None)

    @cached_property
    def value(self) -> Decimal:
        """The limit itself."""
        value = getattr(self, self.comparator)
        assert isinstance(value, Decimal)
        return value

    def holds(self, number: Decimal | int) -> bool:
        """Whether an exact number satisfies the limit."""
        return self._compare(number, self.value)

    def holds_for(self, measurement: Measurement | None) -> Truth:
        """Whether a measurement satisfies the limit; None when a comparator (``<1.0``) or absence leaves it open."""
        if measurement is None:
            return None
        if measurement.comparator is None:
            return self._compare(measurement.value, self.value)
        # The value lies somewhere on a half-line: the answer is known only if it is the same at every point of it.
        reaches_down = measurement.comparator.startswith("<")
        excludes_edge = measurement.comparator in {"<", ">"} and measurement.value == self.value
        holds_at_edge = self.holds(measurement.value)
        if reaches_down is (self.comparator in {"below", "at_most"}):
            return True if holds_at_edge or excludes_edge else None
        return False if not holds_at_edge or excludes_edge else None

    @cached_property
    def _compare(self) -> Callable[[Decimal | int, Decimal], bool]:
        return _COMPARISONS[self.comparator]

    @cached_property
    def in_words(self) -> str:
        """``below 0.5 ×10⁹/L``."""
        return f"{_COMPARATORS[self.comparator]} {self.amount}"

    @cached_property
    def amount(self) -> str:
        """``0.5 ×10⁹/L``."""
        unit = printed_unit(self.unit)
        return f"{plain(self.value)} {unit.removesuffix('s') if self.value == 1 else unit}"


class DoseLevel(Parameter):
    """One dose level, ``10/28``."""

    value: LevelText

    @property
    def in_words(self) -> str:
        """``10 mg once daily, days 1–28``."""
        return self.value.in_words


class Ladder(Parameter):
    """The rungs on which a dose may stand."""

    value: tuple[LevelText, ...] = Field(min_length=1)

    @property
    def in_words(self) -> str:
        """The rungs, highest first."""
        return " → ".join(str(rung) for rung in sorted(self.value, key=lambda rung: -rung.cycle_mg))


class Doses(Parameter):
    """A list of doses in one unit."""

    value: tuple[ExactNumber, ...] = Field(min_length=1)
    unit: str

    @property
    def in_words(self) -> str:
        """``2.5, 5, 10, 15 mg``."""
        return f"{', '.join(plain(dose) for dose in self.value)} {self.unit}"


class Choice(Parameter):
    """A stance that is not a number."""

    value: str

    @property
    def in_words(self) -> str:
        """The word itself."""
        return self.value


class Listed(Parameter):
    """Several tokens of the vocabulary."""

    value: tuple[str, ...] = Field(min_length=1)

    @property
    def in_words(self) -> str:
        """``tubal ligation, vasectomy``."""
        return ", ".join(token.replace("-", " ") for token in self.value)


class Points(Parameter):
    """What each item of a risk score counts."""

    value: dict[str, int] = Field(min_length=1)

    @property
    def in_words(self) -> str:
        """``surgery +2, asian race −3``."""
        return ", ".join(f"{item.replace('-', ' ')} {signed(points)}" for item, points in self.value.items())


def signed(points: int) -> str:
    """``+2``, ``−3``, ``0``."""
    return f"{points:+d}".replace("-", "−") if points else "0"


class Flag(Parameter):
    """Yes or no."""

    value: bool

    @property
    def in_words(self) -> str:
        """``yes`` or ``no``."""
        return "yes" if self.value else "no"


class Band(Strict):
    """One band of creatinine clearance and the highest level allowed in it."""

    at_least: ExactNumber | None = None
    below: ExactNumber | None = None
    at_most: ExactNumber | None = None
    cap: LevelText

    def contains(self, clearance: Decimal) -> bool:
        """Whether a clearance lies in the band."""
        return (
            (self.at_least is None or clearance >= self.at_least)
            and (self.below is None or clearance < self.below)
            and (self.at_most is None or clearance <= self.at_most)
        )

    @property
    def in_words(self) -> str:
        """``30 to 60`` (both ends included), ``30 to below 50``, ``below 30``."""
        lower = "" if self.at_least is None else f"{plain(self.at_least)} to "
        if self.at_most is not None:
            return f"{lower}{plain(self.at_most)}"
        return (
            f"{lower}below {plain(self.below)}" if self.below is not None else f"at least {lower.removesuffix(' to ')}"
        )


class RenalBands(Parameter):
    """Bands of creatinine clearance with their caps; above the last band there is no cap."""

    unit: str
    value: tuple[Band, ...] = Field(min_length=1)

    @property
    def in_words(self) -> str:
        """All bands in one line."""
        return "; ".join(f"{band.in_words} {self.unit}: {band.cap.brief}" for band in self.value)


class CycleWindow(Strict):
    """How old a blood count may be from a cycle on."""

    from_cycle: int = Field(ge=1)
    at_most: ExactNumber


class CycleWindows(Parameter):
    """Age limits of a blood count by treatment cycle."""

    unit: str
    value: tuple[CycleWindow, ...] = Field(min_length=1)

    def for_cycle(self, cycle: int) -> Decimal:
        """Age limit in days in the given cycle (1 is the first)."""
        return max((row for row in self.value if row.from_cycle <= cycle), key=lambda row: row.from_cycle).at_most

    @property
    def in_words(self) -> str:
        """All windows in one line."""
        return "; ".join(f"from cycle {row.from_cycle}: {plain(row.at_most)} {self.unit}" for row in self.value)
