"""What the files under ``deploy/`` promise to the image, and the settings that a service started by them would have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hooks.service_settings import service_settings
from hooks.settings import Settings

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
OPERATOR = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")

# What an operator keeps to himself, by the name of its file.
SECRETS = {
    "pseudonym-key": "a-secret-of-the-hospital-for-its-patients",
    "database-url": "postgresql://cds:of-the-database@db.hospital.example/cds",
    "redis-url": "rediss://:of-the-cache@cache.hospital.example",
    "database-password": "of-the-database",
}
SECRET_SETTINGS = {"CDS_PSEUDONYM_KEY", "CDS_REQUEST_KEYS", "CDS_REDIS_URL", "DATABASE_URL", "POSTGRES_PASSWORD"}
PASSWORD_IN_URL = re.compile(r"://[^/\s@]*:[^/\s@]+@")


def in_dockerfile(instruction: str) -> str:
    """What the image says with an instruction, the last time it does."""
    return str(re.findall(rf"^{instruction} (.+)$", DOCKERFILE, re.MULTILINE)[-1])


def data_folder() -> str:
    """Where the image keeps what it writes."""
    (folder,) = set(re.findall(r"\bCDS_DATA=(\S+)", DOCKERFILE))
    return str(folder)


def started(environment: Mapping[str, str], mounted: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a service with this environment, in which folders of the container are some of this machine.

    ``SettingsError`` where it would not start.
    """
    for name in SECRET_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    for name, value in {"CDS_DATA": data_folder(), **environment}.items():
        monkeypatch.setenv(name, _here(value, mounted))
    return service_settings(host="0.0.0.0")


def _here(value: str, mounted: Mapping[str, Path]) -> str:
    for path, folder in mounted.items():
        if value == path or value.startswith(f"{path}/"):
            return str(folder) + value.removeprefix(path)
    return value


def write_secrets(folder: Path) -> Path:
    """A folder with all secrets, as a container sees them."""
    folder.mkdir()
    for name, secret in SECRETS.items():
        (folder / name).write_text(f"{secret}\n", encoding="utf-8")
    return folder


def undocumented(names: set[str]) -> set[str]:
    """Settings that the operator's page does not know."""
    return {name for name in names if f"`{name}`" not in OPERATOR}
