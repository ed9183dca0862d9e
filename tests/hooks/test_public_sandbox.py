"""The public CDS Hooks Sandbox in a browser, from discovery to feedback, as far as a test can play it.

What its form makes of a suggestion is told in test_sandbox_behaviour, what it draws in test_drawn_cards.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest
from sqlalchemy import select

from hooks.app import create_app
from hooks.clients import Client, Identity
from hooks.service import Service
from hooks.settings import Settings, Tokens
from hooks.store import FEEDBACK
from tests.support.answers import accept
from tests.support.fixtures import INVALID, ODD, REQUESTS, Json, load
from tests.support.hospital import hospital
from tests.support.public_sandbox import (
    DISCOVERY,
    ORIGIN,
    SERVED,
    BlockedError,
    Drawn,
    Page,
    Screens,
    drawn_cards,
    fetched,
    own_token,
    page,
    path_of,
    resolved,
    resources,
    topics,
)
from tests.support.tokens import elliptic, key_file

SELECT, SIGN, VIEW = (f"{DISCOVERY}/lenalidomide-{hook}" for hook in ("order-select", "order-sign", "patient-view"))
FEEDBACK_ON_SIGN = f"{SIGN}/feedback"
ADVISED, IN_ORDER = (REQUESTS / f"order-sign-{name}.json" for name in ("no-prophylaxis", "clean-renewal"))
FORM = ODD / "sandbox-drug-chosen.json"
BUNDLED = sorted([*REQUESTS.glob("*.json"), *ODD.glob("*.json")])


def is_whole(file: Path) -> bool:
    """Whether a FHIR server could have given all of a request's prefetch, to queries of ours alone."""
    return {one["resourceType"] for one in resources(load(file))}.isdisjoint({"OperationOutcome", "ResearchSubject"})


# --- It finds the service ---


@pytest.mark.parametrize("path", [DISCOVERY, SELECT, SIGN, VIEW, FEEDBACK_ON_SIGN])
def test_the_browser_is_told_before_the_call_that_the_page_may_send_its_token(path: str) -> None:
    response = page().preflight("GET" if path == DISCOVERY else "POST", path)
    assert (response.status_code, response.data) == (204, b"")
    assert "Origin" in response.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize(
    "origin", ["https://sandbox.cds-hooks.org.evil.example", "http://sandbox.cds-hooks.org", "null"]
)
def test_a_page_of_another_origin_is_stopped_before_it_calls(origin: str) -> None:
    with pytest.raises(BlockedError):
        replace(page(), origin=origin).call("POST", SIGN, load(ADVISED))


def test_discovery_gives_each_screen_one_service_under_an_address_of_its_own() -> None:
    services = page().services()
    assert {path: service["hook"] for path, service in services.items()} == {
        SELECT: "order-select",
        SIGN: "order-sign",
        VIEW: "patient-view",
    }
    assert all(service["title"] and service["description"] and service["prefetch"] for service in services.values())


TOKENS = {
    "of its own": own_token(SIGN),
    "expired": own_token(SIGN, exp=1),
    "for another service": own_token(SIGN, aud="https://cds.other.example"),
    "no token": "not.a.token",
    "empty": "",
}


@pytest.mark.parametrize("token", TOKENS)
def test_in_open_mode_any_token_is_taken_and_none_changes_the_answer(token: str) -> None:
    answered = page().call("POST", SIGN, load(ADVISED), TOKENS[token])
    assert answered.data == page().http.post(SIGN, json=load(ADVISED)).data
    assert page().call("GET", DISCOVERY, token=TOKENS[token]).status_code == 200


def test_the_page_may_read_under_which_id_an_answer_is_recorded_and_no_cache_keeps_the_answer() -> None:
    response = page().call("POST", SIGN, load(ADVISED))
    assert response.headers["Access-Control-Expose-Headers"] == "X-Decision-Id, X-Request-Id"
    assert UUID(response.headers["X-Decision-Id"]).version
    assert response.headers["Cache-Control"] == "no-store"


# --- It fills the prefetch by itself ---


def test_every_template_survives_the_way_the_sandbox_encodes_it_again() -> None:
    for template in {template for service in page().services().values() for template in service["prefetch"].values()}:
        meant, sent = template.replace("{{context.patientId}}", "smart-1288992"), resolved(template, "smart-1288992")
        assert "{{" not in sent
        assert meant.count("?") <= 1
        assert sorted(parse_qsl(urlsplit(sent).query)) == sorted(parse_qsl(urlsplit(meant).query))


