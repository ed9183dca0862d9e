"""A PostgreSQL cluster of a test's own: it can be stopped and started without anybody else noticing."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import psycopg

_OWNER = "postgres"


def programs() -> Path | None:
    """Where initdb and pg_ctl stand."""
    found = shutil.which("initdb")
    candidates = [Path(found).parent] if found else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in candidates if (folder / "initdb").exists()), None)


class Cluster:
    """A server on a free port of the loopback address, with data in a temporary folder."""

    def __init__(self, folder: Path, bin_folder: Path) -> None:
        self._data, self._bin = folder / "data", bin_folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._run("initdb", "-D", str(self._data), "-U", _OWNER, "-A", "trust", "--no-sync")

    @property
    def url(self) -> str:
        return f"postgresql://{_OWNER}@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        options = f"-p {self._port} -h 127.0.0.1 -k '' -F"
        self._run("pg_ctl", "-D", str(self._data), "-o", options, "-l", str(self._data) + ".log", "-w", "start")

    def stop(self) -> None:
        """At once, as a crash does: connections are cut."""
        self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop")

    def cut_connections(self) -> int:
        """Kill every other connection; how many there were."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            killed = connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            ).fetchone()
        assert killed is not None
        return int(killed[0])

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._bin / program), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            cwd="/",
            # The server refuses to run as root.
            user=_OWNER if os.geteuid() == 0 else None,
        )


@contextmanager
def cluster(bin_folder: Path) -> Iterator[Cluster]:
    """A running cluster, removed at the end."""
    folder = Path(mkdtemp(prefix="cds-cluster-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _OWNER)
        made = Cluster(folder, bin_folder)
        made.start()
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
