"""Adapter from the worked vignettes' format to that of the clinical cases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cds import strict_yaml
from tests.support.case import Case, without_typing

Json = dict[str, Any]

# Areas, and rules of areas that are only begun. Expectations about other rules wait until their area is built.
BUILT_AREAS = frozenset(
    {
        "dosing",
        "renal",
        "heme",
        "supply",
        "monitoring.cbc-due",
        "monitoring.unit-unknown",
        "monitoring.creatinine-due",
        "teratogenicity",
        "eligibility.indication",
        "eligibility.transplant",
        "eligibility.age",
        "eligibility.revallo-renal",
    }
)
_AREA_OF_FACT = {"crcl_ml_min": "renal", "reproductive_class": "teratogenicity"}

# Where the vignettes' word for a code is not the terminology's.
_CONDITIONS = {"dvt": "vte", "steroid-refractory-gvhd": "gvhd"}
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


def has_expectations(case: Case) -> bool:
    """Whether anything is left to compare once the areas not built yet are set aside."""
    expect = case.expect
    return bool(expect.action or expect.fires or expect.silent or expect.facts.model_fields_set)


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
    fires = {item["id"]: item["indicator"] for item in expect["must_fire"]}
    compared: Json = {
        "action": None,
        "fires": {rule: indicator for rule, indicator in fires.items() if _is_built(rule)},
        "silent": [rule for rule in expect["must_not_fire"] if _is_built(rule)],
        "facts": {name: expect[name] for name, area in _AREA_OF_FACT.items() if name in expect and _is_built(area)},
    }
    recommendation = expect.get("recommendation")
    if recommendation and _follows_from_built_areas(recommendation, fires):
        compared |= _recommendation(recommendation)
    return compared


def _follows_from_built_areas(recommendation: Mapping[str, Any], fires: Mapping[str, str]) -> bool:
    """Whether the recommendation can be had without the areas that are not built yet.

    Dose levels come from built areas; the others can only raise the action to discontinue, hold or defer. So proceed
    and modify always stand, and a graver action stands where a built rule that is expected to fire can be its reason.
    """
    return recommendation["action"] in {"proceed", "modify"} or any(
        _is_built(rule) and indicator != "info" for rule, indicator in fires.items()
    )


def _recommendation(recommendation: Mapping[str, Any]) -> Json:
    compared = {"action": recommendation["action"]}
    if "dose_mg" in recommendation:
        compared["level"] = _level(recommendation)
    if "resume_at" in recommendation:
        compared["resume_at"] = _level(recommendation["resume_at"])
    return compared


def _level(level: Mapping[str, Any]) -> str:
    return f"{level['dose_mg']}/{level['schedule_days']}"


def _is_built(rule: str) -> bool:
    return rule in BUILT_AREAS or rule.partition(".")[0] in BUILT_AREAS
