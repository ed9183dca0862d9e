"""The vocabulary of the service, loaded once from ``terminology/*.yaml``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from cds.strict_yaml import KnowledgeError, load
from cds.terminology.local import with_local_codes
from cds.terminology.programme import programme_places
from cds.terminology.value_sets import CodeIndex, Coding, system_key
from cds.terminology.wording import Words
from cds.units import UnitTable

_FILES = (
    "systems",
    "units",
    "observations",
    "answers",
    "responses",
    "drugs",
    "conditions",
    "indications",
    "reactions",
    "procedures",
    "grades",
    "timing",
    "race",
    "orderables",
    "body-sites",
    "devices",
    "sex",
    "programme",
)
_REFERENCE_SYSTEMS = {"loinc", "snomed"}


@dataclass(frozen=True)
class ObservationKind:
    """What an Observation measures.

    ``units`` is None where no rule compares the number; ``may_be_answered`` where a coded answer (negative) is a result;
    ``dated`` where the value is a date, ``asked`` where it is a question that yes and no answer, ``ranged`` where a rule asks
    for the laboratory's range of normal.
    """

    token: str
    name: str
    units: UnitTable | None
    at_least: Decimal | None
    at_most: Decimal | None
    may_be_answered: bool
    dated: bool = False
    asked: bool = False
    ranged: bool = False

    def is_plausible(self, value: Decimal) -> bool:
        """Whether a converted value lies within the limits."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


@dataclass(frozen=True)
class DrugConcept:
    """What a drug coding says: ``strength_mg`` only where the code carries one, ``contraceptive`` the method it is.

    ``per_international_unit``: what one unit counts in the unit in which the drug is dosed.
    """

    token: str
    name: str
    drug_class: str
    strength_mg: Decimal | None = None
    contraceptive: str | None = None
    per_international_unit: Decimal | None = None


