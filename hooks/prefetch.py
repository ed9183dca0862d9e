"""What is asked for with a request, and what became of it: the states of each prefetch key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from cds.fhir import Found
from cds.snapshot import REQUIRED_KINDS, Supply, Unread
from cds.terminology import Terminology

_COUNT = 200
_PATIENT = "Patient/{{context.patientId}}"

OBSERVATION_KEYS: Mapping[str, tuple[str, ...]] = {
    "counts": (
        "anc",
        "platelets",
        "wbc",
        "wbc-corrected",
        "neutrophils-percent",
        "neutrophils-segmented",
        "neutrophils-band",
        "neutrophils-segmented-percent",
        "neutrophils-band-percent",
    ),
    "kidney": ("creatinine", "egfr", "creatinine-clearance-measured", "creatinine-clearance-cockcroft-gault"),
    "vitals": ("body-weight", "body-weight-stated", "body-height", "bmi", "lvef", "dlco-percent-predicted"),
    "pregnancy": (
        "hcg",
        "pregnancy-status",
        "estimated-delivery-date",
        "breastfeeding-status",
        "last-menstrual-period",
        "menopausal-status",
        "age-at-menopause",
        "contraception-method",
    ),
    "chemistry": ("alt", "ast", "bilirubin", "tsh", "inr", "haemoglobin", "calcium", "digoxin-level"),
    "serology": ("hbsag", "anti-hbc", "hbv-dna", "anti-hcv", "hcv-rna", "hiv"),
    "response": ("disease-response", "m-protein", "m-protein-band-1", "kappa-flc", "lambda-flc", "flc-ratio"),
}
_SEARCHES = {
    "medications": ("MedicationRequest", "-authoredon"),
    "conditions": ("Condition", "-recorded-date"),
    "procedures": ("Procedure", "-date"),
    "allergies": ("AllergyIntolerance", "-date"),
}
# EHRs whose administrators type the keys by hand use words of their own.
_KIND_WORDS = {
    "observation": "Observation",
    "lab": "Observation",
    "vital": "Observation",
    "med": "MedicationRequest",
    "rx": "MedicationRequest",
    "drug": "MedicationRequest",
    "condition": "Condition",
    "problem": "Condition",
    "diagnos": "Condition",
    "procedure": "Procedure",
    "allerg": "AllergyIntolerance",
    "patient": "Patient",
}
_SEARCHED_KIND = re.compile(rf"\b({'|'.join(REQUIRED_KINDS)})\?")
_MAX_NESTING = 3
# Looked up by equality: a severity may be any JSON, and a list cannot be a member of a set.
_FATAL = ("error", "fatal")


@dataclass(frozen=True)
class Supplied:
    """All resources of a request's prefetch, what came of each kind, and what was no resource at all."""

    found: tuple[Found, ...]
    supply: Mapping[str, Supply]
    unread: tuple[Unread, ...]


def templates(terminology: Terminology) -> dict[str, str]:
    """The prefetch templates of every service, within the portable query subset."""
    searches = {"patient": _PATIENT}
    for key, tokens in OBSERVATION_KEYS.items():
        codes = [coding for token in tokens for coding in terminology.observation_codes(token)]
        query = quote(",".join(f"{system}|{code}" for system, code in codes), safe="")
        searches[key] = f"Observation?patient={_PATIENT}&code={query}&_sort=-date&_count={_COUNT}"
    for key, (kind, sort) in _SEARCHES.items():
        searches[key] = f"{kind}?patient={_PATIENT}&_sort={sort}&_count={_COUNT}"
    return searches


def read_prefetch(prefetch: Mapping[str, Any]) -> Supplied:
    """Read every value whatever its key; the keys only tell which kinds were asked for and came back empty."""
    found: list[Found] = []
    unread: list[Unread] = []
    states: dict[str, list[Supply]] = {kind: [] for kind in REQUIRED_KINDS}
    for key, value in prefetch.items():
        resources, state, problems = _read_value(key, value)
        found += resources
        unread += problems
        for kind in _kinds_of(key, value, resources):
            states.setdefault(kind, []).append(state)
    declared = OBSERVATION_KEYS.keys()
    if declared & prefetch.keys():
        states["Observation"] += [Supply.ABSENT for _ in declared - prefetch.keys()]
    return Supplied(tuple(found), {kind: _together(seen) for kind, seen in states.items()}, tuple(unread))


