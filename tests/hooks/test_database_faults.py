"""A PostgreSQL that is stopped, started and cut off while calls come in: no answer fails and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from hooks.feedback import feedback_records
from hooks.health import Health
from hooks.migrations import migrate
from hooks.recorder import Recorder
from hooks.settings import Storage
from hooks.store import Store
from tests.support.cluster import Cluster, cluster, programs
from tests.support.hospital import ADVISED, KEY, Hospital, hospital, wait_for
from tests.support.traffic import Traffic, assert_nothing_lost


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL programs (initdb, pg_ctl) on this machine")
    with cluster(found) as running:
        yield running


@pytest.fixture
def running(server: Cluster, tmp_path: Path) -> Iterator[Hospital]:
    with hospital(tmp_path, server.url) as one:
        yield one
    # The next test may find it stopped.
    with suppress(Exception):
        server.start()


def test_a_database_stopped_and_started_under_load_loses_nothing(running: Hospital, server: Cluster) -> None:
    traffic = Traffic(running)
    traffic.start()
    try:
        for _ in range(2):
            server.stop()
            so_far = len(traffic.decisions)
            wait_for(lambda so_far=so_far: len(traffic.decisions) > so_far + 10)
            wait_for(lambda: "database" in running.state()["degraded"])
            server.start()
            wait_for(lambda: "database" not in running.state()["degraded"])
    finally:
        traffic.stop()
    assert traffic.refused == []
    assert_nothing_lost(running, traffic)


def test_connections_that_are_cut_are_made_again(running: Hospital, server: Cluster) -> None:
    traffic = Traffic(running)
    traffic.start()
    try:
        wait_for(lambda: running.state()["counts"].get("records written", 0) > 0)
        for _ in range(3):
            so_far = len(traffic.decisions)
            wait_for(lambda: server.cut_connections() > 0)
            wait_for(lambda so_far=so_far: len(traffic.decisions) > so_far + 10)
    finally:
        traffic.stop()
    assert traffic.refused == []
    assert_nothing_lost(running, traffic)


def test_a_database_that_neither_takes_nor_refuses_is_told(server: Cluster, tmp_path: Path) -> None:
    store = Store(server.url)
    migrate(store.engine)
    store.close()
    health = Health()
    recorder = Recorder(Storage(tmp_path, server.url, KEY), health, stalled_after=0.1)
    records, _ = feedback_records({"card": "slow", "outcome": "accepted"}, "service", "open", datetime.now(UTC))
    with psycopg.connect(server.url) as other:
        other.execute("LOCK TABLE feedback IN ACCESS EXCLUSIVE MODE")
        recorder.feedback(records)
        wait_for(lambda: recorder.waiting == 1 and "has not answered" in health.degraded.get("database", ""))
        other.rollback()
    wait_for(lambda: recorder.waiting == 0 and "database" not in health.degraded)
    recorder.close()


def test_a_database_that_hangs_holds_up_no_answer(running: Hospital, server: Cluster) -> None:
    running.post(ADVISED)
    running.wait_until_recorded()
    with psycopg.connect(server.url) as other:
        other.execute("LOCK TABLE decision IN ACCESS EXCLUSIVE MODE")
        identifiers = [running.post(ADVISED).headers["X-Decision-Id"] for _ in range(20)]
        assert running.feedback({"feedback": [{"card": "x", "outcome": "accepted"}]}).status_code == 200
        assert running.state()["waiting"] == 21
        other.rollback()
    with running.store() as store:
        assert {decision.id for decision in store.decisions()} >= set(identifiers)
