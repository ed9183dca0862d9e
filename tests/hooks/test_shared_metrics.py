"""Several workers, one service: whichever is asked for the metrics answers for all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hooks.app import create_app
from hooks.settings import Settings
from hooks.shared_metrics import shared_folder
from tests.support.exposition import scraped
from tests.support.hospital import ADVISED, IN_ORDER, wait_for
from tests.support.metrics_worker import Worker, worker

CALLS = "hook_call_seconds_count"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with shared_folder(tmp_path) as made:
        assert made is not None
        yield made


@pytest.fixture
def pair(folder: Path, tmp_path: Path) -> Iterator[tuple[Worker, Worker]]:
    with worker(folder, tmp_path / "data") as one, worker(folder, tmp_path / "data") as other:
        yield one, other


def test_any_worker_answers_for_all(pair: tuple[Worker, Worker]) -> None:
    one, other = pair
    one.post(ADVISED)
    one.post(IN_ORDER)
    other.post(ADVISED)
    for asked in pair:
        wait_for(lambda asked=asked: asked.scrape().value("cards_total") == 2)
        told = asked.scrape()
        assert told.value(CALLS, outcome="advice") == 2
        assert told.value(CALLS, outcome="in order") == 1
        assert told.value("findings_total", rule="vte.prophylaxis-missing") == 2
        assert told.value("workers") == 2
        assert told.value("build_info") == 1
        wait_for(lambda asked=asked: asked.scrape().value("records_written_total") == 3)


def test_a_worker_that_is_killed_leaves_what_it_counted_and_not_what_it_said_of_itself(
    pair: tuple[Worker, Worker],
) -> None:
    one, other = pair
    one.post(ADVISED)
    wait_for(lambda: other.scrape().value("cards_total") == 1)
    limit = other.scrape().value("spool_limit_bytes")
    one.kill()
    told = other.scrape()
    assert told.value("workers") == 1
    assert told.value("spool_limit_bytes") == limit / 2
    assert told.value(CALLS, outcome="advice") == 1
    assert told.value("cards_total") == 1


def test_who_takes_the_place_of_a_dead_worker_goes_on_with_its_counters(folder: Path, tmp_path: Path) -> None:
    for turn in range(1, 4):
        with worker(folder, tmp_path / "data") as running:
            running.post(ADVISED)
            told = running.scrape()
            assert told.value(CALLS) == turn
            assert told.value("cards_total") == turn
            assert told.value("workers") == 1
            running.kill()
    assert sorted(file.name for file in folder.iterdir()) == [
        "counter_0.db",
        "gauge_livemax_0.db",
        "gauge_livesum_0.db",
        "histogram_0.db",
        "worker-0",
    ]


def test_who_takes_a_dead_workers_place_does_not_take_over_its_troubles(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "spool").write_text("a file where the folder should be")
    with worker(folder, tmp_path / "broken") as one:
        assert one.scrape().value("degraded", part="spool") == 1
        one.kill()
    with worker(folder, tmp_path / "sound") as other:
        assert other.scrape().value("degraded") == 0


def test_a_worker_that_ends_has_written_everything_that_it_counted(folder: Path, tmp_path: Path) -> None:
    with worker(folder, tmp_path / "data") as one, worker(folder, tmp_path / "data") as other:
        one.post(ADVISED)
        one.stop()
        told = other.scrape()
        assert told.value("records_written_total") == 1
        assert told.value("findings_total", rule="vte.prophylaxis-missing") == 1
        assert told.value("workers") == 1


def test_a_folder_is_of_one_service_and_gone_when_it_ends(tmp_path: Path) -> None:
    with shared_folder(tmp_path) as one, shared_folder(tmp_path) as other:
        assert one is not None
        assert other is not None
        assert one != other
        assert one.is_dir()
        assert one.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == []
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ


def test_what_a_killed_service_left_is_removed_by_the_next(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys; from hooks.shared_metrics import shared_folder\n"
        "with shared_folder(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    with shared_folder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]
        assert folder != left


def test_where_no_folder_can_be_made_each_worker_answers_for_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with shared_folder(tmp_path / "missing") as folder:
        assert folder is None
    assert "workers cannot share their metrics" in caplog.text


def test_who_shares_nothing_keeps_its_metrics_to_itself_whatever_was_shared_before(folder: Path) -> None:
    sharing = create_app(Settings(metrics_folder=folder))
    sharing.test_client().get("/nowhere")
    assert scraped(sharing.test_client()).value("calls_refused_total") == 1
    sharing.extensions["service"].close()
    alone = create_app(Settings())
    assert scraped(alone.test_client()).value("calls_refused_total") == 0


def test_a_disk_that_is_full_stops_no_worker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    app = create_app(Settings(metrics_folder=folder))
    told = scraped(app.test_client())
    assert told.value("degraded", part="metrics") == 1
    assert told.value("workers") == 1
    app.extensions["service"].close()


def test_the_files_have_their_whole_size_from_the_start(pair: tuple[Worker, Worker], folder: Path) -> None:
    """A write to a mapped file for which the disk has no room would kill the worker."""
    one, _ = pair
    sizes = {file.name: file.stat() for file in folder.glob("*.db")}
    assert all(size.st_blocks * 512 >= size.st_size == 512 * 1024 for size in sizes.values())
    one.post(ADVISED)
    assert {file.name: file.stat().st_size for file in folder.glob("*.db")} == dict.fromkeys(sizes, 512 * 1024)
