"""The bundled requests: valid FHIR, answered as their stories tell, and robust against whatever is damaged in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given, settings
from hypothesis import strategies as st

from hooks import wire
from tests.support.fixtures import (
    ODD,
    REQUESTS,
    Json,
    action,
    ask,
    explanation,
    fired,
    load,
    post_text,
    service_of,
    unread,
)

# What is recommended for each draft, and what the cards say; no summary is no card.
EXPECTED: dict[str, tuple[list[str], list[str]]] = {
    "order-select-renal-decline": (
        ["modify 5/28"],
        ["Reduce to 5 mg once daily, days 1–28: CrCl 52.0 mL/min (3 Sep)"],
    ),
    "order-select-start-at-15": (
        ["modify 10/28"],
        ["Start at 10 mg once daily, days 1–28, not 15 mg once daily, days 1–28"],
    ),
    "order-sign-after-neutropenia": (
        ["modify 5/28"],
        ["Resume one level lower: 5 mg once daily, days 1–28 after ANC 0.4 ×10⁹/L (12 Nov)"],
    ),
    "order-sign-clean-renewal": (["proceed 10/28"], []),
    "order-sign-dialysis-start": (
        ["modify 2.5/28"],
        ["Reduce to 2.5 mg once daily, days 1–28: dialysis"],
    ),
    "order-sign-escalation-eligible": (
        ["proceed 10/28"],
        ["Dose may be increased to 15 mg once daily, days 1–28 if tolerated"],
    ),
    "order-sign-first-neutropenia": (
        ["hold"],
        ["Hold lenalidomide: ANC 0.4 ×10⁹/L (20 Nov), below 0.5"],
    ),
    "order-sign-high-liver-enzymes": (["hold"], ["Hold lenalidomide: ALT 168 U/L (28 Jan), upper limit 40"]),
    "order-sign-laboratory-outage": (
        ["defer"],
        [
            "Blood count needed before lenalidomide: ANC and platelets not available (laboratory data supplied only in part)"
        ],
    ),
    "order-sign-low-platelets": (
        ["hold"],
        [
            "Hold lenalidomide: platelets 24 ×10⁹/L (3 Dec), below 30",
            "Weigh aspirin against bleeding: platelets 24 ×10⁹/L (3 Dec)",
        ],
    ),
    "order-sign-missing-cbc": (
        ["defer"],
        ["Blood count needed before lenalidomide: no ANC and no platelets"],
    ),
    "order-sign-neutropenia-at-lowest-dose": (
        ["hold"],
        ["Hold lenalidomide: ANC 0.4 ×10⁹/L (7 Jan), below 0.5"],
    ),
    "order-sign-neutropenia-in-weekly-counts": (
        ["hold"],
        ["Hold lenalidomide: ANC 0.4 ×10⁹/L (5 Nov), below 0.5"],
    ),
    "order-sign-no-prophylaxis": (["proceed 10/28"], ["No thrombosis prophylaxis on record"]),
    "order-sign-overlapping-drafts": (
        ["modify 10/28", "modify 10/28"],
        ["Start at 10 mg once daily, days 1–28, not 15 mg once daily, days 1–28"],
    ),
    "order-sign-pregnancy-recorded": (["discontinue"], ["Stop lenalidomide: pregnancy recorded (1 Aug)"]),
    "order-sign-progression": (["discontinue"], ["Stop lenalidomide maintenance: the myeloma progresses (20 Sep)"]),
    "order-sign-renal-decline-again": (
        ["modify 2.5/28"],
        ["Reduce to 2.5 mg once daily, days 1–28: CrCl 27.3 mL/min (1 Oct)"],
    ),
    "order-sign-second-cancer": (["proceed 10/28"], ["New cancer during treatment: second cancer (27 Nov)"]),
    "order-sign-second-neutropenia": (["hold"], ["Hold lenalidomide: ANC 0.4 ×10⁹/L (25 Feb), below 0.5"]),
    "order-sign-several-interactions": (
        ["hold"],
        ["Pembrolizumab with lenalidomide and dexamethasone: increased mortality in trials"],
    ),
    "order-sign-synthea-record": (
        ["defer"],
        [
            "Kidney function not known: creatinine is 323 days old",
            "No thrombosis prophylaxis on record",
            (
                "Liver tests without an upper limit cannot be graded: ALT 34.681 U/L (27 Feb 2020), AST 16.877 U/L (27 Feb 2020) "
                "and bilirubin 0.159 mg/dL…"
            ),
        ],
    ),
    "order-sign-treated-embolism": (["proceed 10/28"], []),
    "order-sign-trial-escalation": (
        ["proceed 10/28"],
        ["May be increased one level, to 15 mg once daily, days 1–28"],
    ),
    "order-sign-trial-patient": (
        ["modify 5/28"],
        ["Start at 5 mg once daily, days 1–28, not 10 mg once daily, days 1–28"],
    ),
    "order-sign-trial-year-over": (
        ["discontinue"],
        ["Stop by protocol: 1 year after transplant reached on 11 Sep"],
    ),
    "order-sign-two-years-in-order": (["proceed 15/28"], []),
    "order-sign-untreated-thrombosis": (
        ["hold"],
        ["Hold lenalidomide: venous thromboembolism (4 Mar), no anticoagulant at a treating dose"],
    ),
    "order-sign-woman-continuing": (["proceed 10/28"], []),
    "order-sign-woman-second-test-missing": (
        ["defer"],
        ["Do not start yet: pregnancy test within 24 hours missing; the first one, 23 Aug, is negative"],
    ),
    "order-sign-woman-test-lapsed": (
        ["defer"],
        ["Do not renew yet: pregnancy test needed, last negative 27 Aug, 8 days ago (at most 7 days)"],
    ),
    "order-sign-young-woman-in-order": (["proceed 10/28"], []),
    "patient-view-stale-creatinine": ([], ["Creatinine due: creatinine is 140 days old"]),
}
# Prefetch keys that came as an error.
NOT_SENT = {"order-sign-laboratory-outage": ["prefetch.counts"]}
VALID = sorted(REQUESTS.glob("*.json"))
STOPPED = [
    REQUESTS / "order-sign-first-neutropenia.json",
    REQUESTS / "order-sign-missing-cbc.json",
    REQUESTS / "order-sign-neutropenia-in-weekly-counts.json",
    REQUESTS / "order-sign-pregnancy-recorded.json",
    REQUESTS / "order-sign-trial-year-over.json",
    REQUESTS / "order-sign-untreated-thrombosis.json",
    ODD / "epic-absolute-references.json",
    ODD / "panel-with-components.json",
    ODD / "urn-uuid-references.json",
]


def answer_to(file: Path) -> Json:
    return ask(file.read_bytes(), service_of(load(file)["hook"]))


def resources(value: Any, place: str = "") -> Iterator[tuple[str, Json]]:
    """Every resource of a request that is no Bundle, with its place."""
    if isinstance(value, dict):
        if "resourceType" in value and value["resourceType"] != "Bundle":
            yield place, value
            return
        for key, item in value.items():
            yield from resources(item, f"{place}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from resources(item, f"{place}[{index}]")


# --- The stories ---


def test_every_valid_request_has_its_expected_answer() -> None:
    assert sorted(EXPECTED) == [file.stem for file in VALID]


@pytest.mark.parametrize("file", VALID, ids=lambda file: file.stem)
def test_a_valid_request_is_answered_as_its_story_tells(file: Path) -> None:
    answer = answer_to(file)
    drafts = explanation(answer)["drafts"]
    actions = [action(answer, index) for index, draft in enumerate(drafts) if draft["recommendation"]]
    assert (actions, [card["summary"] for card in answer["cards"]]) == EXPECTED[file.stem]


@pytest.mark.parametrize("file", VALID, ids=lambda file: file.stem)
def test_a_valid_request_holds_nothing_that_cannot_be_read(file: Path) -> None:
    assert list(unread(answer_to(file))) == NOT_SENT.get(file.stem, [])


@pytest.mark.parametrize("file", VALID, ids=lambda file: file.stem)
def test_a_bundled_request_carries_its_own_now(file: Path) -> None:
    now = load(file)["extension"]["org.lenalidomide-maintenance.now"]
    assert explanation(answer_to(file))["now"] == now


def test_a_patient_in_the_trial_is_judged_by_its_protocol() -> None:
    answer = answer_to(REQUESTS / "order-sign-trial-patient.json")
    assert explanation(answer)["protocol"]["id"] == "revallo"


def test_in_dialysis_the_time_of_the_dose_is_told() -> None:
    assert "renal.dialysis-timing" in fired(answer_to(REQUESTS / "order-sign-dialysis-start.json"))


def test_of_two_overlapping_drafts_one_is_corrected_and_one_removed() -> None:
    (card,) = answer_to(REQUESTS / "order-sign-overlapping-drafts.json")["cards"]
    (suggestion,) = card["suggestions"]
    assert [(one["type"], one.get("resourceId")) for one in suggestion["actions"]] == [
        ("update", None),
        ("delete", "MedicationRequest/draft-b"),
    ]


# --- Validity ---


@pytest.mark.parametrize("file", VALID, ids=lambda file: file.stem)
def test_every_resource_of_a_valid_request_is_valid_fhir(file: Path) -> None:
    found = list(resources(load(file)))
    assert found
    for _, resource in found:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)


@pytest.mark.parametrize("file", VALID, ids=lambda file: file.stem)
def test_every_bundle_of_a_valid_request_is_valid_fhir(file: Path) -> None:
    request = load(file)
    bundles = [value for value in request["prefetch"].values() if value["resourceType"] == "Bundle"]
    bundles += [request["context"]["draftOrders"]] if "draftOrders" in request["context"] else []
    for bundle in bundles:
        get_fhir_model_class("Bundle").model_validate(bundle)


@pytest.mark.parametrize("file", VALID, ids=lambda file: file.stem)
def test_ids_are_unique_within_a_request(file: Path) -> None:
    names = [f"{resource['resourceType']}/{resource['id']}" for _, resource in resources(load(file))]
    assert len(names) == len(set(names))


# --- Damage ---

Steps = tuple[str | int, ...]
_DELETED = "deleted"
_JUNK: st.SearchStrategy[object] = st.sampled_from(
    [
        _DELETED,
        None,
        True,
        0,
        -1,
        10**40,
        0.5,
        float("nan"),
        float("inf"),
        "",
        " ",
        "x",
        "2024-13-45",
        "9999-12-31",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01",
        "0001-01-01T00:00:00+14:00",
        "\ud800",
        1e29,
        "2024-05",
        "Patient/",
        "#",
        [],
        [None],
        ["x"],
        [[]],
        {},
        {"x": None},
        {"reference": "#x"},
        {"coding": "x"},
        {"value": "x"},
    ]
)


def members(value: Any, path: Steps = ()) -> Iterator[Steps]:
    """The paths of all members below the root."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from members(item, (*path, key))


