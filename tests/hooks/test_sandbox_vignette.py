"""Save as a case: what is on the sandbox page, pasted into the protocol's cases, is the same patient and the same answer."""

from __future__ import annotations

import re
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cds import PROTOCOL_IDS, strict_yaml
from cds.findings import Outcome
from cds.rules import RULES
from hooks.answering import Answer, answered
from hooks.sandbox.vignette import vignette
from hooks.wire import decode
from tests.support.case import Case, without_typing
from tests.support.case_files import PROTOCOLS, load_cases, merge
from tests.support.fixtures import REQUESTS
from tests.support.outcome import assert_as_expected
from tests.support.request_builder import build_request

Json = dict[str, Any]

_NOW = "org.lenalidomide-maintenance.now"
_LEFT_OUT = "# Not carried over"
_SHARE = 24
# Of the bundled requests these alone say what no case can: data that came in part.
_REQUESTS_NOT_CARRIED_OVER = {"order-sign-laboratory-outage"}


@dataclass(frozen=True)
class Saved:
    """An answer, the case it was saved as, and the answer to that case as the tests of cases would give it."""

    name: str
    before: Answer
    text: str
    case: Case
    after: Answer

    @property
    def whole(self) -> bool:
        """Whether it does not say that anything was left out."""
        return _LEFT_OUT not in self.text


def answer_to(request: Json) -> Answer:
    now = datetime.fromisoformat(request["extension"][_NOW])
    return answered(request, now=now if now.tzinfo else now.replace(tzinfo=UTC))


def answer_case(case: Case, protocol: str) -> Answer:
    return answered(build_request(case), now=case.now, protocol=protocol, explain=True)


def saved_text(request: Json, name: str = "a saved case") -> str:
    answer = answer_to(request)
    return vignette(answer.evaluation, answer.request.hook, name)


def parsed(text: str, folder: Path) -> Json:
    """A file of cases, or a part of it, by the strict parser."""
    file = folder / "cases.yaml"
    problems: list[str] = []
    file.write_text(text, encoding="utf-8")
    content: Json = without_typing(strict_yaml.load(file, problems))
    assert problems == []
    return content


def entries(folder: Path, *texts: str) -> list[Json]:
    found: list[Json] = parsed("\n".join(["cases:", *texts]), folder)["cases"]
    return found


def load(name: str) -> Json:
    request: Json = decode((REQUESTS / f"{name}.json").read_bytes())
    return request


def cases() -> list[Saved]:
    """A part of all cases, the same ones whatever is added, and those that record a sex in another place."""
    return [one for one in saved() if "/" in one.name]


def requests() -> list[Saved]:
    """All bundled requests that stand for ordinary work."""
    return [one for one in saved() if "/" not in one.name]


@cache
def saved() -> tuple[Saved, ...]:
    """Everything is pasted under the real baselines, and read back as the test suite reads its cases."""
    answers = [
        *((name, answer_case(case, protocol)) for name, protocol, case in _chosen()),
        *((path.stem, answer_to(decode(path.read_bytes()))) for path in sorted(REQUESTS.glob("*.json"))),
    ]
    texts = [
        vignette(answer.evaluation, answer.request.hook, f"saved {place}") for place, (_, answer) in enumerate(answers)
    ]
    by_protocol: dict[str, list[str]] = {protocol: [] for protocol in PROTOCOL_IDS}
    for text, (_, answer) in zip(texts, answers, strict=True):
        by_protocol[answer.evaluation.protocol.id].append(text)
    with tempfile.TemporaryDirectory() as folder:
        for protocol, own in by_protocol.items():
            file = Path(folder, protocol, "cases.yaml")
            file.parent.mkdir()
            baseline = without_cases(PROTOCOLS / protocol / "cases.yaml")
            file.write_text("\n".join([baseline, "cases:", *own]), encoding="utf-8")
        read = {case.id: (protocol, case) for protocol, case in load_cases(Path(folder))}
    return tuple(
        Saved(name, before, text, case, answer_case(case, protocol))
        for place, ((name, before), text) in enumerate(zip(answers, texts, strict=True))
        for protocol, case in [read[f"saved-{place}"]]
    )


def _chosen() -> Iterator[tuple[str, str, Case]]:
    for protocol, case in load_cases():
        name, patient = f"{protocol}/{case.id}", case.patient
        elsewhere = patient.gender_identity or patient.sex_for_clinical_use
        if zlib.crc32(name.encode()) % _SHARE == 0 or (elsewhere and protocol == PROTOCOL_IDS[0]):
            yield name, protocol, case


def without_cases(file: Path) -> str:
    return file.read_text(encoding="utf-8").partition("\ncases:\n")[0]


def outcome(answer: Answer) -> tuple[Any, ...]:
    """Action, level and level to resume at for the first draft, and the rules that fired."""
    judgement = answer.evaluation.judgements[0]
    given = judgement.recommendation
    fired = {finding.id for finding in judgement.findings if finding.outcome is Outcome.FIRED}
    return (None if given is None else (given.action, given.level, given.resume_at), fired)


