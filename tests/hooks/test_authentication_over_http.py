"""What a client sees of authentication: at each endpoint a way in for its own tokens, and for others no word why."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from werkzeug.test import Client, TestResponse

from hooks.app import create_app
from hooks.settings import Settings, Storage, Tokens
from tests.support.fixtures import REQUESTS, load
from tests.support.tokens import FEEDBACK, SERVICE, Json, client, elliptic, key_file, token_for

_DISCOVERY = "/cds-services"
_URL = "https://cds.example"
_ENDPOINTS = (_DISCOVERY, SERVICE, FEEDBACK)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A service for one hospital, with a folder that its workers share."""
    return Settings(
        clients=(client("hospital", key_file(tmp_path, elliptic())),),
        tokens=Tokens(public_urls=(_URL,)),
        storage=Storage(tmp_path / "data", f"sqlite:///{tmp_path / 'data' / 'record.sqlite'}"),
    )


@pytest.fixture
def service(settings: Settings) -> Iterator[Client]:
    app = create_app(settings)
    yield app.test_client()
    app.extensions["service"].close()


@pytest.mark.parametrize("member", ["now", "card-profile"])
def test_a_hospitals_request_chooses_neither_its_time_nor_how_its_cards_look(service: Client, member: str) -> None:
    wanted = {"now": "2024-05-15T09:00:00Z", "card-profile": "base"}[member]
    request = {**_body(SERVICE), "extension": {f"org.lenalidomide-maintenance.{member}": wanted}}
    response = service.post(SERVICE, headers={"Authorization": f"Bearer {_token(SERVICE)}"}, json=request)
    assert response.status_code == 422
    assert f"extension.org.lenalidomide-maintenance.{member}: is not allowed here" in response.text


def test_an_answer_that_is_not_explained_does_not_tell_how_long_its_stages_took(service: Client) -> None:
    response = _call(service, SERVICE, f"Bearer {_token(SERVICE)}")
    assert response.status_code == 200
    assert "Server-Timing" not in response.headers


def _token(path: str, **changed: Any) -> str:
    return token_for(_URL + path, **changed)


def _body(path: str) -> Json:
    if path == FEEDBACK:
        return {"feedback": [{"card": str(uuid4()), "outcome": "accepted", "outcomeTimestamp": "2024-05-15T09:00:00Z"}]}
    request = next(load(file) for file in sorted(REQUESTS.glob("*.json")) if load(file)["hook"] == "order-sign")
    return {name: value for name, value in request.items() if name != "extension"}


def _call(service: Client, path: str, authorization: str | None) -> TestResponse:
    headers = {} if authorization is None else {"Authorization": authorization}
    if path == _DISCOVERY:
        return service.get(path, headers=headers)
    return service.post(path, headers=headers, json=_body(path))


def _refused(response: TestResponse) -> bool:
    """Refused, with nothing in the answer that says why."""
    if response.status_code != 401:
        return False
    assert response.json == {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "login"}]}
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers["Cache-Control"] == "no-store"
    return True


@pytest.mark.parametrize("path", _ENDPOINTS)
def test_r93_each_endpoint_answers_to_a_token_of_its_own(service: Client, path: str) -> None:
    assert _call(service, path, f"Bearer {_token(path)}").status_code == 200


def test_r96_feedback_may_be_sent_with_a_token_for_the_service(service: Client) -> None:
    assert _call(service, FEEDBACK, f"Bearer {_token(SERVICE)}").status_code == 200


@pytest.mark.parametrize(
    ("called", "named"),
    [pair for pair in product(_ENDPOINTS, repeat=2) if pair[0] != pair[1] and pair != (FEEDBACK, SERVICE)],
)
def test_a_token_for_one_endpoint_opens_no_other(service: Client, called: str, named: str) -> None:
    assert _refused(_call(service, called, f"Bearer {_token(named)}"))


@pytest.mark.parametrize("path", [*_ENDPOINTS, "/cds-services/no-such-service"])
def test_r92_r102_who_brings_no_token_or_a_bad_one_is_refused_without_a_reason(service: Client, path: str) -> None:
    tampered = _token(path)[:-8] + "AAAAAAAA"
    for authorization in (None, "Basic eDp5", "Bearer x", f"Bearer {tampered}", f"Bearer {_token(path, exp=1)}"):
        assert _refused(_call(service, path, authorization))


@pytest.mark.parametrize("path", _ENDPOINTS)
def test_a_token_is_good_for_one_call_to_any_worker_of_the_machine(settings: Settings, path: str) -> None:
    workers = [create_app(settings) for _ in range(2)]
    token = _token(path)

    assert _call(workers[0].test_client(), path, f"Bearer {token}").status_code == 200
    assert [_refused(_call(worker.test_client(), path, f"Bearer {token}")) for worker in workers] == [True, True]
    for worker in workers:
        worker.extensions["service"].close()


def test_r102_the_log_says_why_in_one_line_and_never_holds_the_token(
    service: Client, caplog: pytest.LogCaptureFixture
) -> None:
    token = _token(SERVICE, exp=1, jti="visit-7")
    with caplog.at_level(logging.INFO):
        _call(service, SERVICE, f"Bearer {token}")

    (line,) = [record.getMessage() for record in caplog.records if "expired" in record.getMessage()]
    assert "jti 'visit-7'" in line
    assert len(line.splitlines()) == 1
    assert not any(part in caplog.text for part in token.split("."))


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_who_looks_after_the_service_needs_no_token(service: Client, path: str) -> None:
    assert service.get(path).status_code == 200
