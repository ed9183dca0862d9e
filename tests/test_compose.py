"""The compose file: valid, without a password, closed to the network, and what it starts is a service that starts."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from hooks import workers
from tests.support.deployed import (
    DEPLOY,
    OPERATOR,
    PASSWORD_IN_URL,
    SECRET_SETTINGS,
    SECRETS,
    Json,
    data_folder,
    in_dockerfile,
    started,
    undocumented,
    write_secrets,
)

FILE = DEPLOY / "compose.yaml"
COMPOSE: Json = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICE: Json = COMPOSE["services"]["service"]
DATABASE: Json = COMPOSE["services"]["database"]
BOTH = pytest.mark.parametrize("one", [SERVICE, DATABASE], ids=["service", "database"])
_VARIABLE = re.compile(r"\$\{(\w+)(?::([?-])(.*?))?\}")


def environment(one: Json, given: Mapping[str, str]) -> dict[str, str]:
    """What a container is told, where the operator has given some variables."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        return given[name] if kind != "-" else given.get(name, rest)

    return {name: _VARIABLE.sub(value, str(text)) for name, text in one["environment"].items()}


GIVEN = {"CDS_PUBLIC_URL": "https://cds.hospital.example"}


def test_it_is_what_the_compose_specification_asks_for() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    assert subprocess.run(check, check=False, capture_output=True, text=True).returncode == 0


@BOTH
def test_no_container_may_more_than_it_needs(one: Json) -> None:
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["user"] not in {"", "0", "root"}
    assert {"mem_limit", "pids_limit"} <= one.keys()
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode"} & one.keys()


@BOTH
def test_every_container_has_a_health_check_comes_back_by_itself_and_fills_no_disk_with_its_log(one: Json) -> None:
    assert one["healthcheck"]["test"][0] == "CMD"
    assert one["restart"] == "unless-stopped"
    assert {"max-size", "max-file"} <= one["logging"]["options"].keys()


@BOTH
def test_every_image_is_of_a_named_version(one: Json) -> None:
    assert one["image"].partition(":")[2] not in {"", "latest"}


def test_the_service_is_this_version_runs_as_the_images_user_and_is_asked_for_its_health() -> None:
    assert SERVICE["image"] == f"lenalidomide-cds:{version('lenalidomide-cds')}"
    assert f"docker build -t {SERVICE['image']} " in OPERATOR
    assert SERVICE["user"] == in_dockerfile("USER")
    assert f"http://127.0.0.1:{in_dockerfile('EXPOSE')}/healthz" in SERVICE["healthcheck"]["test"][-1]


def test_only_this_machine_reaches_the_service_and_only_the_service_the_database() -> None:
    port = in_dockerfile("EXPOSE")
    assert SERVICE["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert "ports" not in DATABASE
    (network,) = DATABASE["networks"]
    assert COMPOSE["networks"][network] == {"internal": True}
    assert network in SERVICE["networks"]


def test_what_must_not_be_lost_lies_in_named_volumes() -> None:
    volumes = {target: source for one in (SERVICE, DATABASE) for source, target, *_ in map(_split, one["volumes"])}
    assert volumes[data_folder()] in COMPOSE["volumes"]
    assert volumes["/var/lib/postgresql/data"] in COMPOSE["volumes"]


def _split(volume: str) -> list[str]:
    return volume.split(":")


def test_no_secret_stands_in_the_file_and_each_is_a_file_that_an_operator_is_told_to_make() -> None:
    assert PASSWORD_IN_URL.search(FILE.read_text(encoding="utf-8")) is None
    assert {name for one in (SERVICE, DATABASE) for name in one["environment"]} & SECRET_SETTINGS == set()
    assert {name: f"secrets/{name}" for name in COMPOSE["secrets"]} == {
        name: secret["file"] for name, secret in COMPOSE["secrets"].items()
    }
    assert {*SERVICE["secrets"], *DATABASE["secrets"]} == set(COMPOSE["secrets"])
    assert [name for name in COMPOSE["secrets"] if f"> secrets/{name}" not in OPERATOR] == []


@BOTH
def test_every_file_that_a_container_is_told_of_is_one_that_it_is_given(one: Json) -> None:
    files = {value for name, value in environment(one, GIVEN).items() if name.endswith("_FILE")}
    assert files
    assert files <= {f"/run/secrets/{name}" for name in one["secrets"]}


def test_every_setting_is_one_of_the_service() -> None:
    assert undocumented(set(SERVICE["environment"])) == set()


def test_it_does_not_start_without_the_address_that_tokens_name() -> None:
    assert SERVICE["environment"]["CDS_PUBLIC_URL"].startswith("${CDS_PUBLIC_URL:?")


def test_a_service_starts_with_what_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = (DEPLOY / "kubernetes" / "base" / "clients.yaml").read_text(encoding="utf-8")
    (tmp_path / "hospital").mkdir()
    (tmp_path / "hospital" / "clients.yaml").write_text(clients, encoding="utf-8")
    folders = {target: source.removeprefix("./") for source, target, *_ in map(_split, SERVICE["volumes"])}
    mounted = {target: tmp_path / source for target, source in folders.items()}
    mounted["/run/secrets"] = write_secrets(tmp_path / "secrets")
    settings = started(environment(SERVICE, GIVEN), mounted, monkeypatch)
    assert not settings.open_mode
    assert settings.storage is not None
    assert settings.storage.folder == tmp_path / "data"
    assert settings.storage.database_url == SECRETS["database-url"]
    assert settings.storage.pseudonym_key == SECRETS["pseudonym-key"]
    assert settings.storage.migrates


def test_a_container_that_stops_has_the_time_to_answer_and_to_write_what_waits() -> None:
    assert float(SERVICE["stop_grace_period"].removesuffix("s")) > workers._GRACE
