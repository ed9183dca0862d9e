"""The sandbox without a browser: when there is one, and what it draws of every request."""

from __future__ import annotations

import json
import re
from datetime import datetime
from html import unescape
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from cds import PROTOCOL_IDS
from hooks.app import create_app
from hooks.sandbox.stories import stories
from hooks.service_settings import service_settings
from hooks.settings import Settings, SettingsError
from tests.sandbox.calls import EXTENSION, PANELS, cards, edit, post, sent, story, view
from tests.support.fixtures import INVALID, ODD

# --- When there is one -----------------------------------------------------------------------------------------------


def test_there_is_no_sandbox_unless_it_is_switched_on() -> None:
    assert create_app(Settings()).test_client().get("/sandbox").status_code == 404


def test_it_is_switched_on_by_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_SANDBOX", "1")
    settings = service_settings()
    assert settings.sandbox
    assert settings.explain


def test_it_is_refused_where_clients_are_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clients = tmp_path / "clients.yaml"
    clients.write_text(
        "clients:\n  ehr:\n    issuer: https://ehr.example\n    key_sets: [https://ehr.example/keys]\n",
        encoding="utf-8",
    )
    for setting, value in {
        "CDS_SANDBOX": "1",
        "CDS_CLIENTS": str(clients),
        "CDS_PUBLIC_URL": "https://cds.example",
        "CDS_PSEUDONYM_KEY": "a-secret-of-the-hospital-for-its-patients",
    }.items():
        monkeypatch.setenv(setting, value)
    with pytest.raises(SettingsError, match="CDS_SANDBOX is for trying out"):
        service_settings()


def test_every_page_forbids_scripts_from_elsewhere_and_inline(sandbox: FlaskClient) -> None:
    for path in ("/sandbox", "/sandbox/static/sandbox.js", "/sandbox/stories/renal-decline"):
        policy = sandbox.get(path, buffered=True).headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy


def test_the_page_holds_no_inline_script_style_or_handler_and_names_no_other_host(sandbox: FlaskClient) -> None:
    page = sandbox.get("/sandbox").text
    assert "<script>" not in page
    assert " style=" not in page
    assert " on" not in "".join(part.split(">")[0] for part in page.split("<")).replace(' on"', "")
    assert "//" not in page.replace("<!doctype html>", "")


def test_there_are_at_least_24_patients_and_each_can_be_picked(sandbox: FlaskClient) -> None:
    page = unescape(sandbox.get("/sandbox").text)
    assert len(stories()) >= 24
    for one in stories().values():
        assert f'data-story="{one.id}"' in page
        assert one.title in page


def test_an_unknown_patient_is_not_found(sandbox: FlaskClient) -> None:
    assert sandbox.get("/sandbox/stories/nobody").status_code == 404


# --- What is drawn ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", stories())
def test_every_patient_is_drawn_on_every_panel(sandbox: FlaskClient, name: str) -> None:
    drawn = view(sandbox, story(sandbox, name), *PANELS)
    assert drawn["timeline"] is not None
    assert all("refused" not in html for html in drawn["panels"].values())
    assert all(protocol in drawn["panels"]["protocols"] for protocol in PROTOCOL_IDS)


@pytest.mark.parametrize("file", sorted([*ODD.iterdir(), *INVALID.iterdir()]), ids=lambda file: file.name)
def test_what_a_record_system_may_send_is_drawn_or_told_and_never_a_fault(sandbox: FlaskClient, file: Path) -> None:
    text = file.read_bytes().decode("utf-8", "replace")
    exchange = sent(sandbox, text)
    drawn = post(sandbox, "view", {**exchange, "panels": [*PANELS, "lint"]})
    assert set(drawn["panels"]) == {*PANELS, "lint"}
    if exchange["status"] != 200:
        assert "Refused with status" in drawn["panels"]["cards"]
        assert "as of today" not in drawn["panels"]["controls"]
        assert drawn["timeline"] is None


