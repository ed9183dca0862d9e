"""The file of clients: what it may say, and that a faulty one stops the start with all that is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from cds.findings import Indicator
from hooks.app import create_app
from hooks.clients import Client, ClientsError, FhirServer, Identity, read_clients
from hooks.settings import Settings
from tests.support.fixtures import Json
from tests.support.hospital import ADVISED, bundled, hospital

EPIC: Json = {
    "issuer": "https://ehr.example/api/FHIR/R4",
    "subject": "8f2c1c3e",
    "key_sets": ["https://ehr.example/api/epic/2019/Security/PublicKeys/530027/OIDC"],
    "fhir_servers": [{"url": "https://ehr.example/api/FHIR/R4/", "private": True}],
    "protocol": "ema-smpc",
    "card_profile": "epic",
    "time_zone": "Europe/Paris",
    "shown": {"order-select": {"least": "critical"}, "patient-view": {"also": []}},
    "cors_origins": ["https://ehr.example"],
}


def written(folder: Path, **clients: Any) -> Path:
    file = folder / "clients.yaml"
    file.write_text(yaml.safe_dump({"clients": clients}), encoding="utf-8")
    return file


def test_a_client_is_as_its_entry_says(tmp_path: Path) -> None:
    (client,) = read_clients(written(tmp_path, epic=EPIC), Client())

    assert client.name == "epic"
    assert client.identity == Identity(
        "https://ehr.example/api/FHIR/R4", "8f2c1c3e", frozenset(), tuple(EPIC["key_sets"]), None
    )
    assert client.fhir_servers == (FhirServer("https://ehr.example/api/FHIR/R4", private=True),)
    assert (client.protocol, client.card_profile, client.time_zone) == ("ema-smpc", "epic", ZoneInfo("Europe/Paris"))
    assert client.cors_origins == {"https://ehr.example"}


def test_what_an_entry_does_not_say_is_as_for_all(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{}", encoding="utf-8")
    defaults = Client(protocol="mskcc", time_zone=ZoneInfo("Asia/Tokyo"))
    (client,) = read_clients(written(tmp_path, small={"issuer": "x", "key_file": "keys.json"}), defaults)

    assert (client.protocol, client.time_zone, client.fhir_servers) == ("mskcc", ZoneInfo("Asia/Tokyo"), ())
    assert client.shown_at == defaults.shown_at
    assert client.identity is not None
    assert client.identity.key_file == tmp_path / "keys.json"


def test_what_is_shown_at_a_hook_is_the_clients_choice(tmp_path: Path) -> None:
    (client,) = read_clients(written(tmp_path, epic=EPIC), Client())
    assert client.shown_at["order-select"].least is Indicator.CRITICAL
    assert client.shown_at["order-sign"] == Client().shown_at["order-sign"]
    assert client.shown_at["patient-view"].also == frozenset()


def test_a_client_that_wants_only_critical_cards_gets_no_others(tmp_path: Path) -> None:
    entry = {**EPIC, "shown": {"order-sign": {"least": "critical", "also": []}}, "protocol": "fda-label"}
    (client,) = read_clients(written(tmp_path, epic=entry), Client())
    with hospital(tmp_path, client=client) as running:
        assert running.cards(ADVISED) == []
        assert [card["indicator"] for card in running.cards("order-sign-untreated-thrombosis")] == ["critical"]


def changed(**members: Any) -> Json:
    return {**EPIC, **members}


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        (changed(issuer=""), "clients.epic.issuer"),
        ({key: value for key, value in EPIC.items() if key != "issuer"}, "clients.epic.issuer"),
        (changed(isuer="typed wrong"), "clients.epic.isuer"),
        (changed(key_sets=[]), "expected key_sets (URLs) or key_file"),
        (changed(key_sets=["http://ehr.example/keys"]), "is not an https URL"),
        (changed(key_sets=["https://user@ehr.example/keys"]), "is not an https URL"),
        (changed(key_file="nowhere.json"), "nowhere.json: No such file or directory"),
        (changed(key_file="."), "clients.epic.key_file"),
        (changed(fhir_servers=[{"url": "http://ehr.example/fhir"}]), "is not an https URL"),
        (changed(fhir_servers=[{"url": "https://ehr.example/fhir?x=1"}]), "is not an https URL"),
        (changed(fhir_servers=[{"url": "https://ehr.example:99999/fhir"}]), "is not a URL"),
        (changed(fhir_servers=["https://ehr.example/fhir"]), "clients.epic.fhir_servers.0"),
        (changed(protocol="fda"), "clients.epic.protocol"),
        (changed(card_profile="cerner"), "clients.epic.card_profile"),
        (changed(time_zone="Paris"), "is not an IANA time zone"),
        (changed(time_zone="Europe"), "is not an IANA time zone"),
        (changed(shown={"order-dispatch": {}}), "clients.epic.shown"),
        (changed(shown={"order-sign": {"least": "fatal"}}), "clients.epic.shown.order-sign.least"),
        (changed(shown={"order-sign": {"also": ["heme.no-such-rule"]}}), "is no rule"),
        (changed(cors_origins=["https://ehr.example/"]), "is not an origin"),
        (changed(cors_origins=["https://user:password@ehr.example"]), "is not an origin"),
        (changed(cors_origins=["*"]), "is not an origin"),
    ],
)
def test_a_faulty_entry_is_refused_and_named(entry: Json, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ClientsError) as error:
        read_clients(written(tmp_path, epic=entry), Client())
    assert complaint in str(error.value)


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ClientsError) as error:
        read_clients(written(tmp_path, epic=changed(protocol="fda", time_zone="Paris")), Client())
    assert "protocol" in str(error.value)
    assert "time_zone" in str(error.value)


@pytest.mark.parametrize("text", ["", "clients: {}", "clients: [epic]", "- epic", "clients:\n\tepic", "other: 1"])
def test_a_file_without_clients_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "clients.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ClientsError):
        read_clients(file, Client())


def test_clients_of_one_issuer_are_told_apart_by_their_tenants(tmp_path: Path) -> None:
    file = written(tmp_path, one=changed(tenants=["a"]), other=changed(tenants=["b"]))
    assert len(read_clients(file, Client())) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [({}, {}), ({"tenants": ["a"]}, {}), ({"tenants": ["a"]}, {"tenants": ["a", "b"]})],
)
def test_clients_that_a_token_could_not_tell_apart_are_refused(one: Json, other: Json, tmp_path: Path) -> None:
    file = written(tmp_path, one=changed(**one), other=changed(**other))
    with pytest.raises(ClientsError, match="stands for several clients"):
        read_clients(file, Client())


# --- CORS (row 104 of the conformance list) ---

ENDPOINTS = (
    ("GET", "/cds-services"),
    ("POST", "/cds-services/lenalidomide-order-sign"),
    ("POST", "/cds-services/lenalidomide-order-sign/feedback"),
)


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_r104_a_preflight_from_an_allowed_origin_needs_no_authentication(
    method: str, path: str, tmp_path: Path
) -> None:
    app = create_app(Settings(clients=read_clients(written(tmp_path, epic=EPIC), Client())))
    response = app.test_client().options(
        path,
        headers={
            "Origin": "https://ehr.example",
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization, content-type",
        },
    )
    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Origin"] == "https://ehr.example"
    assert method in response.headers["Access-Control-Allow-Methods"]
    assert response.headers["Access-Control-Allow-Headers"] == "authorization, content-type"
    assert "Origin" in response.headers["Vary"]


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_r104_a_page_may_read_errors_too(method: str, path: str, tmp_path: Path) -> None:
    app = create_app(Settings(clients=read_clients(written(tmp_path, epic=EPIC), Client())))
    response = app.test_client().open(path, method=method, headers={"Origin": "https://ehr.example"})
    assert response.status_code == 401
    assert response.headers["Access-Control-Allow-Origin"] == "https://ehr.example"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://ehr.example.evil", "null", "http://ehr.example", "http://[half"]
)
def test_r104_another_origin_is_told_nothing(origin: str, tmp_path: Path) -> None:
    for settings in (Settings(clients=read_clients(written(tmp_path, epic=EPIC), Client())), Settings()):
        for method, path in ENDPOINTS:
            for asked in ("OPTIONS", method):
                response = create_app(settings).test_client().open(path, method=asked, headers={"Origin": origin})
                assert [name for name, _ in response.headers if name.startswith("Access-Control")] == []


@pytest.mark.parametrize("origin", ["http://localhost:8080", "http://127.0.0.1:3000", "https://sandbox.cds-hooks.org"])
def test_r104_in_open_mode_pages_of_this_machine_and_the_public_sandbox_may_call(origin: str) -> None:
    http = create_app(Settings()).test_client()
    response = http.post(
        "/cds-services/lenalidomide-order-sign", data=json.dumps(bundled(ADVISED)), headers={"Origin": origin}
    )
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == origin
