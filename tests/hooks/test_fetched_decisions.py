"""A decision on fetched data, from the hook call to its replay: the data are kept with it, the access token is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hooks.app import create_app
from hooks.cli import main
from hooks.secrecy import Seal, new_key
from hooks.settings import Fetching, Settings, Storage
from hooks.store import Store
from tests.support.fetching import TOKEN, bundled
from tests.support.fetching import Hospital as RecordSystem
from tests.support.fhir_server import FhirServerProcess
from tests.support.hospital import KEY

CASE = "order-sign-first-neutropenia"


def decided(system: RecordSystem, storage: Storage, budget: float) -> tuple[str, list[dict[str, str]]]:
    """The id of the decision on a request without prefetch, and its cards."""
    app = create_app(Settings(system.client, fetching=Fetching(budget=budget), storage=storage))
    # JSON has no decimals of its own; the body is what a record system would send.
    body = json.dumps(system.request(CASE), default=float)
    response = app.test_client().post("/cds-services/lenalidomide-order-sign", data=body)
    app.extensions["service"].close()
    assert response.status_code == 200
    return response.headers["X-Decision-Id"], response.get_json()["cards"]


@pytest.mark.parametrize(("behaviour", "budget"), [("well", 10.0), ("status-403", 10.0)])
def test_a_decision_on_fetched_data_is_replayed_without_the_server_and_without_the_token(
    fhir_server: FhirServerProcess,
    behaviour: str,
    budget: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    key = new_key()
    url = f"sqlite:///{tmp_path / 'records.sqlite'}"
    system = RecordSystem(fhir_server, behaviour)
    identifier, cards = decided(system, Storage(tmp_path, url, KEY, (key,)), budget)
    asked = len(system.asked)
    assert asked > 10
    assert cards

    store = Store(url)
    decision = store.decision(identifier)
    store.close()
    assert decision is not None
    assert decision.sealed is not None
    kept = Seal([key]).opened(decision.sealed)
    assert TOKEN not in json.dumps(kept, default=str)
    assert set(kept["request"]["prefetch"]) >= bundled(CASE)["prefetch"].keys()

    for name, value in (("CDS_DATA", str(tmp_path)), ("DATABASE_URL", url), ("CDS_REQUEST_KEYS", key)):
        monkeypatch.setenv(name, value)
    assert main(["replay", identifier]) == 0
    assert "byte-identical" in capsys.readouterr().out
    assert len(system.asked) == asked


def test_where_nothing_comes_in_time_the_decision_says_so(fhir_server: FhirServerProcess, tmp_path: Path) -> None:
    storage = Storage(tmp_path, f"sqlite:///{tmp_path / 'records.sqlite'}", KEY)
    _, cards = decided(RecordSystem(fhir_server, "silent"), storage, 0.2)
    assert "no answer in time" in cards[0]["detail"]
