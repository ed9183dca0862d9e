"""Whole synthetic records of ten years to which an order of lenalidomide 10 mg is added: what a clinician would expect.

Nobody here has a myeloma, a transplant or a neutrophil count, and every laboratory value is long out of date.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.fixtures import Json, action, explanation, fired
from tests.support.synthea import TRIMMED, WHOLE, answer_to, record, request_of, request_of_everything

WORKING_MAN = "Frankie"  # 45, high blood pressure
OLDER_MAN = "Carroll"  # 66, obesity
GIRL = "Gabriele"  # 11
DEAD_WOMAN = "Kallie"  # died in 2011, her medication orders still active
WOMAN_WITH_KIDNEY_DISEASE = "Lean"  # 75, creatinine 3.1 mg/dL almost a year ago
PROTOCOL = "org.lenalidomide-maintenance.protocol"
YOUNG_WOMAN = "Margie"  # 25, three pregnancies, a contraceptive pill

LIVING_ADULTS = [WORKING_MAN, OLDER_MAN, WOMAN_WITH_KIDNEY_DISEASE, YOUNG_WOMAN]
EVERYBODY = [*LIVING_ADULTS, GIRL, DEAD_WOMAN]

whole_records = pytest.mark.skipif(not WHOLE.is_dir(), reason="the whole Synthea records are not beside the project")


def answered(name: str, request: Callable[[list[Json]], Json] = request_of) -> Json:
    return answer_to(request(record(WHOLE, name)))


def facts(answer: Json) -> Json:
    found: Json = explanation(answer)["drafts"][0]["facts"]
    return found


def offered_types(answer: Json) -> set[str]:
    return {
        one["type"]
        for card in answer["cards"]
        for suggestion in card.get("suggestions", [])
        for one in suggestion["actions"]
    }


def words(answer: Json) -> str:
    return "\n".join(f"{card['summary']}\n{card['detail']}" for card in answer["cards"])


def assert_waits_for_tests(answer: Json) -> None:
    """No dose can be judged: blood count and creatinine are to be ordered first, and nothing is changed."""
    assert action(answer) == "defer"
    assert fired(answer) >= {"monitoring.cbc-due", "renal.unknown"}
    assert "create" in offered_types(answer)
    assert "update" not in offered_types(answer)


@whole_records
@pytest.mark.parametrize("name", LIVING_ADULTS)
def test_without_neutrophils_and_with_stale_results_the_order_waits_for_tests(name: str) -> None:
    answer = answered(name)
    assert_waits_for_tests(answer)
    assert "no ANC" in words(answer)


@whole_records
@pytest.mark.parametrize("name", [name for name in EVERYBODY if name != DEAD_WOMAN])
def test_platelets_of_long_ago_are_named_with_their_age_and_never_taken_for_normal(name: str) -> None:
    answer = answered(name)
    assert "platelets are" in words(answer)
    assert "days old" in words(answer)


@whole_records
@pytest.mark.parametrize("name", LIVING_ADULTS)
def test_without_a_myeloma_the_indication_is_asked(name: str) -> None:
    answer = answered(name)
    assert fired(answer) >= {"eligibility.indication", "eligibility.transplant"}
    assert "No multiple myeloma recorded" in words(answer)


@whole_records
@pytest.mark.parametrize("name", EVERYBODY)
def test_the_only_lenalidomide_order_is_a_new_start(name: str) -> None:
    assert facts(answered(name))["completed_cycles"] == 0
    assert facts(answered(name))["current_level"] is None


@whole_records
@pytest.mark.parametrize("name", EVERYBODY)
def test_no_resource_of_the_record_is_taken_for_another_patients(name: str) -> None:
    assert [item for item in explanation(answered(name))["unread"] if "another patient" in item["why"]] == []


@whole_records
@pytest.mark.parametrize("name", [name for name in EVERYBODY if name != GIRL])
def test_everything_in_the_record_of_an_adult_can_be_read(name: str) -> None:
    assert explanation(answered(name))["unread"] == []


@whole_records
@pytest.mark.parametrize("name", EVERYBODY)
def test_the_whole_record_under_one_key_gives_the_same_decision(name: str) -> None:
    under_one_key = answered(name, request_of_everything)
    assert (action(under_one_key), fired(under_one_key)) == (action(answered(name)), fired(answered(name)))


@whole_records
@pytest.mark.parametrize("name", [WORKING_MAN, OLDER_MAN])
def test_without_any_creatinine_there_is_no_clearance(name: str) -> None:
    assert facts(answered(name))["crcl_ml_min"] is None
    assert facts(answered(name))["reproductive_class"] == "male"


@whole_records
def test_a_creatinine_of_almost_a_year_ago_decides_nothing_but_is_shown() -> None:
    answer = answered(WOMAN_WITH_KIDNEY_DISEASE)
    # (140 - 75) x 86.1 kg / (72 x 3.1433 mg/dL) x 0.85
    assert facts(answer)["crcl_ml_min"] == 21
    assert "creatinine is 323 days old" in words(answer)
    assert "renal.cap" not in fired(answer)


@whole_records
def test_a_woman_of_75_without_a_recorded_menopause_is_presumed_past_it() -> None:
    assert facts(answered(WOMAN_WITH_KIDNEY_DISEASE))["reproductive_class"] == "presumed-not-frp"


@whole_records
def test_a_woman_of_25_can_become_pregnant_and_her_pregnancies_are_over() -> None:
    assert facts(answered(YOUNG_WOMAN))["reproductive_class"] == "frp"


@whole_records
def test_her_order_waits_first_for_two_pregnancy_tests_with_the_earliest_day_named() -> None:
    first = answered(YOUNG_WOMAN)["cards"][0]
    assert first["indicator"] == "critical"
    assert (
        first["summary"]
        == "Do not start yet: two negative pregnancy tests needed; earliest 25 Jan if on contraception since 28 Dec 2020"
    )
    assert "from 25 Jan to 29 Jan" in first["detail"]
    offered = [one["actions"][0] for one in first["suggestions"]]
    assert [one["resource"]["code"]["coding"][0]["code"] for one in offered if one["type"] == "create"] == [
        "2118-8",  # the pregnancy test in serum
        "410290005",  # counselling
    ]


@whole_records
def test_her_pill_is_seen_with_its_risk_and_a_second_method_is_asked_for() -> None:
    first = answered(YOUNG_WOMAN)["cards"][0]
    assert "combined hormonal contraceptive (risk of thrombosis) documented, a barrier is missing" in first["detail"]
    assert fired(answered(YOUNG_WOMAN)) & {"teratogenicity.pregnant", "teratogenicity.positive-test"} == set()


@whole_records
def test_under_the_eu_protocol_her_pill_is_to_be_changed_and_one_test_is_enough() -> None:
    request = {**request_of(record(WHOLE, YOUNG_WOMAN)), "extension": {PROTOCOL: "ema-smpc"}}
    first = answer_to(request)["cards"][0]
    assert first["summary"].startswith("Do not start yet: pregnancy test needed, no negative test on record")
    assert "not an accepted method" in first["detail"]


@whole_records
def test_a_woman_of_75_gets_no_word_about_pregnancy() -> None:
    answer = answered(WOMAN_WITH_KIDNEY_DISEASE)
    assert "regnan" not in words(answer)
    assert "2118-8" not in str(answer["cards"])


@whole_records
def test_a_child_gets_a_critical_card_that_says_so_first() -> None:
    answer = answered(GIRL)
    assert action(answer) == "hold"
    assert answer["cards"][0]["indicator"] == "critical"
    assert "11" in answer["cards"][0]["summary"]
    assert answer["cards"][0]["source"]["topic"]["display"] == "eligibility.age"


@whole_records
def test_weights_and_heights_of_a_toddler_are_refused_and_listed() -> None:
    whys = [item["why"] for item in explanation(answered(GIRL))["unread"]]
    assert whys
    assert all("is implausible" in why for why in whys)


@whole_records
def test_an_order_for_a_dead_patient_is_held_with_a_critical_card() -> None:
    answer = answered(DEAD_WOMAN)
    assert action(answer) == "hold"
    assert answer["cards"][0]["indicator"] == "critical"
    assert "deceased" in answer["cards"][0]["summary"]


@whole_records
def test_for_a_dead_patient_the_order_can_be_removed_and_no_test_is_ordered() -> None:
    assert offered_types(answered(DEAD_WOMAN)) == {"delete"}


@whole_records
def test_for_a_dead_patient_there_is_nothing_else_to_say() -> None:
    assert len(answered(DEAD_WOMAN)["cards"]) == 1


# --- The record that comes with the project ---


def trimmed(request: Callable[[list[Json]], Json] = request_of) -> Json:
    return answer_to(request(record(TRIMMED, WOMAN_WITH_KIDNEY_DISEASE)))


def test_the_bundled_record_waits_for_tests() -> None:
    answer = trimmed()
    assert_waits_for_tests(answer)
    assert "no ANC" in words(answer)
    assert "creatinine is 323 days old" in words(answer)


def test_the_bundled_record_has_the_clearance_of_its_last_creatinine() -> None:
    assert facts(trimmed())["crcl_ml_min"] == 21


def test_the_bundled_record_holds_no_myeloma_and_no_transplant() -> None:
    assert fired(trimmed()) >= {"eligibility.indication", "eligibility.transplant"}


def test_the_bundled_record_is_read_without_a_rest() -> None:
    assert explanation(trimmed())["unread"] == []


def test_the_bundled_record_under_one_key_gives_the_same_decision() -> None:
    under_one_key = trimmed(request_of_everything)
    assert (action(under_one_key), fired(under_one_key)) == (action(trimmed()), fired(trimmed()))


@whole_records
def test_the_bundled_record_gets_the_answer_of_the_whole_one() -> None:
    assert trimmed()["cards"] == answered(WOMAN_WITH_KIDNEY_DISEASE)["cards"]
