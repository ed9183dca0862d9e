"""Exact conversion of the unit strings that laboratories print.

A small closed table instead of a unit library: general libraries read ``K/uL`` as kelvin and ``10*3/uL`` as 30/uL.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_RAISED = frozenset("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")


@dataclass(frozen=True)
class UnitTable:
    """The accepted spellings of one quantity's units and how each converts to the canonical one."""

    canonical: str
    unitless: bool
    _exact: Mapping[str, Callable[[Decimal], Decimal]] = field(repr=False)
    _folded: Mapping[str, Callable[[Decimal], Decimal]] = field(repr=False)

    @classmethod
    def build(cls, raw: Mapping[str, object]) -> UnitTable:
        """From one entry of ``terminology/units.yaml``."""
        case_sensitive = {normalise(text) for text in _texts(raw.get("case_sensitive", []))}
        exact: dict[str, Callable[[Decimal], Decimal]] = {}
        folded: dict[str, Callable[[Decimal], Decimal]] = {}
        accepted = raw["accepted"]
        assert isinstance(accepted, list)
        for row in accepted:
            convert = _conversion(row)
            for text in _texts(row["strings"]):
                key = normalise(text)
                exact[key] = convert
                if key not in case_sensitive:
                    folded[key.casefold()] = convert
        return cls(str(raw["canonical"]), raw.get("unitless") == "true", exact, folded)

    def converter(self, unit: str) -> Callable[[Decimal], Decimal] | None:
        """The conversion to the canonical unit, or None when the spelling is not listed."""
        listed = self._exact.get(unit)
        if listed is not None:
            return listed
        key = normalise(unit)
        return self._exact.get(key) or self._folded.get(key.casefold())


@lru_cache(maxsize=1024)
def normalise(unit: str) -> str:
    """One spelling for typographic variants: ``×10⁹ / L`` and ``x10^9/L``; case is kept."""
    raised = "".join(
        ("^" if character in _RAISED and (not index or unit[index - 1] not in _RAISED) else "")
        + character.translate(_SUPERSCRIPTS)
        for index, character in enumerate(unit)
    )
    folded = unicodedata.normalize("NFKC", raised).replace("\N{GREEK SMALL LETTER MU}", "u").replace("×", "x")
    return "".join(folded.split())


def _conversion(row: Mapping[str, object]) -> Callable[[Decimal], Decimal]:
    if "divide" in row:
        divisor = Decimal(str(row["divide"]))
        return lambda value: value / divisor
    factor = Decimal(str(row["multiply"]))
    return lambda value: value * factor


def _texts(value: object) -> list[str]:
    assert isinstance(value, list)
    return [str(item) for item in value]