@pytest.mark.parametrize(
    "file", [file for file in sorted(REQUESTS.glob("*.json")) if is_whole(file)], ids=lambda file: file.stem
)
def test_what_the_templates_find_brings_the_same_cards_as_the_whole_record(file: Path) -> None:
    request = load(file)
    own = {**request, "prefetch": fetched(request, page().services()[path_of(request)]["prefetch"])}
    assert tuple(page().cards(path_of(request), own)) == drawn_cards(file)


@pytest.mark.parametrize("path", [SELECT, SIGN])
def test_an_order_without_any_prefetch_is_never_drawn_as_all_clear(path: str) -> None:
    form = Screens(load(FORM), page().services())
    form.choose("10")
    request = form.request(path)
    del request["prefetch"]
    for sent in (request, {**request, "prefetch": {}}):
        assert "Medication orders: not supplied" in Drawn(page().cards(path, sent)[0]["detail"]).text


def test_a_renewal_in_order_years_ago_is_never_drawn_as_all_clear_today() -> None:
    request = load(IN_ORDER)
    assert page().cards(SIGN, request) == []
    del request["extension"]
    assert page().cards(SIGN, request) != []


# --- Its screens ---


def test_an_order_goes_from_choosing_the_drug_through_its_correction_to_signing(tmp_path: Path) -> None:
    with hospital(tmp_path) as running:
        here = Page(running.http)
        form = Screens(load(FORM), here.services())
        assert here.cards(VIEW, form.request(VIEW)) == []
        assert here.cards(SELECT, form.request(SELECT)) == []
        form.choose("15")
        (card,) = here.cards(SELECT, form.request(SELECT))
        (suggestion,) = card["suggestions"]
        taken = here.feedback(SELECT, card, "accepted", acceptedSuggestions=[{"id": suggestion["uuid"]}])
        assert (taken.status_code, taken.get_json()) == (200, {})
        form.take(suggestion)
        assert here.cards(SELECT, form.request(SELECT)) == []
        assert topics(here.cards(SIGN, form.request(SIGN))) == ["teratogenicity.male-counselling"]


def test_an_order_taken_back_leaves_an_empty_form_and_all_is_clear() -> None:
    form = Screens(load(REQUESTS / "order-sign-first-neutropenia.json"), page().services())
    form.choose("10")
    (card,) = page().cards(SIGN, form.request(SIGN))
    form.take(card["suggestions"][0])
    assert form.drug is None
    assert page().cards(SIGN, form.request(SIGN)) == []


def test_the_same_form_sent_at_every_change_is_advised_the_same_under_a_new_card() -> None:
    form = Screens(load(FORM), page().services())
    form.choose("15")
    one, other = (page().cards(SELECT, form.request(SELECT))[0] for _ in range(2))
    assert one["uuid"] != other["uuid"]
    assert one["extension"] == other["extension"]
    assert (one["summary"], one["detail"]) == (other["summary"], other["detail"])


@pytest.mark.parametrize("path", [SELECT, SIGN])
def test_the_imaging_screen_gets_no_card(path: str) -> None:
    imaging = {
        "resourceType": "ServiceRequest",
        "id": "example-request-id",
        "status": "draft",
        "intent": "plan",
        "code": {"coding": [{}]},
        "subject": {"reference": "Patient/pt-odd-1"},
        "reasonCode": [],
    }
    assert page().cards(path, Screens(load(FORM), page().services()).request(path, imaging)) == []


# --- It takes up a suggestion ---


@pytest.mark.parametrize(
    "file", [file for file in BUNDLED if load(file)["hook"] != "patient-view"], ids=lambda file: file.stem
)
def test_advice_that_was_taken_up_is_not_given_again_when_the_order_is_signed(file: Path) -> None:
    request = load(file)
    for card in drawn_cards(file):
        for suggestion in card.get("suggestions", []):
            created = [action["resource"] for action in suggestion["actions"] if action["type"] == "create"]
            after = {**accept(request, suggestion), "hook": "order-sign"}
            after["context"]["draftOrders"]["entry"] += [{"resource": {**one, "id": "new-1"}} for one in created]
            # A test that has been ordered has no result yet.
            waits = any(one["resourceType"] == "ServiceRequest" for one in created)
            again = topics(page().cards(SIGN, after))
            assert (card["source"]["topic"]["display"] in again) == waits, suggestion["label"]


