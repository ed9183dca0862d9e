"""Formulas, each with its reference. Numbers here are constants of a formula, not clinical thresholds."""

from __future__ import annotations

from calendar import monthrange
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

_FEMALE_FACTOR = Decimal("0.85")
_CM_PER_INCH = Decimal("2.54")
_TENTH = Decimal("0.1")
_MONTHS_A_YEAR = 12


def completed_years(birth: date, on: date) -> int:
    """Age in completed years, on the anniversaries of ``years_after``; before birth the years until then, negative."""
    years = on.year - birth.year
    anniversary = years_after(birth, years)
    if on < birth:
        return years + (anniversary < on)
    return years - (anniversary > on)


def creatinine_clearance(age: int, weight_kg: Decimal, creatinine_mg_dl: Decimal, *, female: bool) -> Decimal:
    """Creatinine clearance in mL/min by Cockcroft and Gault, rounded half up to one decimal.

    ``(140 - age) x weight / (72 x creatinine)``, times 0.85 in women (Cockcroft DW, Gault MH. Nephron 1976;16:31-41). The
    rounded value is both shown and compared with the bands, so that what the prescriber sees decides.
    """
    clearance = (140 - age) * weight_kg / (72 * creatinine_mg_dl)
    return (clearance * _FEMALE_FACTOR if female else clearance).quantize(_TENTH, ROUND_HALF_UP)


def body_mass_index(weight_kg: Decimal, height_cm: Decimal) -> Decimal:
    """Weight over the square of height, in kg/m2."""
    return weight_kg / (height_cm / 100) ** 2


def adjusted_body_weight(weight_kg: Decimal, height_cm: Decimal, *, female: bool) -> Decimal:
    """Ideal weight plus 0.4 of the excess, in kg.

    Ideal weight: 50 kg in men, 45.5 kg in women, plus 2.3 kg for each inch over 60 (Devine BJ. Drug Intell Clin Pharm
    1974;8:650-5).
    """
    ideal = Decimal("45.5" if female else "50") + Decimal("2.3") * (height_cm / _CM_PER_INCH - 60)
    return ideal + Decimal("0.4") * (weight_kg - ideal)


def months_after(start: date, months: int) -> date:
    """The same day of the month, clamped to the month's end."""
    year, month = divmod(start.year * _MONTHS_A_YEAR + start.month - 1 + months, _MONTHS_A_YEAR)
    return date(year, month + 1, min(start.day, monthrange(year, month + 1)[1]))


def years_after(start: date, years: int) -> date:
    """The anniversary, 28 February for 29 February."""
    return months_after(start, years * _MONTHS_A_YEAR)
