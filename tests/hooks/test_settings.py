"""Settings from the environment: open mode is for trying out, and what is for patients never runs open."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hooks.cli import main
from hooks.settings import SettingsError, check_host, from_environment
from tests.hooks.test_clients import EPIC


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_DATA", str(tmp_path))


@pytest.fixture
def production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The least that a service with clients needs."""
    file = tmp_path / "clients.yaml"
    file.write_text(yaml.safe_dump({"clients": {"epic": EPIC}}), encoding="utf-8")
    monkeypatch.setenv("CDS_CLIENTS", str(file))
    monkeypatch.setenv("CDS_PUBLIC_URL", "https://cds.example/")
    monkeypatch.setenv("CDS_PSEUDONYM_KEY", "k" * 32)
    return monkeypatch


def test_without_any_setting_it_runs_open_with_an_embedded_database(tmp_path: Path) -> None:
    settings = from_environment()
    assert settings.open_mode
    assert settings.storage is not None
    assert settings.storage.database_url == f"sqlite:///{tmp_path / 'lenalidomide-cds.sqlite'}"
    assert settings.storage.request_keys == ()
    assert settings.fetching.budget == 0.4


def test_with_clients_it_is_not_open(production: pytest.MonkeyPatch) -> None:
    production.setenv("DATABASE_URL", "postgresql://cds@db/cds")
    settings = from_environment()
    assert not settings.open_mode
    assert settings.tokens.public_urls == ("https://cds.example",)
    assert [client.name for client in settings.clients] == ["epic"]


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
    check_host(from_environment(), host)


def test_with_clients_every_address_is_served(production: pytest.MonkeyPatch) -> None:
    del production
    check_host(from_environment(), "0.0.0.0")


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("CDS_CLIENTS", "/nowhere/clients.yaml", "is missing"),
        ("CDS_PUBLIC_URL", "", "CDS_PUBLIC_URL is missing"),
        ("CDS_PUBLIC_URL", "http://cds.example", "is not an https URL"),
        ("CDS_PUBLIC_URL", "https://cds.example/cds-services", "without it"),
        ("CDS_DATA", __file__, "CDS_DATA"),
        ("CDS_THREADS", "0", "a whole number of threads"),
        ("CDS_PUBLIC_URL", "cds.example", "is not an https URL"),
        ("CDS_PSEUDONYM_KEY", "", "CDS_PSEUDONYM_KEY is missing"),
        ("CDS_PSEUDONYM_KEY", "k" * 31, "at least 32 characters"),
        ("CDS_PSEUDONYM_KEY_FILE", "/nowhere", "CDS_PSEUDONYM_KEY_FILE"),
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
    ],
)
def test_a_setting_that_cannot_be_used_stops_the_start_and_is_named(
    setting: str, value: str, expected: str, production: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    production.setenv(setting, value)
    assert main(["serve", "--port", "1"]) == 2
    assert expected in capsys.readouterr().err


def test_a_secret_may_come_from_a_file(production: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from a file, and long enough to be a key\n", encoding="utf-8")
    production.setenv("CDS_PSEUDONYM_KEY_FILE", str(file))
    settings = from_environment()
    assert settings.storage is not None
    assert settings.storage.pseudonym_key == "from a file, and long enough to be a key"


def test_in_open_mode_servers_to_try_with_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_FHIR_SERVERS", "http://127.0.0.1:9000/fhir/, https://try.example/r4")
    servers = from_environment().client.fhir_servers
    assert [(server.url, server.private) for server in servers] == [
        ("http://127.0.0.1:9000/fhir", True),
        ("https://try.example/r4", False),
    ]


def test_even_in_open_mode_no_other_machine_is_read_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_FHIR_SERVERS", "http://ehr.example/fhir")
    with pytest.raises(SettingsError, match="is not an https URL"):
        from_environment()
