"""A service with its records, as a hospital runs it, and what a test needs to look into them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

import psycopg
from werkzeug.test import Client as HttpClient
from werkzeug.test import TestResponse

from hooks.app import create_app
from hooks.clients import Client
from hooks.migrations import migrate
from hooks.settings import Settings, Storage
from hooks.store import Store
from tests.support.fixtures import REQUESTS, Json

ORDER_SIGN = "lenalidomide-order-sign"
KEY = "a-secret-of-the-hospital-for-its-patients"
ADVISED, IN_ORDER = "order-sign-no-prophylaxis", "order-sign-clean-renewal"
_PATIENCE = 60  # seconds until a wait is a failure


@dataclass
class Hospital:
    """A running service and its storage."""

    storage: Storage
    http: HttpClient

    def post(self, request: Json | str, service: str = ORDER_SIGN) -> TestResponse:
        """Post a request, or a bundled one by its name."""
        body = bundled(request) if isinstance(request, str) else request
        return self.http.post(f"/cds-services/{service}", json=body)

    def cards(self, request: Json | str, service: str = ORDER_SIGN) -> list[Json]:
        response = self.post(request, service)
        assert response.status_code == 200, response.text
        cards: list[Json] = response.get_json()["cards"]
        return cards

    def feedback(self, document: object, service: str = ORDER_SIGN) -> TestResponse:
        return self.http.post(f"/cds-services/{service}/feedback", json=document)

    def state(self) -> Json:
        response = self.http.get("/readyz")
        assert response.status_code == 200
        state: Json = response.get_json()
        return state

    def wait_until_recorded(self) -> None:
        wait_for(lambda: self.state()["waiting"] == 0)

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The database, once all that waits is written."""
        self.wait_until_recorded()
        store = Store(self.storage.database_url)
        yield store
        store.close()


@contextmanager
def hospital(
    folder: Path, database_url: str | None = None, client: Client | None = None, **changes: Any
) -> Iterator[Hospital]:
    """A service in open mode that records; ``changes`` are of its Storage."""
    storage = replace(Storage(folder, database_url or _migrated(folder), pseudonym_key=KEY), **changes)
    app = create_app(Settings(client or Client(), storage=storage))
    try:
        yield Hospital(storage, app.test_client())
    finally:
        app.extensions["service"].close()


def _migrated(folder: Path) -> str:
    """An SQLite database in the folder; the schema is made once, not in each test."""
    file = folder / "records.sqlite"
    folder.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        file.write_bytes(_template())
    return f"sqlite:///{file}"


@cache
def _template() -> bytes:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "template.sqlite"
        store = Store(f"sqlite:///{file}")
        migrate(store.engine)
        store.close()
        return file.read_bytes()


def bundled(name: str, **changes: Any) -> Json:
    """A bundled request, as a call of its own."""
    request: Json = json.loads((REQUESTS / f"{name}.json").read_text(encoding="utf-8"))
    return {**request, "hookInstance": str(uuid4()), **changes}


def wait_for(condition: Any) -> None:
    """Wait until a condition holds; a test fails when it never does."""
    deadline = monotonic() + _PATIENCE
    while not condition():
        assert monotonic() < deadline, "it never came about"
        sleep(0.02)


@contextmanager
def database_of_its_own(server_url: str) -> Iterator[str]:
    """A new PostgreSQL database on a server, removed at the end."""
    name = f"cds_{uuid4().hex}"
    base, _, _ = server_url.rpartition("/")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    try:
        yield f"{base}/{name}"
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def postgres_url() -> str | None:
    return os.environ.get("TEST_POSTGRES_URL")
