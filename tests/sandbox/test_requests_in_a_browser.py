"""The sandbox in a real browser: as an integrator uses it, with files and requests."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.sandbox.screen import Screen
from tests.support.fixtures import INVALID, ODD

_PLACED = """async (place) => {
    const { placeOf } = await import("/sandbox/static/places.js");
    const text = document.getElementById("request").value;
    return text.slice(placeOf(text, place).at[0]);
}"""
_SELECT = """(words) => {
    const box = document.getElementById("request");
    const at = box.value.indexOf(words);
    box.setSelectionRange(at, at + words.length);
}"""


def test_a_broken_bundle_is_told_and_what_was_on_the_screen_stays(screen: Screen) -> None:
    before = screen.headlines
    for entries, told in (
        ([], "Bundle.entry: is missing or empty"),
        ([{"resource": {"resourceType": "Observation"}}], "Bundle.entry: holds 0 Patient resources"),
        ([{"fullUrl": "urn:uuid:1"}], "Bundle.entry[0]: holds no resource"),
    ):
        screen.drop(json.dumps({"resourceType": "Bundle", "entry": entries}))
        assert told in screen.wrong
        assert screen.headlines == before
    screen.complaints = [complaint for complaint in screen.complaints if "400" not in complaint]


def test_a_dropped_bundle_of_a_patient_becomes_an_order_to_sign(screen: Screen) -> None:
    record = Path(__file__).parents[2] / "fhir_fixtures" / "synthea" / "Lean294_Davis923.json"
    screen.drop(record.read_text(encoding="utf-8"), "Lean294_Davis923.json")
    assert screen.wrong == ""
    assert screen.request["hook"] == "order-sign"
    assert "Lean294" in screen.page.inner_text("#banner")
    assert screen.headlines != []


def test_a_faulty_request_shows_what_is_wrong_and_leads_to_the_field(screen: Screen) -> None:
    screen.drop((INVALID / "draft-orders-is-text.json").read_text(encoding="utf-8"))
    assert "context.draftOrders" in screen.page.inner_text("#cards .problem")
    assert screen.page.is_visible("#page-exchange")
    with screen.judged_again():
        screen.page.click("#cards [data-find]")
    picked = screen.page.evaluate(
        "() => { const box = document.getElementById('request'); return box.value.slice(box.selectionStart, box.selectionEnd); }"
    )
    assert picked.startswith('"draftOrders"')
    screen.complaints = [told for told in screen.complaints if "400" not in told]


def test_what_is_no_json_is_sent_as_it_is_and_refused_by_the_service(screen: Screen) -> None:
    screen.drop((INVALID / "trailing-comma.txt").read_text(encoding="utf-8"))
    assert "the body is not JSON" in screen.page.inner_text("#cards")
    with screen.judged_again():
        screen.page.click("#cards [data-find^=line]")
    assert screen.said.startswith("line ")
    assert screen.page.input_value("#request").startswith("{")
    screen.complaints = [told for told in screen.complaints if "400" not in told]


def test_a_result_that_was_not_read_is_named_and_can_be_found_in_the_request(screen: Screen) -> None:
    screen.drop((ODD / "another-patients-result.json").read_text(encoding="utf-8"))
    text = screen.tab("why")
    assert "another patient" in text
    reference = screen.page.locator("#why [data-find]", has_text="Observation/").last
    identifier = reference.inner_text().partition("/")[2]
    with screen.judged_again():
        reference.click()
    picked = screen.page.evaluate("document.getElementById('request').selectionStart")
    assert f'"id": "{identifier}"' in screen.page.input_value("#request")[picked:][:80]


def test_the_request_can_be_changed_by_hand_sent_copied_and_saved(screen: Screen) -> None:
    screen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    screen.tab("exchange")
    screen.page.focus("#request")
    screen.page.evaluate(_SELECT, "order-select")
    screen.page.keyboard.insert_text("order-gone")
    text = screen.page.input_value("#request")
    with screen.judged_again():
        screen.page.click("#send")
    assert "hook: is 'order-gone'" in screen.page.inner_text("#cards")
    with screen.judged_again():
        screen.page.click("#copy-curl")
    assert screen.said == "Copied."
    copied = screen.page.evaluate("navigator.clipboard.readText()")
    assert f"{screen.address}/cds-services/lenalidomide-order-sign" in copied
    ran = subprocess.run(["/bin/sh", "-c", copied], capture_output=True, text=True, check=True)
    assert "hook: is 'order-gone'" in ran.stdout
    with screen.page.expect_download() as download:
        screen.page.click("#save-request")
    assert download.value.path().read_text(encoding="utf-8") == text
    screen.complaints = [told for told in screen.complaints if "422" not in told]


def test_text_that_was_not_sent_changes_nothing_that_is_told_of_the_answer(screen: Screen) -> None:
    screen.tab("exchange")
    screen.page.focus("#request")
    screen.page.evaluate(_SELECT, "order-select")
    screen.page.keyboard.insert_text("order-gone")
    assert screen.page.is_visible("#unsent")
    assert "because of renal.decline" in screen.tab("why")
    assert "renal.decline" in screen.tab("case")


def test_a_place_leads_to_itself_and_a_missing_one_to_where_it_would_stand(screen: Screen) -> None:
    for place, found in {
        "prefetch.counts.entry[2].resource.valueQuantity.value": '"value": 4.6',
        "context.draftOrders.entry[0].resource.dosageInstruction[0].timing": '"timing": {',
        "extension.org.lenalidomide-maintenance.now": '"org.lenalidomide-maintenance.now"',
        "Patient/pt-aldous-fenn": '"id": "pt-aldous-fenn"',
        "context.selections[7]": '"selections": [',
        "nowhere": "{",
        "line 3 column 2": '"hookInstance"',
        "prefetch.counts.entry.2.resource.valueQuantity.value": '"value": 4.6',
        "prefetch.patient.root": '"patient": {',
        "body": "{",
    }.items():
        assert screen.page.evaluate(_PLACED, place).startswith(found), place


def test_the_integrator_sees_response_stages_lint_and_discovery(screen: Screen) -> None:
    text = screen.tab("exchange")
    assert '"cards"' in text
    assert re.search(r"judge\s+\d+\.\d\d ms", text)
    assert "valid FHIR R4" in screen.page.inner_text("#lint")
    assert "lenalidomide-order-select" in screen.page.inner_text("#discovery")
