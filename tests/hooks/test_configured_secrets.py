"""No secret is ever shown: not in a problem, an exception, a traceback with its variables, a repr, or what is printed."""

from __future__ import annotations

import re
from pathlib import Path
from traceback import TracebackException

import pytest

from hooks.cli import main
from hooks.configuration import read_configuration
from hooks.members import SECRETS, variable
from hooks.service_settings import service_settings
from hooks.settings import SettingsError

_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="  # always the same: tests that are shared out must have the same names
_CANARY = "canary7d1"
_VALID = {
    "CDS_PSEUDONYM_KEY": f"{_CANARY}-{'k' * 32}",
    "CDS_REQUEST_KEYS": _KEY,
    "CDS_REDIS_URL": f"redis://:{_CANARY}@cache.example/0",
    "DATABASE_URL": f"postgresql://cds:{_CANARY}@db.example/cds?application_name={_CANARY}",
}
_UNUSABLE = [
    ("CDS_PSEUDONYM_KEY", _CANARY),
    ("CDS_REQUEST_KEYS", _CANARY),
    ("CDS_REQUEST_KEYS", f"{_KEY},{_CANARY}"),
    ("CDS_REDIS_URL", _CANARY),
    ("CDS_REDIS_URL", f"http://:{_CANARY}@cache"),
    ("CDS_REDIS_URL", f"redis://:{_CANARY}/x@cache"),
    ("CDS_REDIS_URL", f"redis://cache:{_CANARY}"),
    ("CDS_REDIS_URL", f"redis://cache?{_CANARY}=1"),
    ("DATABASE_URL", _CANARY),
    ("DATABASE_URL", f"{_CANARY}://host/database"),
    ("DATABASE_URL", f"mysql://cds:{_CANARY}@db/cds"),
    ("DATABASE_URL", f"postgresql://cds:{_CANARY}"),
    ("DATABASE_URL", f"postgresql://cds:half@{_CANARY}@db/cds"),
    ("DATABASE_URL", f"postgresql://cds:{_CANARY}@db:port/cds"),
    ("DATABASE_URL", f"sqlite://{_CANARY}@/file"),
]


def _told_of(error: BaseException) -> str:
    """All that a logger could make of an exception, the variables of every frame below the test among it."""
    assert error.__traceback__ is not None
    frames = TracebackException(type(error), error, error.__traceback__.tb_next, capture_locals=True)
    return "".join(frames.format()) + repr(error) + repr(error.__context__) + repr(error.__cause__)


