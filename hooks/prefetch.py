"""What is asked for with a request, and what became of it: the states of each prefetch key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple
from urllib.parse import quote

from cds.fhir import Found
from cds.fhir.primitives import codings, items
from cds.snapshot import REQUIRED_KINDS, Supply, Unread
from cds.terminology import Terminology
from hooks.fetch_failures import is_error, withholds, words_of

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
KEY_NAMES = {
    "counts": "blood counts",
    "kidney": "kidney function",
    "vitals": "weight, height, heart and lung function",
    "pregnancy": "pregnancy tests and status",
    "chemistry": "liver, thyroid and other chemistry",
    "serology": "serology",
    "response": "myeloma response",
}
"""The Observation keys in a prescriber's words."""

REFERENCED = "medications-referenced"
"""Our own key for the Medications that orders refer to."""

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
KIND_OF_KEY: Mapping[str, str] = {
    "patient": "Patient",
    **dict.fromkeys(OBSERVATION_KEYS, "Observation"),
    **{key: kind for key, (kind, _) in _SEARCHES.items()},
}
"""The resource type that each declared key asks for."""

_KEY_OF_TOKEN = {token: key for key, tokens in OBSERVATION_KEYS.items() for token in tokens}
_SEARCHED_KIND = re.compile(rf"\b({'|'.join(REQUIRED_KINDS)})\?")
_MAX_NESTING = 3
_SHORT = (Supply.FAILED, Supply.PARTIAL)


@dataclass(frozen=True)
class Shortfall:
    """A prefetch key that brought nothing or not all, and why, as a card says it; ``why`` is empty where nobody tells.

    ``failed`` tells what went wrong from what there is only more of.
    """

    key: str
    state: Supply
    why: str
    failed: bool


@dataclass(frozen=True)
class Supplied:
    """All resources of a request's prefetch, what came of each kind, and what was no resource at all.

    ``shortfalls`` holds per kind the keys that failed or came in part; ``covered`` the absent Observation keys that a record
    system's own keys answer.
    """

    found: tuple[Found, ...]
    supply: Mapping[str, Supply]
    unread: tuple[Unread, ...]
    shortfalls: Mapping[str, tuple[Shortfall, ...]]
    covered: frozenset[str]


class _Value(NamedTuple):
    """One prefetch value as read; ``why`` tells of its state where that is not whole."""

    state: Supply
    found: tuple[Found, ...] = ()
    unread: tuple[Unread, ...] = ()
    why: str = ""
    failed: bool = False


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


def read_prefetch(prefetch: Mapping[str, Any], terminology: Terminology) -> Supplied:
    """Read every value whatever its key; the keys only tell which kinds were asked for and came back empty."""
    values = {key: _read_value(key, value) for key, value in prefetch.items()}
    states: dict[str, list[Supply]] = {kind: [] for kind in REQUIRED_KINDS}
    shortfalls: dict[str, list[Shortfall]] = {}
    for key, value in values.items():
        for kind in _kinds_of(key, prefetch[key], value.found):
            states.setdefault(kind, []).append(value.state)
            if value.state in _SHORT:
                shortfalls.setdefault(kind, []).append(Shortfall(key, value.state, value.why, value.failed))
    absent = OBSERVATION_KEYS.keys() - prefetch.keys()
    covered = _covered(values, terminology) if absent else frozenset()
    if len(absent) < len(OBSERVATION_KEYS):
        states["Observation"] += [Supply.ABSENT for _ in absent - covered]
    return Supplied(
        tuple(chain.from_iterable([value.found for value in values.values()])),
        {kind: _together(seen) for kind, seen in states.items()},
        tuple(chain.from_iterable([value.unread for value in values.values()])),
        {kind: tuple(listed) for kind, listed in shortfalls.items()},
        covered,
    )


def lacking_keys(prefetch: Mapping[str, Any], supplied: Supplied) -> list[str]:
    """The declared keys whose data are to be fetched: those that failed, and absent ones that no other key answers."""
    failed = {one.key for listed in supplied.shortfalls.values() for one in listed if one.state is Supply.FAILED}
    return [key for key in KIND_OF_KEY if key in failed or (_is_absent(key, prefetch) and not _answered(key, supplied))]


def superseded_keys(prefetch: Mapping[str, Any], supplied: Supplied) -> set[str]:
    """A record system's own keys that failed although the declared keys brought all data of their kind."""
    short = {
        kind: {one.key for one in listed if one.state is Supply.FAILED} - KIND_OF_KEY.keys()
        for kind, listed in supplied.shortfalls.items()
    }
    declared = {kind: [key for key, of in KIND_OF_KEY.items() if of == kind] for kind in short}
    had = {kind for kind, keys in declared.items() if keys and all(_is_had(key, prefetch, supplied) for key in keys)}
    return {key for kind, keys in short.items() if kind in had for key in keys}


def _is_had(key: str, prefetch: Mapping[str, Any], supplied: Supplied) -> bool:
    short = {one.key for listed in supplied.shortfalls.values() for one in listed}
    return key in supplied.covered or (not _is_absent(key, prefetch) and key not in short)


def _is_absent(key: str, prefetch: Mapping[str, Any]) -> bool:
    return key not in prefetch or (key == "patient" and prefetch[key] is None)


def _answered(key: str, supplied: Supplied) -> bool:
    """Whether a record system's own keys answer what a declared key asks for."""
    kind = KIND_OF_KEY[key]
    if kind == "Observation":
        return key in supplied.covered
    return supplied.supply[kind] not in {Supply.ABSENT, Supply.FAILED}