class Terminology:
    """Look-ups from codings to the tokens that rules use."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._systems = _systems(raw["systems"])
        self.system_uris = {key: str(entry["uri"]) for key, entry in raw["systems"].items()}
        self._local = [key for key, entry in raw["systems"].items() if entry.get("local") == "true"]
        units = {quantity: UnitTable.build(entry) for quantity, entry in raw["units"].items()}
        self._units = units
        self._observation_index = CodeIndex(raw["observations"].items())
        self._kinds = {token: _kind(token, entry, units) for token, entry in raw["observations"].items()}
        self._observation_words = Words(raw["observations"])
        self._no_results = frozenset(token for token, entry in raw["observations"].items() if "codes" not in entry)
        self.panels = frozenset(token for token, entry in raw["observations"].items() if entry.get("panel") == "true")
        self.conditions = CodeIndex((raw["conditions"] | raw["indications"] | raw["reactions"]).items())
        self.condition_names = _names(raw["conditions"] | raw["indications"] | raw["reactions"])
        self._narrower = {
            str(entry["narrows"]): (token, Words({token: {"words": entry["told_by"]}}))
            for token, entry in raw["conditions"].items()
            if "narrows" in entry
        }
        self._condition_words = Words(raw["conditions"] | raw["indications"])
        self.reaction_tokens = frozenset(raw["reactions"])
        self.procedures = CodeIndex(raw["procedures"].items())
        self.procedure_names = _names(raw["procedures"])
        self._procedure_words = Words(raw["procedures"])
        answers = raw["answers"] | raw["responses"]
        self._answer_entries = answers
        self._answers = CodeIndex(answers.items())
        self._answer_strings = {
            text.casefold(): token for token, entry in answers.items() for text in entry.get("strings", [])
        }
        self.grades = CodeIndex(raw["grades"].items())
        self.timing_codes = dict(raw["timing"])
        self._drug_index, self._strengths = _drugs(raw["drugs"])
        self._concepts = {token: _concept(token, entry) for token, entry in raw["drugs"].items()}
        self._products: dict[tuple[str, str], DrugConcept] = {}
        self._drug_words = Words({token: {"words": entry.get("names", [])} for token, entry in raw["drugs"].items()})
        self.products = _products(raw["drugs"])
        self._orderables = raw["orderables"]
        self.devices = CodeIndex(raw["devices"].items())
        self.sexes = CodeIndex(raw["sex"].items())
        self.races = CodeIndex(raw["race"].items())
        self.body_sites = CodeIndex(raw["body-sites"].items())
        self.programme = programme_places(raw["programme"], "terminology/programme.yaml")
        self._drug_entries = raw["drugs"]

    def coding(self, raw: Mapping[str, Any]) -> Coding | None:
        """A FHIR Coding; None when it carries no code."""
        return next(iter(self.codings(raw)), None)

    def codings(self, raw: object) -> list[Coding]:
        """FHIR Codings, as far as they carry a code; senders also put a single one where a list belongs."""
        return [
            Coding(system_key(self._systems, one.get("system")), one["code"])
            for one in (raw if isinstance(raw, list) else [raw])
            if isinstance(one, dict) and isinstance(one.get("code"), str)
        ]

    def owner(self, section: str, system: str, code: str) -> str | None:
        """The token that a code has in a section: observations, answers, conditions, procedures, devices or drugs."""
        index = {
            "observations": self._observation_index,
            "answers": self._answers,
            "conditions": self.conditions,
            "procedures": self.procedures,
            "devices": self.devices,
            "drugs": self._drug_index,
        }[section]
        return index.token([Coding(system, code)])

    def system_of(self, uri: str) -> str | None:
        """Key of a code system by its URI or a tolerated variant."""
        return system_key(self._systems, uri)

    def kind(self, token: str) -> ObservationKind:
        """The kind of Observation of a token."""
        return self._kinds[token]

    def observation(self, codings: Iterable[Coding]) -> ObservationKind | None:
        """What an Observation.code measures; None when it is not listed."""
        token = self._observation_index.token(codings)
        return None if token is None else self._kinds[token]

    def is_another_test(self, codings: Iterable[Coding]) -> bool:
        """Whether codes that are not listed tell of another test, whatever its name resembles."""
        systems = [system for system, _ in codings]
        return None not in systems and not _REFERENCE_SYSTEMS.isdisjoint(systems)

    def observation_hinted_by(self, codings: Iterable[Coding], text: str) -> ObservationKind | None:
        """What an Observation without a known code looks like: by a code without system, or by its name."""
        codings = list(codings)
        token = self._observation_index.token(Coding("loinc", code) for system, code in codings if system is None)
        if token is None and not any(system in _REFERENCE_SYSTEMS for system, _ in codings):
            token = self._observation_words.named_in(text)
        return None if token is None or token in self._no_results else self._kinds[token]

    def observation_codes(self, token: str) -> list[tuple[str, str]]:
        """Code system URI and code of one kind of Observation: LOINC, or SNOMED CT where there is none; and a hospital's own."""
        by_system = {
            system: self._observation_index.codes_of(token, system) for system in ("loinc", "snomed", *self._local)
        }
        if by_system["loinc"]:
            del by_system["snomed"]
        return [(self.system_uris[system], code) for system, codes in by_system.items() for code in codes]

    def unit_is_of_another_quantity(self, unit: str, units: UnitTable) -> bool:
        """Whether a unit string is known, but only for other quantities."""
        return units.converter(unit) is None and any(table.converter(unit) for table in self._units.values())

    def drug(self, codings: Iterable[Coding]) -> DrugConcept | None:
        """Identity of a coded drug, from the most specific coding: a product with a strength wins."""
        best: DrugConcept | None = None
        for coding in codings:
            token = self._drug_index.token((coding,))
            if token is None:
                continue
            strength = self._strengths.token((coding,))
            if strength is not None:
                return self._of_strength(token, strength)
            best = best or self._concepts[token]
        return best

    def _of_strength(self, token: str, strength: str) -> DrugConcept:
        if (token, strength) not in self._products:
            self._products[token, strength] = replace(self._concepts[token], strength_mg=Decimal(strength))
        return self._products[token, strength]

    def drug_named_in(self, text: str) -> DrugConcept | None:
        """A drug whose name stands in free text: a hint, never an identification."""
        token = self._drug_words.named_in(text)
        return None if token is None else self._concepts[token]

    def orderable(self, token: str) -> tuple[str, Mapping[str, str]]:
        """An order that a suggestion creates: its name and its coding."""
        entry = self._orderables[token]
        return str(entry["name"]), self._first_coding(entry)

    def coded_answer(self, token: str) -> Mapping[str, str]:
        """The coding of an answer such as ``negative``."""
        return self._first_coding(self._answer_entries[token])

    def _first_coding(self, entry: Mapping[str, Any]) -> Mapping[str, str]:
        system, codes = next(iter(entry["codes"].items()))
        code, display = next(iter(codes.items()))
        return {"system": self.system_uris[system], "code": code, "display": display}

    def product_like(self, token: str, original: Coding | None, strength_mg: Decimal) -> tuple[str, str, str] | None:
        """A product of another strength in the same code system, brand for brand: its system's key, code and display.

        RxNorm's clinical drug where the original says no system that lists this strength; None where no product exists.
        """
        wanted = self.products.get(token, {}).get(strength_mg, {})
        if original is not None and original.system is not None:
            system = original.system if original.system in wanted else "dmd"
            for listed in self.products[token].values():
                codes = list(listed.get(system, {}))
                if original.code in codes and system in wanted:
                    place = min(codes.index(original.code), len(wanted[system]) - 1)
                    return (system, *list(wanted[system].items())[place])
        clinical_drugs = list(wanted.get("rxnorm", {}).items())
        return ("rxnorm", *clinical_drugs[0]) if clinical_drugs else None

    def ingredient(self, token: str) -> tuple[str, str, str]:
        """A drug by its ingredient: its name, RxNorm code and display."""
        entry = self._drug_entries[token]
        code, display = next(iter(entry["ingredient"]["rxnorm"].items()))
        return str(entry["name"]), code, display

    def conditions_named_in(self, text: str) -> tuple[str, ...]:
        """Tokens of listed conditions that free text looks like, in the order of the text."""
        return self._condition_words.all_named_in(text)

    def narrowed(self, token: str, text: str) -> str:
        """The token of a narrower condition that no code tells, where the words beside the code do."""
        narrower, words = self._narrower.get(token, (token, None))
        return narrower if words is not None and words.named_in(text) else token

    def procedure_named_in(self, text: str) -> str | None:
        """Token of a listed procedure that free text looks like."""
        return self._procedure_words.named_in(text)

    def answer(self, codings: Iterable[Coding], text: str | None) -> str | None:
        """Token of a coded or textual answer: ``positive``, ``pregnant``, ``stable-disease`` …."""
        return next(iter(self.answers(codings, text)), None)

    def answers(self, codings: Iterable[Coding], text: str | None) -> list[str]:
        """Tokens of all codings and of the text, each once: more than one where they contradict each other."""
        said = self._answer_strings.get(text.strip().casefold()) if text else None
        found = [self._answers.token((coding,)) for coding in codings]
        return list(dict.fromkeys(token for token in (*found, said) if token is not None))