def test_what_stands_in_the_request_is_text_on_every_panel(sandbox: FlaskClient) -> None:
    text = story(sandbox, "first-neutropenia")
    evil = '<img src=x onerror=\\"alert(1)\\">'
    text = text.replace('"Edda"', f'"{evil}"').replace("Neutrophils [#/volume] in Blood by Automated count", evil)
    text = text.replace("10*3/uL", evil).replace("anc-05", "a<b>c")
    for html in view(sandbox, text, *PANELS, "lint")["panels"].values():
        assert "<img" not in html
        assert "<b>c" not in html


def test_a_number_of_a_million_digits_is_drawn_as_it_was_written(sandbox: FlaskClient) -> None:
    text = story(sandbox, "first-neutropenia").replace('"value": 0.4,', '"value": 1e9999999,')
    results = view(sandbox, text, "results")["panels"]["results"]
    assert 'value="1E+9999999"' in results
    assert len(results) < 100_000


def test_a_finding_is_drawn_with_its_facts_its_limit_its_source_and_its_place(sandbox: FlaskClient) -> None:
    why = unescape(view(sandbox, story(sandbox, "first-neutropenia"), "why")["panels"]["why"])
    for told in ("Observation/anc-05", "0.4 ×10⁹/L", "20 Nov 2024", "below 0.5 ×10⁹/L", "Revlimid US label", "Table"):
        assert told in why, told
    assert "on a card" in why
    assert "not shown" in why


def test_what_failed_is_told_as_not_known_with_what_the_response_says_of_it(sandbox: FlaskClient) -> None:
    why = unescape(view(sandbox, story(sandbox, "laboratory-outage"), "why")["panels"]["why"])
    assert "Not known:" in why
    assert "supplied only in part" in why
    assert "prefetch.counts" in why
    assert "not retrieved: no answer in time" in why


@pytest.mark.parametrize("name", ["second-neutropenia", "second-cancer", "several-interactions", "two-drafts"])
def test_why_tells_of_each_finding_whether_a_card_shows_it_as_the_response_does(
    sandbox: FlaskClient, name: str
) -> None:
    exchange = sent(sandbox, story(sandbox, name))
    why = post(sandbox, "view", {**exchange, "panels": ["why"]})["panels"]["why"]
    drafts = json.loads(exchange["response"])["extension"][f"{EXTENSION}.evaluation"]["drafts"]
    told = {finding["id"]: finding["shown"] for finding in drafts[0]["findings"]}
    drawn = re.findall(r'id="finding-1-([\w.-]+)".*?<p class="tags">.*?(on a card|not shown)', why, re.DOTALL)
    assert {rule: words == "on a card" for rule, words in drawn} == told
    assert set(told.values()) == {True, False}


def test_protocols_that_agree_differ_in_numbers_or_disagree_are_told_apart(sandbox: FlaskClient) -> None:
    drawn = unescape(view(sandbox, story(sandbox, "second-cancer"), "protocols")["panels"]["protocols"])
    row = re.compile(r'<th scope="row">(?:<b class="mark"[^>]*>(.)</b>)?\s*<code>([\w.-]+)')
    rows = {name: mark for mark, name in row.findall(drawn)}
    assert rows["monitoring.spm"] == "≠"
    assert "≈" in rows.values()
    assert "" in rows.values()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("negative", "test-negative"), ("positive", "test-positive"), ("indeterminate", "test-unclear")],
)
def test_no_pregnancy_test_is_drawn_as_negative_that_is_not(sandbox: FlaskClient, answer: str, kind: str) -> None:
    text = story(sandbox, "test-lapsed")
    entries = json.loads(text)["prefetch"]["pregnancy"]["entry"]
    at = next(place for place, entry in enumerate(entries) if "valueCodeableConcept" in entry["resource"])
    day = entries[at]["resource"]["effectiveDateTime"][:10]
    made = edit(sandbox, text, {"kind": "result", "place": f"pregnancy/{at}", "answer": answer})
    marks = view(sandbox, made, "cards")["timeline"]["marks"]
    seconds = int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp())
    assert kind in {mark["kind"] for mark in marks if mark["at"] == seconds}


