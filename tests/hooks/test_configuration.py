"""A file of settings beside the environment: which wins, and that everything that is wrong is told at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from hooks.cli import main
from hooks.configuration import hospital_client, storage
from hooks.members import NAMES, variable
from hooks.service_settings import service_settings
from hooks.settings import SettingsError
from tests.support.fixtures import REQUESTS

Written = Callable[..., Path]
_URL = "postgresql://cds@db.example/cds"


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    """Writes the file of settings that ``CDS_CONFIG`` names."""
    file = tmp_path / "settings" / "config.yaml"
    file.parent.mkdir()
    monkeypatch.setenv("CDS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CDS_CONFIG", str(file))

    def write(text: str = "", **members: object) -> Path:
        file.write_text(text or yaml.safe_dump(members, sort_keys=False), encoding="utf-8")
        return file

    return write


def problems(file: str | None = None, host: str | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as error:
        service_settings(file, host=host)
    assert str(error.value) == "\n".join(error.value.problems)
    return error.value.problems


# --- Which wins ------------------------------------------------------------------------------------------------------


def test_the_file_says_what_the_environment_does_not(written: Written) -> None:
    written(body_limit_mb=3, time_zone="Europe/Paris", explain=1, fetch_budget_ms="250", protocol="ema-smpc")
    settings = service_settings()
    assert settings.body_limit == 3 * 1024 * 1024
    assert str(settings.client.time_zone) == "Europe/Paris"
    assert settings.explain
    assert settings.fetching.budget == 0.25
    assert settings.client.protocol == "ema-smpc"


def test_the_environment_wins_over_the_file_and_the_command_line_over_both(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(protocol="ema-smpc", threads=7, body_limit_mb=3)
    monkeypatch.setenv("CDS_PROTOCOL", "mskcc")
    monkeypatch.setenv("CDS_THREADS", "9")
    settings = service_settings()
    assert (settings.client.protocol, settings.threads, settings.body_limit) == ("mskcc", 9, 3 * 1024 * 1024)
    assert service_settings(protocol="revallo").client.protocol == "revallo"


def test_what_the_environment_says_hides_what_is_wrong_with_the_same_setting_in_the_file(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(threads="many")
    monkeypatch.setenv("CDS_THREADS", "9")
    assert service_settings().threads == 9


def test_an_empty_value_takes_back_what_need_not_be_there(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    written(fhir_servers="https://try.example/r4", ca_bundle="/nowhere.pem")
    monkeypatch.setenv("CDS_FHIR_SERVERS", "")
    monkeypatch.setenv("CDS_CA_BUNDLE", "")
    settings = service_settings()
    assert settings.client.fhir_servers == ()
    assert settings.fetching.ca_bundle is None


@pytest.mark.parametrize("in_environment", ["CDS_PSEUDONYM_KEY", "CDS_PSEUDONYM_KEY_FILE"])
def test_a_secret_of_the_environment_wins_in_whichever_form(
    in_environment: str, written: Written, production: pytest.MonkeyPatch
) -> None:
    file = written(pseudonym_key_file="key")
    (file.parent / "key").write_text("the key that the settings file names", encoding="utf-8")
    other = file.parent / "other"
    other.write_text("the key that the environment names", encoding="utf-8")
    production.delenv("CDS_PSEUDONYM_KEY")
    assert storage().pseudonym_key == "the key that the settings file names"

    production.setenv(in_environment, str(other) if in_environment.endswith("_FILE") else other.read_text())
    assert storage().pseudonym_key == "the key that the environment names"


def test_the_command_line_names_another_file_than_the_environment(written: Written, tmp_path: Path) -> None:
    written(threads=7)
    other = tmp_path / "other.yaml"
    other.write_text("threads: 8\n", encoding="utf-8")
    assert service_settings(str(other)).threads == 8


def test_files_are_looked_for_beside_the_file_that_names_them(
    written: Written, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = written(local_codes="codes.yaml", data="../records").parent
    (folder / "codes.yaml").write_text(
        "systems: {ours: urn:ours}\nobservations: {anc: {ours: {N: neutrophils}}}\n", encoding="utf-8"
    )
    monkeypatch.delenv("CDS_DATA")
    monkeypatch.chdir("/")
    settings = service_settings()
    assert settings.client.terminology is not None
    assert settings.storage is not None
    assert settings.storage.folder.resolve() == tmp_path / "records"


def test_several_urls_may_be_a_list(written: Written, production: pytest.MonkeyPatch) -> None:
    production.delenv("CDS_PUBLIC_URL")
    written(public_url=["https://cds.example/", "https://cds.hospital.example"])
    assert service_settings().tokens.public_urls == ("https://cds.example", "https://cds.hospital.example")


def test_a_whole_service_for_patients_stands_in_one_file(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(
        clients="clients.yaml",
        public_url="https://cds.example",
        pseudonym_key_file="pseudonym-key",
        database_url_file="database-url",
        data="data",
    ).parent
    (folder / "clients.yaml").write_text(
        "clients: {ehr: {issuer: https://ehr.example, key_sets: [https://ehr.example/keys]}}", encoding="utf-8"
    )
    (folder / "pseudonym-key").write_text("k" * 32, encoding="utf-8")
    (folder / "database-url").write_text(_URL, encoding="utf-8")
    monkeypatch.delenv("CDS_DATA")
    settings = service_settings(host="0.0.0.0")
    assert [client.name for client in settings.clients] == ["ehr"]
    assert settings.storage is not None
    assert settings.storage.database_url == _URL


# --- What is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [{"a": "b"}, [{"a": "b"}]], ids=["mapping", "list"])
def test_what_is_not_one_value_is_refused_for_every_setting(
    name: str, value: object, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CDS_DATA")
    file = written(**{name: value})
    assert [problem for problem in problems() if problem.startswith(f"{file}: {name} is ")] != []


@pytest.mark.parametrize(
    ("written_name", "meant"),
    [
        ("body_limit", "body_limit_mb"),
        ("public_urls", "public_url"),
        ("CDS_TIME_ZONE", "time_zone"),
        ("database", "database_url"),
    ],
)
def test_an_unknown_member_is_refused_with_the_name_that_was_meant(
    written_name: str, meant: str, written: Written
) -> None:
    file = written(**{written_name: "x"})
    assert problems() == (f"{file}: {written_name} is not known, did you mean {meant}?",)


@pytest.mark.parametrize(
    ("written_name", "meant"),
    [
        ("CDS_PUBLICURL", "CDS_PUBLIC_URL"),
        ("CDS_PSEUDONYM_KEYFILE", "CDS_PSEUDONYM_KEY_FILE"),
        ("CDS_DATABASE_URL", "DATABASE_URL"),
        ("CDS_CONFIG_FILE", "CDS_CONFIG"),
        ("CDS_PROT", "CDS_PROTOCOL"),
    ],
)
@pytest.mark.usefixtures("written")
def test_an_unknown_variable_is_refused_with_the_name_that_was_meant(
    written_name: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CDS_CONFIG")
    monkeypatch.setenv(written_name, "x")
    assert problems() == (f"{written_name} is not known, did you mean {meant}?",)


def test_a_name_that_is_like_none_is_refused_without_a_guess(written: Written) -> None:
    file = written(zzz=1)
    assert problems() == (f"{file}: zzz is not known",)


@pytest.mark.parametrize(
    "name",
    [
        "CDS_SERVICE_HOST",
        "CDS_SERVICE_PORT",
        "CDS_SERVICE_PORT_HTTP",
        "CDS_PORT",
        "CDS_PORT_8080_TCP",
        "CDS_PORT_8080_TCP_ADDR",
        "CDS_LENALIDOMIDE_SERVICE_HOST",
        "CDS_LENALIDOMIDE_PORT_443_TCP_PROTO",
    ],
)
def test_what_kubernetes_tells_of_services_is_no_setting(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CDS_DATA", str(tmp_path))
    monkeypatch.setenv(name, "tcp://10.0.0.1:8080")
    assert service_settings().open_mode


def test_a_port_that_an_operator_means_is_no_such_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_PORT", "9000")
    assert problems()[0].startswith("CDS_PORT is not known")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- threads\n", "expected a mapping"),
        ("threads: 1\nthreads: 2\n", "threads: stands twice (line 2)"),
        ("threads: [1\n", "not readable as YAML"),
        ("\x00", "not readable as YAML"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(text: str, said: str, written: Written) -> None:
    written(text)
    (problem,) = problems()
    assert problem.startswith("CDS_CONFIG: settings/config.yaml:")
    assert said in problem
    assert "\n" not in problem


def test_a_file_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_DATA", str(tmp_path))
    assert problems(file="/nowhere/config.yaml") == ("--config: nowhere/config.yaml: is missing",)
    monkeypatch.setenv("CDS_CONFIG", str(tmp_path))
    assert problems() == (f"CDS_CONFIG: {tmp_path}: Is a directory",)


def test_everything_that_is_wrong_anywhere_is_told_at_once(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(
        threads="0",
        fetch_pages="ten",
        time_zone="Paris",
        clients="clients.yaml",
        local_codes="codes.yaml",
        pseudonym_key_file="short",
        sandbox=1,
        bodylimit=3,
    )
    beside = {
        "clients.yaml": "clients: {ehr: {issuer: '', key_sets: [http://ehr.example], protocol: fda}}",
        "codes.yaml": "labs: {}\nsystems: {ours: hospital}",
        "short": "short",
    }
    for name, text in beside.items():
        (file.parent / name).write_text(text, encoding="utf-8")
    for name, value in {
        "CDS_FHIR_SERVERS": "ftp://ehr.example",
        "CDS_CA_BUNDLE": "/nowhere.pem",
        "CDS_PROGRAMME_EVIDENCE": "/nowhere/programme.yaml",
        "CDS_DATA": __file__,
        "DATABASE_URL": "somewhere",
        "CDS_REDIS_URL": "somewhere",
        "CDS_REQUEST_KEYS": "no key",
        "CDS_THREDS": "4",
    }.items():
        monkeypatch.setenv(name, value)

    told = problems()
    beginnings = [
        f"{file}: bodylimit is not known, did you mean body_limit_mb?",
        "CDS_THREDS is not known, did you mean CDS_THREADS?",
        f"{file}: threads is '0'",
        f"{file}: fetch_pages is 'ten'",
        f"{file}: time_zone is 'Paris'",
        "CDS_FHIR_SERVERS cannot be used",
        "CDS_PROGRAMME_EVIDENCE: nowhere/programme.yaml: is missing",
        f"{file}: local_codes: {file.parent}/codes.yaml: labs",
        f"{file}: local_codes: {file.parent}/codes.yaml: systems: ours",
        f"{file}: clients: clients.ehr.issuer",
        f"{file}: clients: clients.ehr.key_sets.0",
        f"{file}: clients: clients.ehr.protocol",
        f"{file}: pseudonym_key_file is too short",
        "CDS_PUBLIC_URL is missing",
        "CDS_FHIR_SERVERS is for open mode",
        f"{file}: sandbox is for trying out",
        "CDS_CA_BUNDLE cannot be used",
        f"CDS_DATA: {__file__} is not a folder",
        "CDS_REQUEST_KEYS: expected",
        "DATABASE_URL cannot be read",
        "CDS_REDIS_URL cannot be read",
    ]
    assert sorted(problem for problem in told if not problem.startswith(tuple(beginnings))) == []
    assert sorted(one for one in beginnings if not any(problem.startswith(one) for problem in told)) == []
    assert len(told) == len(beginnings)


def test_in_open_mode_too_everything_is_told_at_once(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    written(redis_url_file="redis", threads=0)
    monkeypatch.setenv("DATABASE_URL", _URL)
    told = "\n".join(problems(host="0.0.0.0"))
    for part in ("CDS_CLIENTS is missing", "redis_url_file, DATABASE_URL", "--host 0.0.0.0", "threads is '0'"):
        assert part in told


def test_a_part_names_a_setting_as_the_operator_wrote_it(written: Written, production: pytest.MonkeyPatch) -> None:
    file = written(database_url_file="database", redis_url_file="redis")
    for name in ("database", "redis"):
        (file.parent / name).write_text("somewhere", encoding="utf-8")
    del production
    told = problems()
    assert [problem.partition(" cannot be read")[0] for problem in told] == [
        f"{file}: database_url_file: DATABASE_URL",
        f"{file}: redis_url_file: CDS_REDIS_URL",
    ]


def test_every_variable_is_called_after_its_member() -> None:
    assert {variable(name) for name in NAMES} == {
        f"CDS_{name.upper()}" for name in NAMES if not name.startswith("database_url")
    } | {"DATABASE_URL", "DATABASE_URL_FILE"}


# --- Every command reads the same configuration ----------------------------------------------------------------------


def test_evaluate_goes_by_the_file(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    request = str(REQUESTS / "order-select-start-at-15.json")
    file = written(protocol="ema-smpc", card_profile="epic")
    assert main(["evaluate", "--config", str(file), request]) == 0
    by_file = capsys.readouterr().out
    assert '"id":"ema-smpc"' in by_file
    assert "**To be changed in the order:**" in by_file
    assert main(["evaluate", "--protocol", "mskcc", request]) == 0
    assert '"id":"mskcc"' in capsys.readouterr().out


def test_migrate_goes_by_the_file(written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = tmp_path / "elsewhere.sqlite"
    file = written(database_url_file="url")
    (file.parent / "url").write_text(f"sqlite:///{database}", encoding="utf-8")
    assert main(["migrate", "--config", str(file)]) == 0
    assert database.is_file()
    assert str(database) in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        ["serve"],
        ["demo"],
        ["evaluate", str(REQUESTS / "order-select-start-at-15.json")],
        ["discovery"],
        ["replay", "id"],
        ["report", "decisions"],
        ["report", "overrides"],
        ["migrate"],
        ["config", "check"],
    ],
    ids=" ".join,
)
def test_no_command_goes_on_with_a_setting_that_cannot_be_used(
    command: list[str], written: Written, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(body_limit_mb="x")
    monkeypatch.delenv("CDS_CONFIG")
    monkeypatch.setenv("CDS_THREDS", "4")
    assert main([*command, "--config", str(file)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "CDS_THREDS is not known, did you mean CDS_THREADS?",
        f"{file}: body_limit_mb is 'x', expected a whole number of megabytes, at least 1",
    ]


def test_evaluate_opens_no_file_that_only_a_server_needs(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    written(clients="nowhere.yaml", pseudonym_key_file="nowhere", ca_bundle="nowhere.pem")
    assert main(["evaluate", "--cards", str(REQUESTS / "order-sign-clean-renewal.json")]) == 0
    assert "in order" in capsys.readouterr().out
    assert hospital_client().name == "open"
