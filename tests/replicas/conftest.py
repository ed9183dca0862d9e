"""Two services behind a proxy, as the fixtures that the tests of one service ask for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from werkzeug.test import Client

from hooks.settings import Storage
from hooks.store import METADATA, Store
from tests.support.fixtures import Json
from tests.support.hospital import KEY, Hospital
from tests.support.replicas import Replicas, hospitals_client, replicas, strangers_client


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    with replicas(tmp_path_factory.mktemp("replicas")) as running:
        yield running


@pytest.fixture
def http(pair: Replicas) -> Client:
    """The hospital's record system, which knows the proxy only."""
    return hospitals_client(pair.url)


@pytest.fixture
def service(pair: Replicas) -> Client:
    """Anybody, with the tokens that a test gives."""
    return strangers_client(pair.url)


@dataclass
class Replicated(Hospital):
    """Called through the proxy; its state is that of all replicas."""

    each: tuple[Client, ...]

    def state(self) -> Json:
        states: list[Json] = [http.get("/readyz").get_json() for http in self.each]
        return {
            "degraded": {part: why for state in states for part, why in state["degraded"].items()},
            "counts": dict(sum((Counter(state["counts"]) for state in states), Counter())),
            "waiting": sum(state["waiting"] for state in states),
        }


@pytest.fixture
def running(pair: Replicas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Replicated:
    """With nothing on record yet; commands of the command line look at the same database."""
    storage = Storage(tmp_path, pair.database_url, KEY)
    both = tuple(strangers_client(replica.url) for replica in pair.both)
    hospital = Replicated(storage, hospitals_client(pair.url), both)
    with hospital.store() as store:
        forget_everything(store)
    monkeypatch.setenv("CDS_DATA", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", pair.database_url)
    return hospital


def forget_everything(store: Store) -> None:
    with store.engine.begin() as connection:
        for table in reversed(METADATA.sorted_tables):
            connection.execute(table.delete())
