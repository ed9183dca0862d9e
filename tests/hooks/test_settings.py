"""Settings from the environment: open mode is for trying out, and what is for patients never runs open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from hooks.cli import main
from hooks.clients import ANY_CLIENT
from hooks.members import NAMES, variable
from hooks.service_settings import service_settings
from hooks.settings import Settings, SettingsError, Storage

_CANNOT_BE_USED = [
    ("CDS_CLIENTS", "/nowhere/clients.yaml", "CDS_CLIENTS: nowhere/clients.yaml: is missing"),
    ("CDS_CLIENTS", "/", "CDS_CLIENTS: /: Is a directory"),
    ("CDS_PUBLIC_URL", "", "CDS_PUBLIC_URL is missing"),
    ("CDS_PUBLIC_URL", "http://cds.example", "is not an https URL"),
    ("CDS_PUBLIC_URL", "https://cds.example/cds-services", "without it"),
    ("CDS_DATA", __file__, "is not a folder"),
    ("CDS_DATA", f"{__file__}/below", "is not a folder"),
    ("CDS_THREADS", "0", "a whole number of threads"),
    ("CDS_LOG_FORMAT", "xml", "expected auto or json or text"),
    ("CDS_LOG_LEVEL", "loud", "expected INFO or WARNING or ERROR"),
    ("CDS_WORKERS", "many", "a whole number of worker processes"),
    ("CDS_PUBLIC_URL", "cds.example", "is not an https URL"),
    ("CDS_PSEUDONYM_KEY", "", "CDS_PSEUDONYM_KEY is missing"),
    ("CDS_PSEUDONYM_KEY", "k" * 31, "at least 32 characters"),
    ("CDS_PSEUDONYM_KEY_FILE", "/nowhere", "CDS_PSEUDONYM_KEY and CDS_PSEUDONYM_KEY_FILE are both given"),
    ("CDS_REQUEST_KEYS_FILE", "/nowhere", "CDS_REQUEST_KEYS_FILE cannot be used: /nowhere: No such file"),
    ("CDS_REQUEST_KEYS_FILE", "/dev/null", "CDS_REQUEST_KEYS_FILE cannot be used: /dev/null is empty"),
    ("DATABASE_URL_FILE", "/nowhere", "DATABASE_URL_FILE"),
    ("CDS_REDIS_URL_FILE", "/nowhere", "CDS_REDIS_URL_FILE"),
    ("CDS_REDIS_URL", "http://cache", "CDS_REDIS_URL cannot be read, expected redis://"),
    ("CDS_PROTOCOL", "fda", "CDS_PROTOCOL is 'fda', expected fda-label or"),
    ("CDS_CARD_PROFILE", "cerner", "CDS_CARD_PROFILE is 'cerner', expected base or epic"),
    ("CDS_TIME_ZONE", "Paris", "CDS_TIME_ZONE is 'Paris', expected an IANA name"),
    ("CDS_TIME_ZONE", "Europe", "CDS_TIME_ZONE is 'Europe', expected an IANA name"),
    ("CDS_TIME_ZONE", "", "CDS_TIME_ZONE is '', expected an IANA name"),
    ("CDS_EXPLAIN", "true", "CDS_EXPLAIN is 'true', expected 0 or 1"),
    ("CDS_SANDBOX", "on", "CDS_SANDBOX is 'on', expected 0 or 1"),
    ("CDS_BODY_LIMIT_MB", "1.5", "CDS_BODY_LIMIT_MB is '1.5', expected a whole number of megabytes, at least 1"),
    ("CDS_LOCAL_CODES", "/nowhere/codes.yaml", "CDS_LOCAL_CODES: nowhere/codes.yaml: is missing"),
    ("CDS_LOCAL_CODES", "/", "CDS_LOCAL_CODES: /: Is a directory"),
    (
        "CDS_PROGRAMME_EVIDENCE",
        "/nowhere/programme.yaml",
        "CDS_PROGRAMME_EVIDENCE: nowhere/programme.yaml: is missing",
    ),
    ("CDS_TOKEN_LEEWAY_SECONDS", "-1", "a whole number of seconds"),
    ("CDS_TOKEN_LIFE_SECONDS", "0", "a whole number of seconds"),
    ("CDS_FETCH_BUDGET_MS", "soon", "a whole number of milliseconds"),
    ("CDS_FETCH_PAGES", "0", "a whole number of pages"),
    ("CDS_FETCH_LIMIT_MB", "", "a whole number of megabytes"),
    ("CDS_CA_BUNDLE", "/nowhere.pem", "CDS_CA_BUNDLE"),
    ("CDS_CA_BUNDLE", __file__, "CDS_CA_BUNDLE"),
    ("CDS_SPOOL_LIMIT_MB", "0", "a whole number of megabytes"),
    ("CDS_MIGRATE", "yes", "expected 0 or 1"),
    ("CDS_FHIR_SERVERS", "https://ehr.example/fhir", "for open mode"),
    ("CDS_REQUEST_KEYS", "not a key", "CDS_REQUEST_KEYS"),
    ("DATABASE_URL", "mysql://db/cds", "DATABASE_URL"),
    ("DATABASE_URL", "somewhere", "DATABASE_URL"),
    ("DATABASE_URL", "postgresql://cds:password", "DATABASE_URL cannot be read"),
    ("DATABASE_URL", "sqlite://host/file", "DATABASE_URL cannot be read"),
]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_DATA", str(tmp_path))


def test_without_any_setting_it_runs_open_with_an_embedded_database(tmp_path: Path) -> None:
    settings = service_settings()
    assert settings.open_mode
    assert settings.storage is not None
    assert settings.storage.database_url == f"sqlite:///{tmp_path / 'lenalidomide-cds.sqlite'}"
    assert settings.storage.request_keys == ()
    assert settings.fetching.budget == 0.4


def test_without_any_setting_everything_is_as_the_parts_take_it_by_themselves(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'lenalidomide-cds.sqlite'}"
    assert service_settings() == replace(
        Settings(storage=Storage(tmp_path, database)), client=replace(ANY_CLIENT, time_zone=ZoneInfo("UTC"))
    )


def test_with_clients_it_is_not_open(production: pytest.MonkeyPatch) -> None:
    production.setenv("DATABASE_URL", "postgresql://cds@db/cds")
    settings = service_settings()
    assert not settings.open_mode
    assert settings.tokens.public_urls == ("https://cds.example",)
    assert [client.name for client in settings.clients] == ["ehr"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("CDS_PUBLIC_URL", "https://cds.example"),
        ("CDS_PSEUDONYM_KEY", "k" * 32),
        ("CDS_REDIS_URL", "redis://cache"),
        ("DATABASE_URL", "postgresql://db/cds"),
    ],
)
def test_open_mode_refuses_to_start_together_with_what_is_for_patients(
    setting: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(setting, value)
    assert main(["serve"]) == 2
    error = capsys.readouterr().err
    assert "CDS_CLIENTS is missing" in error
    assert setting in error
    assert value not in error


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "cds.example", "::"])
def test_open_mode_serves_this_machine_only(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--host", host]) == 2
    assert "open mode serves loopback only" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_open_mode_serves_every_loopback_address(host: str) -> None:
    assert service_settings(host=host).open_mode


def test_with_clients_every_address_is_served(production: pytest.MonkeyPatch) -> None:
    del production
    assert not service_settings(host="0.0.0.0").open_mode


@pytest.mark.parametrize(("setting", "value", "expected"), _CANNOT_BE_USED)
def test_a_setting_that_cannot_be_used_stops_the_start_and_is_named(
    setting: str, value: str, expected: str, production: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    production.setenv(setting, value)
    assert main(["serve", "--port", "1"]) == 2
    assert expected in capsys.readouterr().err


def test_of_every_setting_a_value_that_cannot_be_used_is_tried() -> None:
    assert {variable(name) for name in NAMES} - {setting for setting, _, _ in _CANNOT_BE_USED} == set()


@pytest.mark.parametrize(
    ("named", "secret"),
    [
        ("CDS_PSEUDONYM_KEY", "from a file, and long enough to be a key"),
        ("CDS_REQUEST_KEYS", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
        ("CDS_REDIS_URL", "redis://:password@cache"),
        ("DATABASE_URL", "postgresql://cds:password@db/cds"),
    ],
)
def test_a_secret_may_come_from_a_file(named: str, secret: str, production: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{secret}\n", encoding="utf-8")
    production.delenv(named, raising=False)
    production.setenv(f"{named}_FILE", str(file))
    settings = service_settings()
    assert settings.storage is not None
    assert secret in {
        settings.storage.pseudonym_key,
        *settings.storage.request_keys,
        settings.storage.database_url,
        settings.tokens.redis_url,
    }


def test_in_open_mode_servers_to_try_with_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_FHIR_SERVERS", "http://127.0.0.1:9000/fhir/, https://try.example/r4")
    servers = service_settings().client.fhir_servers
    assert [(server.url, server.private) for server in servers] == [
        ("http://127.0.0.1:9000/fhir", True),
        ("https://try.example/r4", False),
    ]


def test_even_in_open_mode_no_other_machine_is_read_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_FHIR_SERVERS", "http://ehr.example/fhir")
    with pytest.raises(SettingsError, match="is not an https URL"):
        service_settings()


def test_all_urls_of_a_setting_that_cannot_be_used_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_FHIR_SERVERS", "http://one.example/fhir, https://fine.example http://[two")
    with pytest.raises(SettingsError) as error:
        service_settings()
    told = (
        "CDS_FHIR_SERVERS cannot be used: 'http://one.example/fhir' is not an https URL without user, query and fragment; "
        "'https://[two' is not a URL"
    )
    assert error.value.problems == (told,)