def has(holder: Any, step: str | int) -> bool:
    if isinstance(holder, list):
        return isinstance(step, int) and step < len(holder)
    return isinstance(holder, dict) and step in holder


def damage(request: Json, path: Steps, junk: object) -> None:
    """Replace or delete one member; one that an earlier damage removed stays away."""
    holder: Any = request
    *way, last = path
    for step in way:
        if not has(holder, step):
            return
        holder = holder[step]
    if not has(holder, last):
        return
    if junk is _DELETED:
        del holder[last]
    else:
        holder[last] = deepcopy(junk)


def requests_of(files: list[Path]) -> dict[str, Json]:
    return {file.stem: load(file) for file in files}


_WHOLE = requests_of(VALID)
_MEMBERS = {name: list(members(request)) for name, request in _WHOLE.items()}
_HELD = requests_of(STOPPED)


def lab_values(request: Json) -> list[Steps]:
    """The paths of all values, units and whole quantities of the Observations."""
    return [
        path
        for path in members(request["prefetch"])
        if "valueQuantity" in path and path[-1] in {"valueQuantity", "value", "unit", "code", "system"}
    ]


_LAB_VALUES = {name: lab_values(request) for name, request in _HELD.items()}
_UNREADABLE: st.SearchStrategy[object] = st.sampled_from(
    [_DELETED, None, True, -1, float("nan"), 10**40, "", "x", "furlong", [], {}, {"value": 2.4}, "1e9999999"]
)


