"""Whatever stands in a payload: an answer, no crash of a rule, and nothing lost in silence."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hooks import answer
from hooks.problems import Problem
from hooks.wire import decode, encode
from tests.support.fhir import EXPLANATION, NOW, request

Json = dict[str, Any]
Path = tuple[str | int, ...]

_DRAFTED: Json = {
    "dose_mg": "10",
    "schedule_days": "28",
    "days_supply": 28,
    "refills": 0,
    "quantity": "28",
    "start": "2024-05-15",
}
_REQUEST = request(
    history=[
        {"dose_mg": "10", "schedule_days": "28", "start": "2024-03-20", "orders": 1},
        {"dose_mg": "10", "schedule_days": "21", "start": "2024-04-17", "status": "stopped", "hold_date": "2024-05-08"},
    ],
    labs={
        "anc": [{"value": "0.4", "unit": "10*9/L", "days_ago": 8}, {"value": "2.4", "unit": "10*9/L"}],
        "platelets": [{"value": "180", "unit": "10*9/L", "component_of": "cbc-panel"}],
        "wbc": [{"value": "4.1", "unit": "10*9/L", "component_of": "cbc-panel"}],
        "neutrophils-percent": [{"value": "60", "unit": "%"}],
        "creatinine": [{"value": "1.6", "unit": "mg/dL", "at": "2024-05-14T10:00:00+00:00"}],
        "body-weight": [{"value": "80", "unit": "kg"}],
        "body-height": [{"value": "178", "unit": "cm"}],
        "alt": [{"value": "60", "unit": "U/L", "uln": "40"}],
    },
    allergies=[{"code": "thalidomide", "criticality": "low", "manifestations": ["rash"]}],
    adverse_events=[{"code": "rash", "grade": 2, "onset": "2024-04-20", "attributed": True}],
    drafts=[_DRAFTED],
)

_GARBAGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**40), 10**40),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.sampled_from([Decimal("NaN"), Decimal("Infinity"), Decimal("1e9999999"), Decimal("0E+9999999"), float("nan")]),
    st.sampled_from(
        ["", " ", "-1", "0", "1e99", "9999-12-31", "0001-01-01", "2024-02-30", "#", "Patient/", "urn:uuid:"]
    ),
    st.sampled_from(["/_history/", "http://[", "\ud800", "<script>", "mg", "2024-05-15T25:00:00Z", "%", "10*9/L"]),
    st.text(max_size=20),
)
_JSON = st.recursive(
    _GARBAGE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["coding", "code", "value", "reference", "system", "extension", "text", "unit", "x"]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)


def _paths(value: object, path: Path = ()) -> Iterator[Path]:
    """Every place within a resource, the resource's own type excepted."""
    if path and path != ("resourceType",):
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _paths(item, (*path, index))


def _resources(hook_request: Json) -> list[tuple[Path, Json]]:
    """All resources of a request and where they stand."""
    found: list[tuple[Path, Json]] = [(("prefetch", "patient"), hook_request["prefetch"]["patient"])]
    for key, bundle in hook_request["prefetch"].items():
        for index, entry in enumerate(bundle.get("entry", [])):
            found.append((("prefetch", key, "entry", index, "resource"), entry["resource"]))
    for index, entry in enumerate(hook_request["context"]["draftOrders"]["entry"]):
        found.append((("context", "draftOrders", "entry", index, "resource"), entry["resource"]))
    return found


def _at(hook_request: Json, path: Path) -> Any:
    place: Any = hook_request
    for step in path:
        place = place[step]
    return place


def _id(place: Path) -> str:
    return ".".join(str(step) for step in place[1:] if step not in {"entry", "resource"})


def _replaced(path: Path, value: object) -> Json:
    changed = copy.deepcopy(_REQUEST)
    _at(changed, path[:-1])[path[-1]] = value
    return changed


_PLACES = [(*where, *path) for where, resource in _resources(_REQUEST) for path in _paths(resource)]
_RECORDED = [place for place in _PLACES if place[0] == "prefetch"]
_DRAFT = [place for place in _PLACES if place[0] == "context"]


def _explanation(response: Json) -> Json:
    explanation: Json = response["extension"][EXPLANATION]
    return explanation


def _assert_no_rule_crashed(response: Json) -> None:
    for draft in _explanation(response)["drafts"]:
        assert [finding for finding in draft["findings"] if finding["outcome"] == "failed"] == []