@cache
def load_terminology() -> Terminology:
    """Read ``terminology/*.yaml``; ``KnowledgeError`` lists everything that is wrong with them."""
    return Terminology(_files())


def terminology_with(local: Mapping[str, Any], file: str) -> Terminology:
    """Our terminology and a hospital's own codes; ``KnowledgeError`` lists everything that is wrong with its ``file``."""
    return Terminology(with_local_codes(_files(), local, file, load_terminology().owner))


@cache
def _files() -> Mapping[str, Any]:
    problems: list[str] = []
    folder = files("cds") / "terminology"
    raw = {name: load(folder / f"{name}.yaml", problems) for name in _FILES}
    stray = [
        item.name for item in folder.iterdir() if item.name.endswith((".yaml", ".yml")) and item.name[:-5] not in _FILES
    ]
    problems.extend(f"terminology/{name}: is not a file this version knows" for name in sorted(stray))
    if problems:
        raise KnowledgeError(problems)
    return raw


def _systems(raw: Mapping[str, Any]) -> dict[str, str]:
    """Keys by URI, as it is written and without regard to case and a last slash."""
    return {
        spelling: key
        for key, entry in raw.items()
        for uri in (entry["uri"], *entry.get("also", []))
        for spelling in (uri, uri.rstrip("/").casefold())
    }


def _kind(token: str, entry: Mapping[str, Any], units: Mapping[str, UnitTable]) -> ObservationKind:
    plausible = entry.get("plausible", {})
    quantity = entry.get("quantity")
    return ObservationKind(
        token,
        str(entry["name"]),
        None if quantity is None else units[quantity],
        Decimal(plausible["at_least"]) if "at_least" in plausible else None,
        Decimal(plausible["at_most"]) if "at_most" in plausible else None,
        quantity is None or entry.get("answers") == "true",
        entry.get("dated") == "true",
        entry.get("asked") == "true",
        entry.get("ranged") == "true",
    )


def _names(entries: Mapping[str, Any]) -> dict[str, str]:
    return {token: str(entry["name"]) for token, entry in entries.items()}


def _concept(token: str, entry: Mapping[str, Any]) -> DrugConcept:
    per_unit = entry.get("per_international_unit")
    return DrugConcept(
        token,
        str(entry["name"]),
        str(entry["class"]),
        contraceptive=entry.get("contraceptive"),
        per_international_unit=None if per_unit is None else Decimal(per_unit),
    )


def _drugs(entries: Mapping[str, Any]) -> tuple[CodeIndex, CodeIndex]:
    """Codes to drug tokens, and the codes of products to their strength."""
    drugs: list[tuple[str, Mapping[str, Any]]] = []
    strengths: list[tuple[str, Mapping[str, Any]]] = []
    for token, entry in entries.items():
        families = {"atc": entry["atc_families"]} if "atc_families" in entry else {}
        drugs.append((token, {"codes": entry.get("ingredient", {}), "families": families, "not": entry.get("not", {})}))
        for product in entry.get("products", []):
            codes = {system: listed for system, listed in product.items() if system != "strength_mg"}
            drugs.append((token, {"codes": codes}))
            strengths.append((str(product["strength_mg"]), {"codes": codes}))
    return CodeIndex(drugs), CodeIndex(strengths)


def _products(entries: Mapping[str, Any]) -> dict[str, dict[Decimal, Mapping[str, Mapping[str, str]]]]:
    """Per drug and strength: the products' codes and displays by code system, in the order of the file."""
    return {
        token: {
            Decimal(product["strength_mg"]): {name: listed for name, listed in product.items() if name != "strength_mg"}
            for product in entry.get("products", [])
        }
        for token, entry in entries.items()
    }
