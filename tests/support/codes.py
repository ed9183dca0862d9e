"""First code of a terminology token, read from the YAML files themselves: independent of the loader under test."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_FOLDER = Path(__file__).parents[2] / "cds" / "terminology"
_CONDITION_FILES = ("conditions", "indications", "reactions")

Json = dict[str, Any]


def observation(token: str) -> Json:
    """CodeableConcept of what is measured."""
    return _first_concept(token, "observations")


def answer(token: str) -> Json:
    """CodeableConcept of a coded result."""
    return _first_concept(token, "answers", "responses")


def response_question() -> Json:
    """CodeableConcept under which a response to treatment is recorded."""
    return observation("disease-response")


def condition(token: str) -> Json:
    """CodeableConcept of a diagnosis or reaction; where only words tell it, the code of the wider one with these words."""
    entry = _entry(token, *_CONDITION_FILES)
    if "narrows" in entry:
        return {**condition(entry["narrows"]), "text": entry["name"]}
    return _first_concept(token, *_CONDITION_FILES)


def procedure(token: str) -> Json:
    """CodeableConcept of a procedure."""
    return _first_concept(token, "procedures")


def device(token: str) -> Json:
    """CodeableConcept of a device."""
    return _first_concept(token, "devices")


def body_site(token: str) -> Json:
    """CodeableConcept of the side of an operation."""
    return _first_concept(token, "body-sites")


def race(token: str) -> Json:
    """Coding of a race category."""
    return _first_coding(_entry(token, "race")["codes"])


def drug(token: str, strength_mg: Decimal | None = None) -> Json:
    """CodeableConcept of a drug: the product of that strength, else the ingredient; RxNorm where it has a code."""
    entry = _entry(token, "drugs")
    listed: Json = entry.get("ingredient") or entry["products"][0]
    if strength_mg is not None:
        products = [product for product in entry.get("products", []) if Decimal(product["strength_mg"]) == strength_mg]
        listed = next((product for product in products if "rxnorm" in product), listed)
    by_system = {system: codes for system, codes in listed.items() if system != "strength_mg" and codes}
    return _concept(_first_coding({"rxnorm": by_system["rxnorm"]} if "rxnorm" in by_system else by_system))


def _first_concept(token: str, *files: str) -> Json:
    """The first code in a system we have a URI for; a family stands for its codes; some answers are only ever text."""
    entry = _entry(token, *files)
    listed: Json = entry.get("codes") or entry.get("families") or {}
    by_system = {system: codes for system, codes in listed.items() if system in _file("systems")}
    return _concept(_first_coding(by_system)) if by_system else {"text": entry["strings"][0]}


def _first_coding(by_system: Json) -> Json:
    system, codes = next(iter(by_system.items()))
    code, display = next(iter(codes.items()))
    return {"system": _file("systems")[system]["uri"], "code": code, "display": display}


def _concept(coding: Json) -> Json:
    return {"coding": [coding], "text": coding["display"]}


def _entry(token: str, *files: str) -> Json:
    for name in files:
        if token in _file(name):
            entry: Json = _file(name)[token]
            return entry
    raise LookupError(f"no entry '{token}' in terminology/{{{','.join(files)}}}.yaml")


@cache
def _file(name: str) -> Json:
    text = (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    content: Json = yaml.load(text, Loader=yaml.CBaseLoader)  # noqa: S506 - the base loader builds nothing but text
    return content