_NASTY: list[Any] = [
    None,
    True,
    0,
    -1,
    10**30,
    Decimal("1e29"),
    Decimal("NaN"),
    Decimal("1e9999999"),
    Decimal("0E+9999999"),
    "",
    "0",
    "9999-12-31",
    "0001-01-01T00:00:00+14:00",
    "\ud800",
    "http://[",
    [],
    {},
    [None],
    [[]],
    ["x"],
    [{}],
    {"x": [1]},
    {"coding": {"code": ["x"]}},
    {"reference": {"reference": "x"}},
]
# Elements that the resources of the request do not have, and that a reader may look at.
_ABSENT = [
    "abatementDateTime",
    "asNeededBoolean",
    "asNeededCodeableConcept",
    "authorizingPrescription",
    "boundsDuration",
    "boundsRange",
    "comparator",
    "contained",
    "count",
    "dataAbsentReason",
    "dayOfWeek",
    "deceasedBoolean",
    "doNotPerform",
    "doseRange",
    "duration",
    "durationUnit",
    "effectiveDosePeriod",
    "effectivePeriod",
    "effectiveTiming",
    "extension",
    "frequencyMax",
    "fullUrl",
    "hasMember",
    "identifier",
    "issued",
    "medication",
    "medicationReference",
    "meta",
    "modifierExtension",
    "note",
    "occurrenceDateTime",
    "offset",
    "performedPeriod",
    "periodMax",
    "priorPrescription",
    "reasonCode",
    "route",
    "specimen",
    "statusChanged",
    "substance",
    "timeOfDay",
    "type",
    "valueBoolean",
    "valueCodeableConcept",
    "valueInteger",
    "valueString",
    "verificationStatus",
    "when",
]
_OBJECTS = [
    place
    for where, resource in _resources(_REQUEST)
    for place in (where, *((*where, *path) for path in _paths(resource)))
    if isinstance(_at(_REQUEST, place), dict)
]


def _nasty_for(place: Path) -> list[Any]:
    """A third of the garbage, another third for the next place: all of it in all places is what `fuzz_requests.py` is for."""
    return _NASTY[_PLACES.index(place) % 3 :: 3]


@pytest.mark.parametrize("place", _RECORDED, ids=_id)
def test_nasty_garbage_in_every_place_of_the_record_is_answered(place: Path) -> None:
    for garbage in _nasty_for(place):
        response = answer(_replaced(place, garbage), now=NOW, explain=True)
        _assert_no_rule_crashed(response)
        assert encode(response).encode("utf-8")


@pytest.mark.parametrize("place", _DRAFT, ids=_id)
def test_nasty_garbage_in_every_place_of_the_draft_is_answered_or_refused(place: Path) -> None:
    for garbage in _nasty_for(place):
        try:
            response = answer(_replaced(place, garbage), now=NOW, explain=True)
        except Problem:
            continue
        _assert_no_rule_crashed(response)
        assert encode(response).encode("utf-8")


@settings(max_examples=300, deadline=None)
@given(
    place=st.sampled_from(_OBJECTS), element=st.sampled_from(_ABSENT), garbage=st.one_of(st.sampled_from(_NASTY), _JSON)
)
@example(
    place=("prefetch", "observations", "entry", 0, "resource", "valueQuantity"), element="comparator", garbage=["<"]
)
@example(place=("prefetch", "observations", "entry", 0, "resource"), element="valueBoolean", garbage=True)
@example(place=(*_DRAFT[0][:5], "dosageInstruction", 0, "timing", "repeat"), element="dayOfWeek", garbage=[["mon"]])
def test_garbage_in_an_added_element_is_answered_or_refused(place: Path, element: str, garbage: object) -> None:
    try:
        response = answer(_replaced((*place, element), garbage), now=NOW, explain=True)
    except Problem:
        assert place[0] == "context"
        return

    _assert_no_rule_crashed(response)
    assert encode(response).encode("utf-8")


@settings(max_examples=200, deadline=None)
@given(place=st.sampled_from(_RECORDED), garbage=_JSON)
@example(place=("prefetch", "patient", "birthDate"), garbage="9999-12-31")
def test_garbage_anywhere_in_the_record_is_answered(place: Path, garbage: object) -> None:
    response = answer(_replaced(place, garbage), now=NOW, explain=True)

    _assert_no_rule_crashed(response)
    assert encode(response)


@settings(max_examples=200, deadline=None)
@given(place=st.sampled_from(_DRAFT), garbage=_JSON)
def test_garbage_anywhere_in_the_draft_is_answered_or_refused_by_name(place: Path, garbage: object) -> None:
    try:
        response = answer(_replaced(place, garbage), now=NOW, explain=True)
    except Problem:
        return

    _assert_no_rule_crashed(response)
    assert encode(response)


