"""What two services must do together: one memory for tokens, one record, the same answers, and no call lost when one goes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.test import Client

from hooks import answer
from hooks.overrides import Line, override_report
from hooks.store import DECISION, FEEDBACK
from hooks.wire import encode
from tests.support.fixtures import REQUESTS, Json, service_of
from tests.support.hospital import ADVISED, ORDER_SIGN, Hospital, bundled, wait_for
from tests.support.replicas import PUBLIC_URL, SERVED_BY, Replicas, hospitals_client, missing, strangers_client
from tests.support.today import moved_to_today
from tests.support.tokens import FEEDBACK as FEEDBACK_PATH
from tests.support.tokens import SERVICE, token_for
from tests.support.traffic import Traffic, assert_nothing_lost

if (lacking := missing()) is not None:
    pytest.skip(lacking, allow_module_level=True)

DISCOVERY = "/cds-services"
ENOUGH = 10  # calls, so that both had some
_DECISION = "org.lenalidomide-maintenance.decision"
_BODIES: dict[str, Json] = {
    SERVICE: {name: value for name, value in bundled(ADVISED).items() if name != "extension"},
    FEEDBACK_PATH: {"feedback": [{"card": "any", "outcome": "accepted", "outcomeTimestamp": "2024-05-15T09:00:00Z"}]},
}


@pytest.fixture
def clients(pair: Replicas) -> list[Client]:
    """The hospital at each replica, past the proxy."""
    return [hospitals_client(replica.url) for replica in pair.both]


def called(url: str, path: str, token: str) -> int:
    http, headers = strangers_client(url), {"Authorization": f"Bearer {token}"}
    response = (
        http.get(path, headers=headers) if path == DISCOVERY else http.post(path, headers=headers, json=_BODIES[path])
    )
    return response.status_code


def of_draft(draft: str, hook: str) -> Json:
    """The advised order at a hook, as a draft of its own."""
    request = bundled(ADVISED, hook=hook)
    (entry,) = request["context"]["draftOrders"]["entry"]
    entry["resource"]["id"] = draft
    if hook == "order-select":
        request["context"]["selections"] = [f"MedicationRequest/{draft}"]
    return request


def the_card(http: Client, request: Json) -> Json:
    response = http.post(f"{DISCOVERY}/{service_of(request['hook'])}", json=request)
    (card,) = response.get_json()["cards"]
    return dict(card)


def told(running: Hospital) -> list[Line]:
    with running.store() as store:
        return list(override_report(store, since=None, until=None, zone=UTC, rate=1, at_least=1).lines)


# --- Tokens ---


@pytest.mark.parametrize("path", [DISCOVERY, SERVICE, FEEDBACK_PATH])
def test_a_token_used_at_one_is_refused_at_the_other(pair: Replicas, path: str) -> None:
    for here, there in (pair.both, reversed(pair.both)):
        token = token_for(PUBLIC_URL + path)
        assert [called(url, path, token) for url in (here.url, there.url, pair.url)] == [200, 401, 401]


def test_of_many_calls_at_once_with_one_token_exactly_one_is_answered(pair: Replicas) -> None:
    token = token_for(PUBLIC_URL + SERVICE)
    with ThreadPoolExecutor(8) as pool:
        statuses = Counter(pool.map(lambda _: called(pair.url, SERVICE, token), range(16)))
    assert statuses == {200: 1, 401: 15}


# --- Answers ---


def test_the_proxy_gives_calls_to_both(http: Client) -> None:
    assert {http.get("/healthz").headers[SERVED_BY] for _ in range(4)} == {"first", "second"}


def test_both_discover_the_same_bytes(clients: list[Client]) -> None:
    first, second = (http.get(DISCOVERY).get_data() for http in clients)
    assert len(json.loads(first)["services"]) == 3
    assert first == second


def test_both_answer_bundled_requests_with_the_bytes_that_the_library_gives(clients: list[Client]) -> None:
    differing = []
    for file in sorted(REQUESTS.glob("*.json"))[::3]:
        request = moved_to_today(file.read_text(encoding="utf-8"))
        began = datetime.now(UTC)
        posted = [http.post(f"{DISCOVERY}/{service_of(request['hook'])}", data=encode(request)) for http in clients]
        expected = [encode(answer(request, now=now)) for now in (began, datetime.now(UTC))]
        # Some cards tell a date: at midnight there are two right answers.
        if not all(response.get_data(as_text=True) in expected for response in posted):
            differing.append(file.stem)
    assert differing == []


# --- Records ---


def test_feedback_at_one_answers_the_card_of_the_other(running: Hospital, clients: list[Client]) -> None:
    for number, (here, there) in enumerate((clients, reversed(clients))):
        card = the_card(here, of_draft(f"draft-{number}", "order-sign"))
        entry = {"card": card["uuid"], "outcome": "overridden", "overrideReason": {"reason": {"code": "bleeding-risk"}}}
        assert there.post(f"{DISCOVERY}/{ORDER_SIGN}/feedback", json={"feedback": [entry]}).status_code == 200
    (line,) = told(running)
    assert (line.shown, line.overridden, line.reasons) == (2, 2, {"bleeding-risk": 2})


def test_advice_overridden_at_one_is_known_again_at_the_next_hook_at_the_other(
    running: Hospital, clients: list[Client]
) -> None:
    """By its topic and its decision: so a record system honours what was said before."""
    here, there = clients
    at_select = the_card(here, of_draft("draft-1", "order-select"))
    entry = {"card": at_select["uuid"], "outcome": "overridden", "outcomeTimestamp": "2024-05-15T09:00:00Z"}
    assert here.post(f"{DISCOVERY}/lenalidomide-order-select/feedback", json={"feedback": [entry]}).status_code == 200
    at_sign = the_card(there, of_draft("draft-1", "order-sign"))
    assert at_sign["source"]["topic"] == at_select["source"]["topic"]
    assert at_sign["extension"][_DECISION] == at_select["extension"][_DECISION]
    (line,) = told(running)
    assert (line.shown, line.overridden) == (1, 1)


def test_the_same_feedback_sent_to_both_is_recorded_once(running: Hospital, clients: list[Client]) -> None:
    for http in clients:
        assert http.post(FEEDBACK_PATH, json=_BODIES[FEEDBACK_PATH]).status_code == 200
    assert len(recorded(running, FEEDBACK.c.id)) == 1


def test_a_patient_has_one_pseudonym_at_both(running: Hospital, clients: list[Client]) -> None:
    for http in clients:
        the_card(http, of_draft("draft-1", "order-sign"))
    assert len(recorded(running, DECISION.c.id)) == 2
    assert len(set(recorded(running, DECISION.c.patient))) == 1


def recorded(running: Hospital, column: Any) -> list[str]:
    with running.store() as store, store.reading() as connection:
        return list(connection.execute(select(column)).scalars())


# --- One goes ---


@contextmanager
def traffic(running: Hospital) -> Iterator[Traffic]:
    calls = Traffic(running, pause=0.02)
    calls.start()
    try:
        wait_for(lambda: len(calls.decisions) > ENOUGH)
        yield calls
        so_far = len(calls.decisions)
        wait_for(lambda: len(calls.decisions) > so_far + ENOUGH)
    finally:
        calls.stop()


def test_one_is_replaced_and_no_call_fails_and_no_record_is_lost(pair: Replicas, running: Hospital) -> None:
    replica = pair.both[0]
    with traffic(running) as calls:
        pair.take_out(replica)
        assert replica.stop() == 0
        replica.start()
        pair.put_back(replica)
    assert calls.refused == []
    assert_nothing_lost(running, calls)


def test_one_is_killed_and_the_other_goes_on_and_what_was_acknowledged_is_on_record_at_the_end(
    pair: Replicas, running: Hospital
) -> None:
    victim = pair.both[1]
    with traffic(running) as calls:
        victim.kill()
        so_far = len(calls.decisions)
        wait_for(lambda: len(calls.decisions) > so_far + ENOUGH)
        victim.start()
        pair.put_back(victim)
    assert_nothing_lost(running, calls)