def _read_value(key: str, value: object) -> tuple[list[Found], Supply, list[Unread]]:
    if value is None:
        return [], Supply.ABSENT if key == "patient" else Supply.EMPTY, []
    if not isinstance(value, Mapping):
        return [], Supply.FAILED, [Unread(f"prefetch.{key}", "is not a FHIR resource")]
    if value.get("resourceType") == "OperationOutcome":
        return [], Supply.FAILED, []
    if value.get("resourceType") != "Bundle":
        return [Found(value)], Supply.WHOLE, []
    found, problems, failed = [], [], False
    for item in _entries(value, f"prefetch.{key}", 0):
        if isinstance(item, Unread):
            problems.append(item)
        elif item.resource.get("resourceType") == "OperationOutcome":
            failed = failed or _is_error(item.resource)
        else:
            found.append(item)
    if failed:
        return found, Supply.PARTIAL if found else Supply.FAILED, problems
    if problems or _has_more(value):
        return found, Supply.PARTIAL, problems
    return found, Supply.WHOLE if found else Supply.EMPTY, problems


def _entries(bundle: Mapping[str, Any], path: str, depth: int) -> Iterator[Found | Unread]:
    """Entries of a Bundle and of Bundles within it (a batch answer)."""
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        yield Unread(f"{path}.entry", "is not a list")
        return
    for index, entry in enumerate(entries):
        place = f"{path}.entry[{index}]"
        resource = entry.get("resource") if isinstance(entry, Mapping) else None
        if not isinstance(resource, Mapping):
            yield Unread(place, "holds no resource")
        elif resource.get("resourceType") == "Bundle" and depth < _MAX_NESTING:
            yield from _entries(resource, place, depth + 1)
        else:
            url = entry.get("fullUrl")
            yield Found(resource, url if isinstance(url, str) else "")


def _is_error(outcome: Mapping[str, Any]) -> bool:
    issues = outcome.get("issue")
    severities = (
        [issue.get("severity") for issue in issues if isinstance(issue, Mapping)] if isinstance(issues, list) else []
    )
    return not severities or any(severity in _FATAL for severity in severities)


def _has_more(bundle: Mapping[str, Any], depth: int = 0) -> bool:
    """Whether the search, or one within a batch answer, found more than its Bundle holds."""
    listed = bundle.get("entry")
    entries = [entry for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []
    inner = [entry["resource"] for entry in entries if _is_bundle(entry.get("resource"))]
    if depth < _MAX_NESTING and any(_has_more(within, depth + 1) for within in inner):
        return True
    links = bundle.get("link")
    following = isinstance(links, list) and any(
        isinstance(link, Mapping) and link.get("relation") == "next" for link in links
    )
    total = bundle.get("total")
    return following or (isinstance(total, int) and total > sum(_is_match(entry) for entry in entries))


def _is_match(entry: Mapping[str, Any]) -> bool:
    """Whether the search's total counts this entry: not what was included beside it, nor a word about the search."""
    search, resource = entry.get("search"), entry.get("resource")
    mode = search.get("mode") if isinstance(search, Mapping) else None
    is_outcome = isinstance(resource, Mapping) and resource.get("resourceType") == "OperationOutcome"
    return not is_outcome and mode not in ("include", "outcome")


def _is_bundle(resource: object) -> bool:
    return isinstance(resource, Mapping) and resource.get("resourceType") == "Bundle"


def _kinds_of(key: str, value: object, found: list[Found]) -> set[str]:
    """What a key was to bring: by what it brought, by our own keys, by the search that answered it, by its name."""
    kinds = {str(item.resource.get("resourceType")) for item in found}
    if kinds:
        return kinds
    if key in OBSERVATION_KEYS:
        return {"Observation"}
    if key in _SEARCHES:
        return {_SEARCHES[key][0]}
    searched = _SEARCHED_KIND.search(_self_link(value))
    if searched is not None:
        return {searched[1]}
    return {next((kind for word, kind in _KIND_WORDS.items() if word in key.casefold()), "")} - {""}


def _self_link(value: object) -> str:
    """The search a Bundle answers."""
    links = value.get("link") if isinstance(value, Mapping) else None
    for link in links if isinstance(links, list) else []:
        if isinstance(link, Mapping) and link.get("relation") == "self":
            return str(link.get("url"))
    return ""


def _together(states: list[Supply]) -> Supply:
    """One state of a kind that came in several parts: what failed in one part is not known."""
    if not states:
        return Supply.ABSENT
    if all(state.proves_absence for state in states):
        return Supply.WHOLE if Supply.WHOLE in states else Supply.EMPTY
    return states[0] if len(set(states)) == 1 else Supply.PARTIAL
