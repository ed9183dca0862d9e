"""Matching of codings on the pair (system, code), with families of ICD and ATC codes by prefix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from cds.remembering import remembered

_PREFIXED = frozenset({"icd-10-cm", "icd-10", "icd-10-gm", "icd-10-pcs", "atc"})


class Coding(NamedTuple):
    """A coding with its system already resolved to a key of ``systems.yaml`` (None when unknown or absent)."""

    system: str | None
    code: str


def system_key(systems: Mapping[str, str], uri: object) -> str | None:
    """Key of a code system by its canonical URI or a tolerated variant."""
    return systems.get(uri) or systems.get(uri.rstrip("/").casefold()) if isinstance(uri, str) else None


class CodeIndex:
    """Codes of many tokens, looked up by coding."""

    def __init__(self, entries: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        self._exact: dict[tuple[str, str], str] = {}
        self._families: dict[tuple[str, str], str] = {}
        self._excluded: set[tuple[str, str]] = set()
        for token, entry in entries:
            self._add(token, entry)
        # Codes that are normal as they stand; all others are looked up with more trouble.
        self._plain = {key: token for key, token in self._exact.items() if normalise_code(*key) == key[1]}
        self._token_of = remembered(self._look_up)

    def _add(self, token: str, entry: Mapping[str, Any]) -> None:
        """Take the ``codes``, ``families`` and ``not`` of one entry."""
        for system, code in _pairs(entry.get("codes")):
            for key in _aliases(system, code):
                self._exact.setdefault(key, token)
        for system, code in _pairs(entry.get("families")):
            self._families.setdefault((system, normalise_code(system, code)), token)
        for system, code in _pairs(entry.get("not")):
            self._excluded.update(_aliases(system, code))

    def token(self, codings: Iterable[Coding]) -> str | None:
        """The token of the first coding that is listed; a code without a system is never matched."""
        for system, code in codings:
            if system is not None:
                found = self._plain.get((system, code)) or self._token_of(code, system)
                if found is not None:
                    return found
        return None

    def codes_of(self, token: str, system: str) -> list[str]:
        """Codes of one token in one system, in the order of the file."""
        return [
            code for (its_system, code), its_token in self._exact.items() if (its_system, its_token) == (system, token)
        ]

    def _look_up(self, code: str, system: str) -> str | None:
        code = normalise_code(system, code)
        exact = self._exact.get((system, code))
        if exact is not None or system not in _PREFIXED:
            return exact
        for length in range(len(code), 2, -1):
            if (system, code[:length]) in self._excluded:
                return None
            found = self._families.get((system, code[:length]))
            if found is not None:
                return found
        return None


def normalise_code(system: str, code: str) -> str:
    """ICD codes arrive with and without dots, NDCs in four segment forms."""
    if system.startswith("icd-10"):
        return code.replace(".", "").replace(" ", "").upper()
    if system == "ndc":
        return _ndc_product(code)
    return code.strip()


def _ndc_product(code: str) -> str:
    """Labeler and product as nine digits (5-4): ``59572-410-28`` and ``59572041028`` are ``595720410``."""
    segments = code.strip().split("-")
    if len(segments) > 1:
        return segments[0].zfill(5) + segments[1].zfill(4)
    digits = segments[0]
    if len(digits) == len("59572041028"):
        return digits[:9]
    # Ten digits without dashes are ambiguous; 5-3-2 is the form of the labelers listed here.
    return digits[:5] + digits[5:8].zfill(4)


def _aliases(system: str, code: str) -> list[tuple[str, str]]:
    code = normalise_code(system, code)
    # dm+d identifiers are SNOMED CT identifiers and arrive under either system.
    return [(system, code), ("snomed", code)] if system == "dmd" else [(system, code)]


def _pairs(by_system: Mapping[str, Any] | None) -> Iterable[tuple[str, str]]:
    for system, codes in (by_system or {}).items():
        for code in codes:
            yield system, code