# --- It tells what became of a card ---


def test_feedback_is_kept_as_the_sandbox_sends_it_for_each_way_to_answer_a_card(tmp_path: Path) -> None:
    with hospital(tmp_path) as running:
        here = Page(running.http)
        (card,) = here.cards(SIGN, load(ADVISED))
        reason = {key: card["overrideReasons"][0][key] for key in ("code", "system")}
        answers = [
            here.feedback(SIGN, card, "accepted", acceptedSuggestions=[{"id": card["suggestions"][0]["uuid"]}]),
            here.feedback(SIGN, card, "overridden"),
            here.feedback(SIGN, card, "overridden", overrideReason={"reason": reason}),
        ]
        with running.store() as store, store.reading() as connection:
            kept = [(row.card, row.outcome, row.reason) for row in connection.execute(select(FEEDBACK))]
    assert [(answer.status_code, answer.get_json()) for answer in answers] == [(200, {})] * 3
    assert sorted(kept, key=str) == sorted(
        [
            (card["uuid"], "accepted", None),
            (card["uuid"], "overridden", None),
            (card["uuid"], "overridden", reason["code"]),
        ],
        key=str,
    )


# --- It reads what went wrong ---


ENTRY = {"card": "9368d37b-283f-44a0-93ea-547cebab93ed", "outcome": "overridden"}
REFUSALS: dict[str, tuple[int, str, str, object]] = {
    "no JSON": (400, "POST", SIGN, "{"),
    "no request": (400, "POST", SELECT, {}),
    "no feedback": (400, "POST", FEEDBACK_ON_SIGN, {"feedback": []}),
    "no such service": (404, "POST", f"{DISCOVERY}/antibiotic-check", load(ADVISED)),
    "no such service to tell": (404, "POST", f"{DISCOVERY}/antibiotic-check/feedback", {"feedback": [ENTRY]}),
    "no such page": (404, "GET", f"{DISCOVERY}/lenalidomide-order-sign/cards", None),
    "a service read": (405, "GET", SIGN, None),
    "feedback read": (405, "GET", FEEDBACK_ON_SIGN, None),
    "discovery posted": (405, "POST", DISCOVERY, {}),
    "drug not sent": (412, "POST", SIGN, load(INVALID / "medication-not-sent.json")),
    "hook of another service": (422, "POST", VIEW, load(ADVISED)),
    "feedback nowhere to be kept": (503, "POST", FEEDBACK_ON_SIGN, {"feedback": [ENTRY]}),
}


def assert_readable(response: Any, status: int) -> Json:
    """An error that the page may read: an OperationOutcome."""
    assert response.status_code == status
    assert response.mimetype == "application/json"
    assert "Origin" in response.headers["Vary"]
    outcome: Json = json.loads(page().readable(response).data)
    assert outcome["resourceType"] == "OperationOutcome"
    return outcome


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_can_be_read_by_the_page(name: str) -> None:
    status, method, path, document = REFUSALS[name]
    assert assert_readable(page().call(method, path, document), status)["issue"][0]["diagnostics"]


def test_a_body_that_is_too_large_is_refused_readably() -> None:
    small = Page(create_app(Settings(body_limit=1000)).test_client())
    assert_readable(small.call("POST", SIGN, load(ADVISED)), 413)


def test_a_packed_body_is_refused_readably() -> None:
    headers = {"Origin": ORIGIN, "Content-Encoding": "gzip"}
    assert_readable(page().http.post(SIGN, data=gzip.compress(b"{}"), headers=headers), 415)


def test_a_fault_of_the_service_can_be_read_by_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Service, "answer", fail)
    assert_readable(page().call("POST", SIGN, load(ADVISED)), 500)


def test_where_clients_are_known_a_token_that_anybody_could_make_opens_nothing(tmp_path: Path) -> None:
    identity = Identity(ORIGIN, key_file=key_file(tmp_path, elliptic("hospital-1")))
    client = Client("ehr", identity, cors_origins=frozenset({ORIGIN}))
    here = Page(create_app(Settings(clients=(client,), tokens=Tokens((SERVED,)))).test_client())
    for method, path in (("GET", DISCOVERY), ("POST", SIGN), ("POST", FEEDBACK_ON_SIGN)):
        refusal = assert_readable(here.call(method, path, load(ADVISED)), 401)
        assert "diagnostics" not in refusal["issue"][0]