def _covered(values: Mapping[str, _Value], terminology: Terminology) -> frozenset[str]:
    """The Observation keys whose codes stand in what a record system's own keys brought."""
    found = (item.resource for key, value in values.items() if key not in KIND_OF_KEY for item in value.found)
    elements = (
        element
        for resource in found
        if resource.get("resourceType") == "Observation"
        for element in (resource, *items(resource.get("component")))
    )
    kinds = (terminology.observation(codings(element.get("code"), terminology)) for element in elements)
    return frozenset(_KEY_OF_TOKEN[kind.token] for kind in kinds if kind is not None and kind.token in _KEY_OF_TOKEN)


def _read_value(key: str, value: object) -> _Value:
    if value is None:
        return _Value(Supply.ABSENT if key == "patient" else Supply.EMPTY)
    if not isinstance(value, dict):
        return _Value(Supply.FAILED, unread=(Unread(f"prefetch.{key}", "is not a FHIR resource"),), failed=True)
    if value.get("resourceType") == "OperationOutcome":
        return _Value(Supply.FAILED, why=words_of(value), failed=True)
    if value.get("resourceType") != "Bundle":
        return _Value(Supply.WHOLE, (Found(value),))
    return _read_bundle(value, f"prefetch.{key}")


def _read_bundle(bundle: Mapping[str, Any], path: str) -> _Value:
    taken: list[Found] = []
    unread: list[Unread] = []
    has_more = _take(bundle, path, 0, taken, unread)
    found = [item for item in taken if item.resource.get("resourceType") != "OperationOutcome"]
    failures, withheld = [], False
    if len(found) < len(taken):
        outcomes = [item.resource for item in taken if item.resource.get("resourceType") == "OperationOutcome"]
        failures = [words_of(outcome) for outcome in outcomes if is_error(outcome) or withholds(outcome)]
        withheld = any(withholds(outcome) and not is_error(outcome) for outcome in outcomes)
    if withheld:
        state = Supply.PARTIAL
    elif failures:
        state = Supply.PARTIAL if found else Supply.FAILED
    elif unread or has_more:
        state = Supply.PARTIAL
    else:
        state = Supply.WHOLE if found else Supply.EMPTY
    came = _came(bundle) if state is Supply.PARTIAL else ""
    why = ", ".join(dict.fromkeys(filter(None, (*failures, came))))
    return _Value(state, tuple(found), tuple(unread), why, failed=bool(failures))


def _take(bundle: Mapping[str, Any], path: str, depth: int, taken: list[Found], unread: list[Unread]) -> bool:
    """Take the entries of a Bundle and of Bundles within it (a batch answer).

    Tells whether the search, or one within a batch answer, found more than its Bundle holds.
    """
    has_more = _names_next(bundle) or bool(_came(bundle))
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        unread.append(Unread(f"{path}.entry", "is not a list"))
        return has_more
    for index, entry in enumerate(entries):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, dict):
            unread.append(Unread(f"{path}.entry[{index}]", "holds no resource"))
        elif resource.get("resourceType") == "Bundle" and depth < _MAX_NESTING:
            has_more |= _take(resource, f"{path}.entry[{index}]", depth + 1, taken, unread)
        else:
            url = entry.get("fullUrl")
            taken.append(Found(resource, url if isinstance(url, str) else ""))
    return has_more


def _names_next(bundle: Mapping[str, Any]) -> bool:
    """Whether there is a next page."""
    links = bundle.get("link")
    return isinstance(links, list) and any(isinstance(link, dict) and link.get("relation") == "next" for link in links)


def _came(bundle: Mapping[str, Any]) -> str:
    """How many of the matches that a search counted its Bundle holds; empty where it holds all of them, or does not tell."""
    total, entries = bundle.get("total"), bundle.get("entry")
    if not isinstance(total, int):
        return ""
    came = sum(map(_is_match, entries)) if isinstance(entries, list) else 0
    return f"{came} of {total} came" if total > came else ""


def _is_match(entry: object) -> bool:
    """Whether the search's total counts this entry: not what was included beside it, nor a word about the search."""
    if not isinstance(entry, dict):
        return False
    search, resource = entry.get("search"), entry.get("resource")
    if isinstance(search, dict) and search.get("mode") in ("include", "outcome"):
        return False
    return not isinstance(resource, dict) or resource.get("resourceType") != "OperationOutcome"


def _kinds_of(key: str, value: object, found: Iterable[Found]) -> list[str]:
    """What a key was to bring: by what it brought, by our own keys, by the search that answered it, by its name."""
    kinds = {str(item.resource.get("resourceType")) for item in found}
    if kinds:
        return sorted(kinds)
    if key in KIND_OF_KEY:
        return [KIND_OF_KEY[key]]
    if key.startswith(REFERENCED):
        return ["Medication"]
    searched = _SEARCHED_KIND.search(_self_link(value))
    if searched is not None:
        return [searched[1]]
    return [kind for word, kind in _KIND_WORDS.items() if word in key.casefold()][:1]


def _self_link(value: object) -> str:
    """The search a Bundle answers."""
    links = value.get("link") if isinstance(value, dict) else None
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict) and link.get("relation") == "self":
            return str(link.get("url"))
    return ""


def _together(states: list[Supply]) -> Supply:
    """One state of a kind that came in several parts: what failed in one part is not known."""
    if not states:
        return Supply.ABSENT
    if all(state.proves_absence for state in states):
        return Supply.WHOLE if Supply.WHOLE in states else Supply.EMPTY
    return states[0] if len(set(states)) == 1 else Supply.PARTIAL
