"""Servers as processes of their own: started, looked at from outside through /proc, and stopped."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryFile
from time import monotonic, sleep

from bench.hook_requests import SERVICE, of_its_own

HOST = "127.0.0.1"
PRODUCT_PORT, EMPTY_PORT = 8701, 8702
PATH = f"/cds-services/{SERVICE}"

_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 60.0
_STEP = 0.3
_IDLE = 0.02  # seconds of processor time in a step


@dataclass(frozen=True)
class Server:
    """One that runs; its workers are the processes under the one that was started, or that one itself."""

    name: str
    port: int
    process: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}{PATH}"

    def cpu(self) -> float:
        """Seconds of processor time of all its processes, once it has come to rest: records are written after the answers."""
        used, until = self._cpu(), monotonic() + _PATIENCE
        while monotonic() < until:
            sleep(_STEP)
            before, used = used, self._cpu()
            if used - before < _IDLE:
                break
        return used

    def private_megabytes(self) -> float:
        """The memory that the largest worker shares with nobody."""
        workers = _below(self.process) or [self.process]
        return max(_private(worker) for worker in workers)

    def _cpu(self) -> float:
        return sum(_cpu_of(process) for process in (self.process, *_below(self.process)))


@contextmanager
def serving(name: str, command: Sequence[str], environment: Mapping[str, str], port: int) -> Iterator[Server]:
    """The server, once it takes connections; settings of whoever measures do not reach it."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("CDS_", "DATABASE_URL"))}
    with TemporaryFile() as log:
        process = subprocess.Popen(command, env={**inherited, **environment}, stdout=log, stderr=log)
        try:
            if not _is_up(process, port):
                log.seek(0)
                msg = f"{name} does not serve: {log.read().decode()}"
                raise RuntimeError(msg)
            yield Server(name, port, process.pid)
        finally:
            process.terminate()
            process.wait(_PATIENCE)


@contextmanager
def product(environment: Mapping[str, str], port: int = PRODUCT_PORT) -> Iterator[Server]:
    command = [str(Path(sys.executable).parent / "lenalidomide-cds"), "serve", "--port", str(port)]
    with serving("product", command, environment, port) as server:
        yield server


@contextmanager
def empty_handler(environment: Mapping[str, str], port: int = EMPTY_PORT) -> Iterator[Server]:
    with serving("empty", [sys.executable, "-m", "bench.empty_handler", str(port)], environment, port) as server:
        yield server


def post(connection: HTTPConnection, body: bytes, token: str | None = None) -> tuple[int, bytes]:
    """Status and body of the answer to a call of its own hook instance."""
    headers = {"Content-Type": "application/json"} | ({} if token is None else {"Authorization": f"Bearer {token}"})
    connection.request("POST", PATH, of_its_own(body), headers)
    response = connection.getresponse()
    return response.status, response.read()


def _is_up(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether it answers, once it does or has ended."""
    until = monotonic() + _PATIENCE
    while not _answers(port):
        if process.poll() is not None or monotonic() > until:
            return False
        sleep(0.005)
    return True


def _answers(port: int) -> bool:
    connection = HTTPConnection(HOST, port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse()
    except ConnectionError:
        return False
    finally:
        connection.close()
    return True


def _below(process: int) -> list[int]:
    """All processes that it started, and those that they did."""
    found = []
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in map(int, (task / "children").read_text(encoding="ascii").split()):
            found += [child, *_below(child)]
    return found


def _cpu_of(process: int) -> float:
    # After the name, which may hold spaces: utime and stime are the 14th and 15th field.
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _private(process: int) -> float:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024