def test_a_saved_case_gets_the_same_recommendation_and_the_same_findings_unless_it_says_what_it_lacks() -> None:
    assert [one.name for one in cases() if outcome(one.before) != outcome(one.after) and one.whole] == []


def test_a_saved_request_gets_the_same_recommendation_and_the_same_findings() -> None:
    differing = {one.name for one in requests() if outcome(one.before) != outcome(one.after)}

    assert differing <= _REQUESTS_NOT_CARRIED_OVER
    assert {one.name for one in requests() if not one.whole} >= differing


def test_nearly_everything_can_be_saved() -> None:
    lacking = [one.name for one in cases() if outcome(one.before) != outcome(one.after)]

    assert len(lacking) < len(cases()) / 10


def test_a_saved_case_passes_as_a_case() -> None:
    for one in (*cases(), *requests()):
        if one.whole:
            assert_as_expected(one.name, one.case.expect, one.after.response)


def test_what_was_saved_whole_is_saved_again_in_the_same_words() -> None:
    again = {
        one.name: vignette(one.after.evaluation, one.after.request.hook, one.case.id)
        for one in (*cases(), *requests())
        if one.whole
    }

    assert [one.name for one in (*cases(), *requests()) if again.get(one.name, one.text) != one.text] == []


def test_a_saved_case_names_a_rule_that_exists() -> None:
    assert {one.case.rule for one in (*cases(), *requests())} <= {rule.id for rule in RULES}


def test_no_line_of_a_saved_case_is_longer_than_those_of_the_case_files() -> None:
    assert [one.name for one in (*cases(), *requests()) if max(map(len, one.text.splitlines())) > 120] == []


def test_a_saved_case_means_the_same_patient_without_any_baseline(tmp_path: Path) -> None:
    # At a visit the baseline's order is not sent, so none is saved.
    with_order = [one for one in cases() if one.case.hook != "patient-view"]
    alone = [Case.model_validate(merge({}, {}, raw)) for raw in entries(tmp_path, *(one.text for one in with_order))]

    assert alone == [one.case for one in with_order]


def test_a_saved_case_states_all_that_a_baseline_states(tmp_path: Path) -> None:
    (stated,) = entries(tmp_path, saved_text(load("order-sign-clean-renewal")))

    for file in [*PROTOCOLS.glob("*/cases.yaml"), *PROTOCOLS.glob("cases-*.yaml")]:
        baseline = parsed(without_cases(file), tmp_path)["baseline"]
        assert baseline.keys() <= stated.keys(), file
        for key in ("patient", "labs", "draft"):
            assert baseline[key].keys() <= stated[key].keys(), f"{file}: {key}"


def test_neither_names_nor_addresses_nor_ids_are_saved() -> None:
    naming = {
        one.name: set(_naming([one.before.request.prefetch, *one.before.request.draft_orders])) for one in requests()
    }
    told = {
        (one.name, words)
        for one in requests()
        for words in naming[one.name] - set(PROTOCOL_IDS)
        if words in one.text and re.search(rf"(?<![\w-]){re.escape(words)}(?![\w-])", one.text)
    }

    assert len(set().union(*naming.values())) > 500
    assert told == set()


def _naming(value: Any) -> Iterator[str]:
    """What names the patient or a record: names, addresses, numbers, ids, and references with what they show."""
    if isinstance(value, dict):
        named = [value.get(key) for key in ("id", "reference", "family", "city", "postalCode")]
        named += [*value.get("given", []), *value.get("line", [])]
        named += [value.get("value")] if "use" in value or "type" in value else []
        named += [value.get("display")] if "reference" in value else []
        yield from (words for words in named if isinstance(words, str))
    if isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _naming(member)


def _unit(request: Json) -> None:
    newest(request, "counts")["valueQuantity"] = {"value": 2, "unit": "Marsh"}


def _reason_of_absence(request: Json) -> None:
    newest(request, "counts")["dataAbsentReason"] = {"text": "Marsh (Edda) was not there"}
    del newest(request, "counts")["valueQuantity"]


def _words_of_dosage(request: Json) -> None:
    draft(request)["dosageInstruction"] = [{"text": "Edda Marsh takes it as directed"}]


def _words_of_drug(request: Json) -> None:
    draft(request)["medicationCodeableConcept"] = {"text": "lenalidomide (Marsh) 10 mg"}


def _words_of_another_drug(request: Json) -> None:
    newest(request, "medications")["medicationCodeableConcept"] = {"text": "pembrolizumab for Edda Marsh"}


def _event(request: Json) -> None:
    event = {
        "resourceType": "AdverseEvent",
        "actuality": "actual",
        "event": {"text": "Marsh rash"},
        "date": "2024-11-01",
    }
    event["subject"] = newest(request, "counts")["subject"]
    lenalidomide = [{"instance": {"display": "lenalidomide"}}]
    request["prefetch"]["events"] = {**event, "id": "Marsh-1", "suspectEntity": lenalidomide}