@settings(max_examples=100, deadline=None)
@given(places=st.lists(st.sampled_from(_RECORDED), min_size=2, max_size=6), garbage=_JSON)
def test_garbage_in_several_places_is_answered(places: list[Path], garbage: object) -> None:
    changed = copy.deepcopy(_REQUEST)
    for path in places:
        try:
            _at(changed, path[:-1])[path[-1]] = copy.deepcopy(garbage)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier piece of garbage stands in the way

    _assert_no_rule_crashed(answer(changed, now=NOW, explain=True))


def _reference(place: Path) -> str:
    resource = _at(_REQUEST, place[:5])
    return f"{resource['resourceType']}/{resource['id']}"


_UNTOUCHED = answer(_REQUEST, now=NOW, explain=True)
_UNREADABLE = {"unexpected": ["object"]}
# A resource's own id is what names it.
_WATCHED = [place for place in _RECORDED if place[1] != "patient" and place[-1] not in {"id", "resourceType"}]


def _mentions(response: Json, reference: str) -> int:
    return encode(response).count(reference)


@pytest.mark.parametrize("place", _WATCHED, ids=_id)
def test_an_element_that_became_unreadable_changes_nothing_or_its_resource_is_named(place: Path) -> None:
    response = answer(_replaced(place, _UNREADABLE), now=NOW, explain=True)

    if _explanation(response)["drafts"] != _explanation(_UNTOUCHED)["drafts"]:
        listed = {item["reference"] for item in _explanation(response)["unread"]}
        named_in_advice = _mentions(response, _reference(place)) > _mentions(_UNTOUCHED, _reference(place))
        assert _reference(place) in listed or named_in_advice


def _comparable(hook_request: Json) -> tuple[object, object, object]:
    response = answer(hook_request, now=NOW, explain=True)
    explanation = _explanation(response)
    unread = sorted((item["reference"], item["why"]) for item in explanation["unread"])
    return response["cards"], explanation["drafts"], unread


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_neither_the_order_of_entries_nor_the_prefetch_key_matters(data: st.DataObject) -> None:
    keys = [key for key, value in _REQUEST["prefetch"].items() if value.get("entry")]
    entries = [entry for key in keys for entry in _REQUEST["prefetch"][key]["entry"]]
    shuffled = data.draw(st.permutations(entries))
    cuts = sorted(data.draw(st.lists(st.integers(1, len(entries) - 1), max_size=4, unique=True)))
    parts = [shuffled[start:end] for start, end in zip([0, *cuts], [*cuts, len(entries)], strict=True)]
    patient = {"patient": _REQUEST["prefetch"]["patient"]}
    bundles = {f"k{index}": {"resourceType": "Bundle", "entry": part} for index, part in enumerate(parts)}

    moved = {**_REQUEST, "prefetch": {**bundles, **patient} if data.draw(st.booleans()) else {**patient, **bundles}}

    assert _comparable(moved) == _comparable(_REQUEST)


def test_a_resource_alone_under_a_key_of_its_own_is_read_like_one_in_a_bundle() -> None:
    keys = [key for key, value in _REQUEST["prefetch"].items() if value.get("entry")]
    entries = [entry for key in keys for entry in _REQUEST["prefetch"][key]["entry"]]
    alone = {f"k{index}": entry["resource"] for index, entry in enumerate(entries)}

    moved = {**_REQUEST, "prefetch": {"patient": _REQUEST["prefetch"]["patient"], **alone}}

    assert _comparable(moved) == _comparable(_REQUEST)


@settings(max_examples=60, deadline=None)
@given(
    anc=st.decimals(0, 10, places=3),
    creatinine=st.decimals("0.2", 20, places=2),
    weight=st.decimals(25, 300, places=1),
    dose=st.sampled_from(["2.5", "5", "7.5", "10", "15"]),
)
@example(anc=Decimal("0.500"), creatinine=Decimal("0.7"), weight=Decimal("80.1"), dose="2.5")
def test_floats_and_decimals_are_answered_alike(anc: Decimal, creatinine: Decimal, weight: Decimal, dose: str) -> None:
    text = encode(
        request(
            labs={
                "anc": [{"value": anc, "unit": "10*9/L"}],
                "platelets": [{"value": "180.5", "unit": "10*9/L"}],
                "creatinine": [{"value": creatinine, "unit": "mg/dL"}],
                "body-weight": [{"value": weight, "unit": "kg"}],
            },
            drafts=[{**_DRAFTED, "dose_mg": dose}],
        )
    )

    with_floats = answer(json.loads(text), now=NOW, explain=True)
    with_decimals = answer(decode(text), now=NOW, explain=True)

    assert encode(with_floats) == encode(with_decimals)