@given(data=st.data())
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_no_damage_to_a_request_is_a_fault_of_the_service(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(_WHOLE)))
    request = deepcopy(_WHOLE[name])
    paths = data.draw(st.lists(st.sampled_from(_MEMBERS[name]), min_size=1, max_size=4))
    for path in paths:
        damage(request, path, data.draw(_JUNK))
    status, text = post_text(json.dumps(request), service_of(_WHOLE[name]["hook"]))
    assert status in {200, 400, 412, 422}, f"{status} for {paths}: {text}"
    answer = wire.decode(text)
    assert isinstance(answer["cards"], list) if status == 200 else answer["resourceType"] == "OperationOutcome"


@given(data=st.data())
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_no_damage_to_a_request_breaks_a_rule(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(_WHOLE)))
    request = deepcopy(_WHOLE[name])
    inside = [path for path in _MEMBERS[name] if len(path) > 3]
    paths = data.draw(st.lists(st.sampled_from(inside), min_size=1, max_size=3))
    for path in paths:
        damage(request, path, data.draw(_JUNK))
    status, text = post_text(json.dumps(request), service_of(_WHOLE[name]["hook"]))
    if status == 200:
        findings = [finding for draft in explanation(json.loads(text))["drafts"] for finding in draft["findings"]]
        assert [finding["id"] for finding in findings if finding["outcome"] == "failed"] == [], paths


@given(data=st.data())
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_unreadable_laboratory_values_never_silence_a_stop(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(_HELD)))
    request = deepcopy(_HELD[name])
    paths = data.draw(st.lists(st.sampled_from(_LAB_VALUES[name]), min_size=1, max_size=6))
    for path in paths:
        damage(request["prefetch"], path, data.draw(_UNREADABLE))
    answer = ask(json.dumps(request), service_of(request["hook"]))
    assert answer["cards"], paths
