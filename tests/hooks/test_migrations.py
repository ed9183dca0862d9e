"""The schema comes by migrations, at the start or by command, on both databases, whoever is first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from hooks.cli import main
from hooks.store import METADATA, Store
from tests.support.hospital import ADVISED, database_of_its_own, hospital, postgres_url, wait_for

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.sqlite'}"
        return
    server = postgres_url()
    if server is None:
        pytest.skip("TEST_POSTGRES_URL names no PostgreSQL server")
    with database_of_its_own(server) as url:
        yield url


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_DATA", str(tmp_path))


def differences(url: str) -> list[object]:
    store = Store(url)
    with store.reading() as connection:
        found = list(compare_metadata(MigrationContext.configure(connection), METADATA))
    store.close()
    return found


def test_the_command_makes_the_schema_that_the_code_expects(
    empty_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database)
    assert differences(empty_database) != []
    for _ in range(2):
        assert main(["migrate"]) == 0
        assert "has the schema of this version" in capsys.readouterr().out
        assert differences(empty_database) == []


def test_a_service_that_starts_makes_the_schema_itself(empty_database: str, tmp_path: Path) -> None:
    with hospital(tmp_path, empty_database) as running:
        running.post(ADVISED)
        running.wait_until_recorded()
    assert differences(empty_database) == []


def test_where_it_is_not_to_migrate_records_wait_until_somebody_does(
    empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database)
    with hospital(tmp_path, empty_database, migrates=False) as running:
        running.post(ADVISED)
        wait_for(lambda: "database" in running.state()["degraded"])
        assert running.state()["waiting"] == 1
        assert main(["migrate"]) == 0
        running.wait_until_recorded()
        assert running.state()["degraded"] == {}


def test_after_a_roll_back_the_version_before_goes_on_with_the_schema_of_the_later_one(
    empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database)
    assert main(["migrate"]) == 0
    store = Store(empty_database)
    with store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE decision ADD COLUMN of_a_later_version TEXT")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'later'")
    store.close()
    made = repr(differences(empty_database))

    with hospital(tmp_path, empty_database) as running:
        running.post(ADVISED)
        running.wait_until_recorded()
        assert running.state()["degraded"] == {}
        with running.store() as records:
            assert len(records.decisions()) == 1

    assert main(["migrate"]) == 0
    assert "has the schema of a later version" in capsys.readouterr().out
    assert repr(differences(empty_database)) == made


def test_of_several_workers_that_migrate_at_once_none_fails(empty_database: str) -> None:
    script = "import sys; from hooks.store import Store; from hooks.migrations import migrate; migrate(Store(sys.argv[1]).engine)"
    workers = [
        subprocess.Popen([sys.executable, "-c", script, empty_database], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [(worker.communicate()[1], worker.returncode) for worker in workers] == [("", 0)] * 2
    assert differences(empty_database) == []