def _printed_by_failed(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(command) == 2
    printed = capsys.readouterr()
    assert printed.err
    return printed.out + printed.err


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_DATA", str(tmp_path))


@pytest.fixture
def with_secrets(production: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A service for patients with every secret there is."""
    assert set(_VALID) == {variable(name) for name in SECRETS}
    for name, value in _VALID.items():
        production.setenv(name, value)
    return production


def test_settings_are_printed_without_secrets(
    with_secrets: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, configuration = service_settings(), read_configuration()
    assert main(["config", "check"]) == 0
    shown = f"{settings!r} {settings} {settings.storage} {settings.tokens} {configuration!r} {capsys.readouterr().out}"
    assert settings.storage is not None
    assert settings.storage.database_url == _VALID["DATABASE_URL"]
    assert _CANARY not in shown
    assert _VALID["CDS_REQUEST_KEYS"] not in shown
    for name in SECRETS:
        assert re.search(rf"\b{name} +environment +set\b", shown)
    del with_secrets


@pytest.mark.parametrize(("name", "value"), _UNUSABLE)
@pytest.mark.parametrize("source", ["environment", "file"])
def test_a_secret_that_cannot_be_used_is_not_repeated(
    name: str,
    value: str,
    source: str,
    with_secrets: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if source == "file":
        file = tmp_path / "secret"
        file.write_text(value, encoding="utf-8")
        with_secrets.delenv(name)
        name, value = f"{name}_FILE", str(file)
    with_secrets.setenv(name, value)
    with_secrets.setenv("CDS_THREADS", "0")

    with pytest.raises(SettingsError) as error:
        service_settings()
    assert any(name.removesuffix("_FILE") in problem for problem in error.value.problems)
    told = _told_of(error.value)
    for command in (["serve"], ["config", "check"]):
        told += _printed_by_failed(command, capsys)
    assert _CANARY not in told
    assert _VALID["CDS_REQUEST_KEYS"] not in told


@pytest.mark.parametrize("command", [["migrate"], ["report", "decisions"], ["replay", "x"]], ids=" ".join)
@pytest.mark.parametrize("value", [value for name, value in _UNUSABLE if name == "DATABASE_URL"])
def test_commands_on_records_do_not_repeat_it_either(
    command: list[str], value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", value)
    assert _CANARY not in _printed_by_failed(command, capsys)


@pytest.mark.parametrize("name", sorted(SECRETS))
@pytest.mark.parametrize(
    "text",
    [
        "{name}: {secret}\n",
        "{name}: [{secret}]\n",
        "{name}: {{{secret}: {secret}}}\n",
        "{name}: *{secret}\n",
        "{name}: {secret}\n\tbroken",
        "{name}: '{secret}\n",
        "{name}: {secret}\n{name}: {secret}\n",
        "{name}x: {secret}\n",
        "{name}: {secret}\nthreads: 0\n",
    ],
)
def test_a_secret_in_the_file_of_settings_is_refused_and_not_repeated(
    name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text.format(name=name, secret=_CANARY), encoding="utf-8")
    monkeypatch.setenv("CDS_CONFIG", str(file))

    with pytest.raises(SettingsError) as error:
        service_settings()
    told = _told_of(error.value) + repr(read_configuration())
    for command in (["serve"], ["config", "check"], ["migrate"], ["discovery"]):
        told += _printed_by_failed(command, capsys)
    assert _CANARY not in told
    if text == "{name}: {secret}\n":
        assert error.value.problems[0] == (
            f"{file}: {name} is a secret, expected in a file of its own that {name}_file names, "
            f"or in the environment as {variable(name)}"
        )


def test_a_secret_that_is_no_text_is_not_repeated(
    with_secrets: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(_CANARY.encode() + b"\xe9" + _CANARY.encode())
    with_secrets.delenv("CDS_PSEUDONYM_KEY")
    with_secrets.setenv("CDS_PSEUDONYM_KEY_FILE", str(file))
    with pytest.raises(
        SettingsError, match=r"CDS_PSEUDONYM_KEY_FILE cannot be used: .* is not a text in UTF-8"
    ) as error:
        service_settings()
    told = _told_of(error.value) + _printed_by_failed(["serve"], capsys)
    assert _CANARY not in told
    assert "0xe9" not in told


@pytest.mark.parametrize(
    "url",
    [
        f"https://cds:{_CANARY}@cds.example",
        f"https://cds:half@{_CANARY}@cds.example",
        f"https://cds:{_CANARY}/x@cds.example",
        f"https://cds.example?token={_CANARY}",
        f"https://cds.example#{_CANARY}",
        f"http://cds:{_CANARY}@127.0.0.1",
        f"https://cds:{_CANARY}@[::1",
        f"https://cds:{_CANARY}@cds.example\u2100",
    ],
)
def test_a_password_in_any_other_url_is_not_repeated(
    url: str, production: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the addresses of the service and of FHIR servers, and in the file of clients."""
    production.setenv("CDS_PUBLIC_URL", url)
    production.setenv("CDS_FHIR_SERVERS", url)
    (tmp_path / "clients.yaml").write_text(
        f"clients: {{ehr: {{issuer: x, key_sets: ['{url}'], fhir_servers: [{{url: '{url}'}}], cors_origins: ['{url}']}}}}",
        encoding="utf-8",
    )
    with pytest.raises(SettingsError) as error:
        service_settings()
    assert len([problem for problem in error.value.problems if "URL" in problem or "origin" in problem]) >= 5
    assert _CANARY not in _told_of(error.value) + _printed_by_failed(["config", "check"], capsys)
