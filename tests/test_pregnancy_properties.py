"""What must hold for any patient: lost data never open the way, a positive test never lowers the alarm, no man is tested."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.support.case import Case, Patient, Reading
from tests.support.case_files import load_cases
from tests.support.fixtures import explanation
from tests.support.request_builder import build_request
from tests.support.women import Json, asks_for_a_test, judged

ACTIONS = ["proceed", "modify", "defer", "hold", "discontinue"]
INDICATORS = ["info", "warning", "critical"]
OF_WOMEN_ONLY = {f"teratogenicity.{rule}" for rule in ("test-initial", "test-ongoing", "contraception", "frp")}
FAILED = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}
# Without these a resource is no longer the one it was, or says the opposite: a man who was recorded as female at birth.
NOT_REMOVED = {"resourceType", "code", "extension"}
# An active pregnancy of years ago: without its status it is an old entry that a negative test has settled. One that is active
# and has an end: without its status it has ended.
SETTLED_WITHOUT_STATUS = {"pregnant-long-active", "pregnant-active-and-ended"}

CASES = [
    (protocol, case)
    for protocol, case in load_cases()
    if case.rule.startswith("teratogenicity") and case.hook != "patient-view" and case.id not in SETTLED_WITHOUT_STATUS
]
any_case = st.sampled_from(CASES)
thorough = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])


def answer_to(request: Json, protocol: str, case: Case) -> Json:
    return judged(request, protocol, now=case.now)


def action(answered: Json) -> int:
    return ACTIONS.index(explanation(answered)["drafts"][0]["recommendation"]["action"])


def reasons(answered: Json) -> list[str]:
    found: list[str] = explanation(answered)["drafts"][0]["recommendation"]["reasons"]
    return found


def alarm(answered: Json) -> int:
    """The gravest indicator of the area."""
    found = explanation(answered)["drafts"][0]["findings"]
    grave = [INDICATORS.index(one["indicator"]) for one in found if one["id"].startswith("teratogenicity")]
    return max(grave, default=-1)


def elements(node: object) -> Iterator[tuple[Json, str]]:
    """Every element within a resource, with the object that holds it."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key not in NOT_REMOVED:
                yield node, key
                yield from elements(value)
    elif isinstance(node, list):
        for item in node:
            yield from elements(item)


@thorough
@given(any_case, st.data())
def test_losing_data_never_turns_a_block_into_silence(named: tuple[str, Case], data: st.DataObject) -> None:
    protocol, case = named
    request = build_request(case)
    before = answer_to(request, protocol, case)
    assume(explanation(before)["drafts"][0]["facts"]["reproductive_class"] != "male")
    assume(
        action(before) >= ACTIONS.index("defer") and any(one.startswith("teratogenicity") for one in reasons(before))
    )

    damaged = copy.deepcopy(request)
    key = data.draw(st.sampled_from(sorted(damaged["prefetch"])))
    match data.draw(st.sampled_from(["not asked for", "failed", "one element"])):
        case "not asked for":
            del damaged["prefetch"][key]
        case "failed":
            damaged["prefetch"][key] = FAILED
        case _:
            bundle = damaged["prefetch"][key]
            resources = [entry["resource"] for entry in bundle["entry"]] if "entry" in bundle else [bundle]
            assume(resources)
            holder, element = data.draw(st.sampled_from(list(elements(data.draw(st.sampled_from(resources))))))
            del holder[element]

    assert answer_to(damaged, protocol, case)["cards"] != []


@thorough
@given(
    any_case,
    st.integers(0, 40),
    st.sampled_from(["final", "amended", "preliminary"]),
    st.sampled_from(
        [
            {"result": "positive"},
            {"value": "25", "unit": "mIU/mL"},
            {"value": "1000", "unit": "IU/L", "comparator": ">"},
        ]
    ),
)
def test_adding_a_positive_test_never_lowers_the_alarm(
    named: tuple[str, Case], days_ago: int, status: str, found: Json
) -> None:
    protocol, case = named
    test = Reading.model_validate({**found, "days_ago": days_ago, "status": status})
    with_test = case.model_copy(update={"labs": {**case.labs, "hcg": (*case.labs.get("hcg", ()), test)}})

    before = answer_to(build_request(case), protocol, case)
    after = answer_to(build_request(with_test), protocol, case)

    assert action(after) >= action(before)
    assert alarm(after) >= alarm(before)


@thorough
@given(
    any_case,
    st.lists(st.sampled_from(["positive", "negative", "indeterminate"]), max_size=3),
    st.sampled_from([None, "M", "UNK"]),
)
def test_no_man_ever_gets_a_test_card(named: tuple[str, Case], tests: list[str], birth_sex: str | None) -> None:
    protocol, case = named
    man = Patient.model_validate(
        {"birth_date": case.patient.birth_date, "sex": "male", **({"birth_sex": birth_sex} if birth_sex else {})}
    )
    hcg = tuple(Reading.model_validate({"result": result, "days_ago": day}) for day, result in enumerate(tests))
    his = case.model_copy(update={"patient": man, "labs": {**case.labs, "hcg": (*case.labs.get("hcg", ()), *hcg)}})

    answered = answer_to(build_request(his), protocol, his)
    found = {one["id"] for one in explanation(answered)["drafts"][0]["findings"]}

    assert explanation(answered)["drafts"][0]["facts"]["reproductive_class"] == "male"
    assert not asks_for_a_test(answered)
    assert found & OF_WOMEN_ONLY == set()
