"""All answers, made once a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from werkzeug.test import Client

from tests.support.answers import Answered, answered_cases, answered_requests
from tests.support.fhir_server import FhirServerProcess, running_fhir_server
from tests.support.fixtures import Json, client


@pytest.fixture(scope="session")
def answers() -> list[Answered]:
    """Every clinical case and every bundled request with its answer."""
    return [*answered_cases(), *answered_requests()]


@pytest.fixture(scope="session")
def cards(answers: list[Answered]) -> list[Json]:
    return [card for answered in answers for card in answered.cards]


@pytest.fixture(scope="session")
def suggestions(answers: list[Answered]) -> list[Json]:
    return [suggestion for answered in answers for suggestion in answered.suggestions]


@pytest.fixture(scope="session")
def actions(answers: list[Answered]) -> list[Json]:
    return [action for answered in answers for action in answered.actions]


@pytest.fixture
def http() -> Client:
    """The service; ``tests/replicas`` has another one, for the same tests."""
    return client()


@pytest.fixture(scope="session")
def fhir_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FhirServerProcess]:
    """A FHIR server as its own process."""
    with running_fhir_server(tmp_path_factory.mktemp("fhir-server")) as process:
        yield process


@pytest.fixture
def production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The least that a service with clients needs, in the environment."""
    file = tmp_path / "clients.yaml"
    client = {"issuer": "https://ehr.example", "key_sets": ["https://ehr.example/keys"]}
    file.write_text(yaml.safe_dump({"clients": {"ehr": client}}), encoding="utf-8")
    monkeypatch.setenv("CDS_CLIENTS", str(file))
    monkeypatch.setenv("CDS_PUBLIC_URL", "https://cds.example/")
    monkeypatch.setenv("CDS_PSEUDONYM_KEY", "k" * 32)
    return monkeypatch
