"""Adapter from the worked vignettes' format to that of the clinical cases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cds import strict_yaml
from tests.support.case import Case, without_typing

Json = dict[str, Any]

_FACTS = ("crcl_ml_min", "reproductive_class", "impede", "saved")

# Where the vignettes' word for a code is not the terminology's.
_CONDITIONS = {"dvt": "vte"}
_METHODS = {"levonorgestrel-ius": "hormonal-intrauterine-system"}
_RACES = {"white": "other", "black": "other"}
# Diagnoses that no rule looks for: they stand in a vignette to show that they change nothing.
_UNLISTED_CONDITIONS = frozenset({"chemotherapy-induced-amenorrhoea"})


def load_vignettes(file: Path) -> Iterator[tuple[str, Case]]:
    """Every vignette as a case, with the id of its protocol."""
    problems: list[str] = []
    content = without_typing(strict_yaml.load(file, problems))
    if problems:
        raise ValueError("\n".join(problems))
    for vignette in content["vignettes"]:
        yield vignette["protocol"], Case.model_validate(as_case(vignette))


def as_case(vignette: Mapping[str, Any]) -> Json:
    """One vignette in the format of a merged case."""
    patient = vignette["patient"]
    conditions = [item for item in patient.get("conditions", []) if item["code"] not in _UNLISTED_CONDITIONS]
    return {
        "id": vignette["id"],
        "title": vignette["title"],
        "rule": "worked vignette",
        "now": vignette["now"],
        "patient": {
            "birth_date": patient["birth_date"],
            "sex": patient["sex"],
            "race": _RACES.get(patient["race"], patient["race"]),
        },
        "conditions": [{**item, "code": _CONDITIONS.get(item["code"], item["code"])} for item in conditions],
        "procedures": patient.get("procedures", []),
        "medications": [_medication(item) for item in patient.get("medications", [])],
        "allergies": patient.get("allergies", []),
        "adverse_events": patient.get("adverse_events", []),
        "contraception": [
            {**item, "method": _METHODS.get(item["method"], item["method"])}
            for item in patient.get("contraception", [])
        ],
        "labs": _labs(vignette["labs"]),
        "history": vignette["history"],
        "drafts": [vignette["draft"]],
        "expect": _expectation(vignette["expect"]),
    }


def _medication(medication: Mapping[str, Any]) -> Json:
    """The intensity stands in the dose text, as prescribers write it."""
    dose = ", ".join(medication[key] for key in ("dose", "intensity") if key in medication)
    return {"code": medication["code"], "status": medication["status"], "dose": dose or None}


def _labs(labs: list[Mapping[str, Any]]) -> Json:
    by_token: dict[str, list[Json]] = defaultdict(list)
    for lab in labs:
        reading = {key: value for key, value in lab.items() if key != "code"}
        by_token[lab["code"]].append({"unit": None, **reading})
    return by_token


def _expectation(expect: Mapping[str, Any]) -> Json:
    compared: Json = {
        "action": None,
        "fires": {item["id"]: item["indicator"] for item in expect["must_fire"]},
        "silent": expect["must_not_fire"],
        "facts": {name: expect[name] for name in _FACTS if name in expect},
    }
    recommendation = expect.get("recommendation")
    return compared | (_recommendation(recommendation) if recommendation else {})


def _recommendation(recommendation: Mapping[str, Any]) -> Json:
    compared = {"action": recommendation["action"]}
    if "dose_mg" in recommendation:
        compared["level"] = _level(recommendation)
    if "resume_at" in recommendation:
        compared["resume_at"] = _level(recommendation["resume_at"])
    return compared


def _level(level: Mapping[str, Any]) -> str:
    return f"{level['dose_mg']}/{level['schedule_days']}"
