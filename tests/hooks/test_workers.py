"""``serve`` as a container platform sees it: processes that are killed, told to stop, or left alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import sleep

import pytest
import requests

from tests.support.hospital import ADVISED, ORDER_SIGN, bundled, wait_for

_COMMAND = [str(Path(sys.executable).parent / "lenalidomide-cds"), "serve"]
_PATH = f"/cds-services/{ORDER_SIGN}"

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are counted in /proc")


@dataclass
class Served:
    """A running ``serve``, and the folder of its data."""

    process: subprocess.Popen[str]
    port: int
    data: Path

    @property
    def workers(self) -> set[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(child) for child in children.read_text(encoding="utf-8").split()}

    def post(self) -> str:
        """The id of a decision."""
        response = requests.post(f"http://127.0.0.1:{self.port}{_PATH}", json=bundled(ADVISED), timeout=20)
        assert response.status_code == 200, response.text
        return response.headers["X-Decision-Id"]

    def recorded(self) -> set[str]:
        with closing(sqlite3.connect(self.data / "lenalidomide-cds.sqlite")) as database:
            return {identifier for (identifier,) in database.execute("SELECT id FROM decision")}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with _served(tmp_path, CDS_WORKERS="2") as running:
        yield running


@contextmanager
def _served(folder: Path, **settings: str) -> Iterator[Served]:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, "CDS_DATA": str(folder), **settings}
    command = [*_COMMAND, "--port", str(port)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        running = Served(process, port, folder)
        try:
            wait_for(lambda: process.poll() is not None or _answers(port))
            yield running
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    with suppress(requests.ConnectionError):
        return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=20).ok
    return False


def test_a_worker_that_is_killed_is_replaced_and_loses_no_decision(served: Served) -> None:
    before = served.workers
    decisions = {served.post() for _ in range(4)}
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    decisions |= {served.post() for _ in range(4)}
    wait_for(lambda: len(served.workers - before) == 2)
    served.process.terminate()
    _, log = served.process.communicate()
    assert log.count("died (exit code -9) and is replaced") == 2
    assert served.recorded() == decisions
    assert not list((served.data / "spool").iterdir())


def test_at_a_stop_the_call_under_way_is_answered_and_recorded(served: Served) -> None:
    body = json.dumps(bundled(ADVISED)).encode()
    head = f"POST {_PATH} HTTP/1.1\r\nHost: cds\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with closing(socket.create_connection(("127.0.0.1", served.port))) as caller:
        caller.sendall(head + body[:1000])
        sleep(0.3)
        served.process.terminate()
        sleep(0.3)
        caller.sendall(body[1000:])
        answer = caller.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert served.process.wait(20) == 0
    assert len(served.recorded()) == 1
    assert not _answers(served.port)


def test_workers_whose_parent_is_gone_stop_by_themselves(served: Served) -> None:
    workers = served.workers
    served.post()
    served.process.kill()
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    assert len(served.recorded()) == 1


def test_settings_that_only_a_part_of_the_service_finds_wrong_end_the_command(tmp_path: Path) -> None:
    clients = tmp_path / "clients.yaml"
    clients.write_text(
        "clients: {ehr: {issuer: https://ehr.example, key_sets: [https://ehr.example/keys]}}", encoding="utf-8"
    )
    settings = {
        "CDS_CLIENTS": str(clients),
        "CDS_PUBLIC_URL": "https://cds.example",
        "CDS_PSEUDONYM_KEY": "k" * 32,
        "CDS_REDIS_URL": "redis://user:p#ss@nowhere",
    }
    with _served(tmp_path, **settings) as running:
        _, log = running.process.communicate(timeout=30)
    assert running.process.returncode == 2
    assert "CDS_REDIS_URL cannot be read" in log
    assert "Traceback" not in log