def _status_of_pregnancy(request: Json) -> None:
    concept = {"coding": [{"system": "http://loinc.org", "code": "82810-3"}]}
    newest(request, "counts").update(code=concept, valueDateTime="Marsh")
    del newest(request, "counts")["valueQuantity"]


def newest(request: Json, key: str) -> Json:
    resource: Json = request["prefetch"][key]["entry"][0]["resource"]
    return resource


def draft(request: Json) -> Json:
    resource: Json = request["context"]["draftOrders"]["entry"][0]["resource"]
    return resource


@pytest.mark.parametrize(
    "planted",
    [
        _unit,
        _reason_of_absence,
        _words_of_dosage,
        _words_of_drug,
        _words_of_another_drug,
        _event,
        _status_of_pregnancy,
    ],
)
def test_words_of_the_record_are_not_saved_and_what_they_said_is_named_as_left_out(
    planted: Callable[[Json], None],
) -> None:
    request = load("order-sign-first-neutropenia")
    planted(request)

    text = saved_text(request)

    assert "marsh" not in text.casefold()
    assert "edda" not in text.casefold()
    assert _LEFT_OUT in text


def test_an_id_in_the_headline_is_not_saved() -> None:
    request = load("order-sign-first-neutropenia")
    newest(request, "medications").update(id="Marsh", status="unknown")
    newest(request, "counts")["valueQuantity"]["value"] = 3

    answer, text = answer_to(request), saved_text(request)

    assert "MedicationRequest/Marsh" in answer.evaluation.judgements[0].findings[0].summary
    assert "  title: 'To be reviewed: Cannot be judged'" in text.splitlines()
    assert "Marsh" not in text


def test_the_first_line_asks_for_a_review_and_the_title_says_what_the_service_said() -> None:
    text = saved_text(load("order-sign-first-neutropenia"), "First neutropenia!")

    assert text.splitlines()[:4] == [
        "# fda-label: the expectation is what the service said. A reviewer confirms it against the source.",
        "- id: first-neutropenia",
        "  title: 'To be reviewed: Hold lenalidomide: ANC 0.4 ×10⁹/L (20 Nov), below 0.5'",
        "  rule: heme.anc-interrupt",
    ]


def test_numbers_and_dates_stand_as_they_were_and_equal_orders_in_a_row_as_one() -> None:
    text = saved_text(load("order-sign-first-neutropenia"))

    for line in (
        "  now: 2024-11-20T09:00:00",
        "    - {value: 0.4, unit: 10*9/L, at: 2024-11-20T06:50:00Z}",
        "  history: [{dose_mg: 10, schedule_days: 28, start: 2024-07-31, orders: 4}]",
        "    resume_at: 5/28",
    ):
        assert line in text.splitlines()


def test_drafts_taken_together_are_all_saved(tmp_path: Path) -> None:
    (stated,) = entries(tmp_path, saved_text(load("order-sign-overlapping-drafts")))

    assert "draft" not in stated
    assert len(stated["drafts"]) == 2


def test_kinds_that_were_not_had_are_saved_as_such(tmp_path: Path) -> None:
    request = load("order-sign-clean-renewal")
    del request["prefetch"]["conditions"]
    issue = [{"severity": "error", "code": "timeout"}]
    request["prefetch"]["procedures"] = {"resourceType": "OperationOutcome", "issue": issue}

    (stated,) = entries(tmp_path, saved_text(request))

    assert (stated["withheld"], stated["failed"]) == (["conditions"], ["procedures"])


def test_a_time_of_day_is_saved_in_the_zone_of_the_organisation(tmp_path: Path) -> None:
    request = load("order-sign-clean-renewal")
    now = datetime(2024, 8, 21, 9, tzinfo=ZoneInfo("America/New_York"))
    newest(request, "counts")["effectiveDateTime"] = "2024-08-21T02:30:00Z"

    answer = answered(request, now=now)
    (stated,) = entries(tmp_path, vignette(answer.evaluation, "order-sign", "evening"))
    case = Case.model_validate(merge({}, {}, stated))

    assert case.now == now
    (reading,) = (one for readings in case.labs.values() for one in readings if one.at and one.at.hour == 22)
    assert reading.at == datetime(2024, 8, 21, 2, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "case_id"),
    [("Start at 17.5 mg", "start-at-17.5-mg"), ("  Señora, zweite Visite ", "senora-zweite-visite")],
)
def test_the_name_becomes_an_id(name: str, case_id: str) -> None:
    assert f"- id: {case_id}\n" in saved_text(load("order-sign-clean-renewal"), name)


def test_a_name_without_letter_or_digit_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a letter or a digit"):
        saved_text(load("order-sign-clean-renewal"), " – ")


def test_a_visit_of_somebody_never_treated_is_no_case() -> None:
    request = load("patient-view-stale-creatinine")
    request["prefetch"]["medications"] = {"resourceType": "Bundle", "type": "searchset", "total": 0}

    with pytest.raises(ValueError, match="nothing was judged"):
        saved_text(request)