def test_the_picture_counts_the_results_that_could_not_be_read(sandbox: FlaskClient) -> None:
    text = story(sandbox, "first-neutropenia").replace('"value": 0.4,', '"value": 1e9999999,')
    neutrophils = view(sandbox, text, "cards")["timeline"]["panels"][0]
    assert neutrophils["unread"] == 1
    assert "not read: 1" in neutrophils["told"]


def test_silence_names_what_did_not_come(sandbox: FlaskClient) -> None:
    request = json.loads(story(sandbox, "ordinary-renewal"))
    del request["prefetch"]["conditions"]
    silent = unescape(view(sandbox, json.dumps(request), "cards")["panels"]["cards"])
    assert "Condition (not supplied)" in silent
    assert "did not come" not in view(sandbox, story(sandbox, "ordinary-renewal"), "cards")["panels"]["cards"]


def test_the_picture_draws_the_cap_that_the_protocol_gives(sandbox: FlaskClient) -> None:
    change = {"kind": "circumstances", "protocol": "mskcc"}
    made = edit(sandbox, story(sandbox, "renal-decline"), change)
    clearance = view(sandbox, made, "cards")["timeline"]["panels"][2]
    assert clearance["lines"][0]["label"].endswith("at most 5 mg days 1–21")
    assert "5 mg once daily, days 1–21" in cards(sandbox, made)[0]


def test_what_stands_in_the_request_or_the_page_is_drawn_letter_for_letter(sandbox: FlaskClient) -> None:
    evil = '<img src=x onerror="alert(1)">'
    request = json.loads(story(sandbox, "first-neutropenia"))
    order = {"resourceType": "MedicationRequest", "id": "beside", "status": "draft", "intent": "order"}
    request["context"]["draftOrders"]["entry"].append(
        {"resource": {**order, "medicationCodeableConcept": {"text": evil}}}
    )
    request["prefetch"]["patient"]["name"] = [{"text": evil}]
    exchange = sent(sandbox, json.dumps(request))
    answered = json.loads(exchange["response"])
    decision = answered["cards"][0]["extension"][f"{EXTENSION}.decision"]
    answered["cards"][0] |= {"summary": evil, "detail": f"**{evil}** [x](javascript:alert(1))"}
    body = {
        **exchange,
        "response": json.dumps(answered),
        "overridden": {decision: evil},
        "panels": ["banner", "order", "cards"],
    }
    for name, html in post(sandbox, "view", body)["panels"].items():
        assert "<img" not in html, name
        assert "javascript:" not in re.sub(r"<p>.*?</p>", "", html), name
        assert "&lt;img src=x onerror=" in html, name


def test_the_picture_has_the_limits_of_the_protocol_the_doses_and_the_drops(sandbox: FlaskClient) -> None:
    drawn = view(sandbox, story(sandbox, "second-neutropenia"), "cards")["timeline"]
    neutrophils, platelets, clearance = drawn["panels"]
    assert [line["value"] for line in neutrophils["lines"]] == [0.5]
    assert [line["value"] for line in platelets["lines"]] == [30]
    assert [line["value"] for line in clearance["lines"]] == [60, 30]
    assert [point["low"] for point in neutrophils["points"]].count(True) == 2
    assert len(drawn["episodes"]) == 2
    assert len(drawn["holds"]) == 1
    assert {dose["mg"] for dose in drawn["doses"]} == {10, 5}
    assert drawn["doses"][-1]["state"] == "draft"
    assert [mark["kind"] for mark in drawn["marks"]] == ["transplant"]


def test_the_picture_marks_pregnancy_tests(sandbox: FlaskClient) -> None:
    marks = view(sandbox, story(sandbox, "test-lapsed"), "cards")["timeline"]["marks"]
    assert {mark["kind"] for mark in marks} >= {"test-negative"}
