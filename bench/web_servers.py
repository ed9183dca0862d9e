"""How the web server was chosen: the empty handler on three of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from socket import create_connection, socket
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import Any

from bench.effort import Effort
from bench.hook_requests import TYPICAL, bodies
from bench.processes import HOST, PATH, Server, empty_handler, post, serving
from bench.throughput import CLIENTS, served_evenly
from bench.wrk import Traffic, interleaved, medians, needed
from hooks.settings import Settings

Figures = dict[str, Any]

_INSTALLED = ("gunicorn==23.0.0", "granian==2.5.7")
_CALLS = 5
_PATIENCE = 3.0  # seconds
_WORKERS, _THREADS = os.cpu_count() or 1, Settings().threads
_APP = "bench.empty_handler:create_app"


def measure(effort: Effort) -> Figures:
    """Throughput, cost, evenness, and whether callers that send half a body keep others from an answer."""
    needed()
    sent = bodies(TYPICAL, datetime.now(UTC).date())
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "packages").mkdir()
        pip = [sys.executable, "-m", "pip", "install", "-qq", "--target", str(folder / "packages")]
        subprocess.run([*pip, *_INSTALLED], check=True)
        servers = [stack.enter_context(server) for server in _servers(folder)]
        traffic = Traffic(folder, sent)
        loads = {
            str(clients): {
                server: medians(runs)
                for server, runs in interleaved(
                    servers, traffic, clients, seconds=effort.seconds, rounds=effort.rounds
                ).items()
            }
            for clients in CLIENTS
        }
        arguments = traffic.arguments(0)
        evenness = {server.name: served_evenly(server, arguments, effort.seconds) for server in servers}
        blocked = {server.name: _beside_half_sent(server, sent[0]) for server in servers}
    return {"versions": _INSTALLED, "loads": loads, "evenness": evenness, "beside half-sent bodies": blocked}


def _servers(folder: Path) -> Iterator[Any]:
    """The same numbers of workers and threads for each."""
    workers, threads = str(_WORKERS), str(_THREADS)
    environment = {"CDS_DATA": str(folder), "CDS_WORKERS": workers, "PYTHONPATH": f"{folder / 'packages'}:."}
    gunicorn = ["gunicorn", "-k", "gthread", "-w", workers, "--threads", threads, "-b", f"{HOST}:8705", f"{_APP}()"]
    granian = ["granian", "--interface", "wsgi", "--factory", "--workers", workers, "--blocking-threads", threads]
    granian += ["--host", HOST, "--port", "8706", "--no-ws", _APP]
    yield _named("waitress", empty_handler(environment, 8704))
    yield serving("gunicorn gthread", [sys.executable, "-m", *gunicorn], environment, 8705)
    yield serving("granian WSGI", [sys.executable, "-m", *granian], environment, 8706)


@contextmanager
def _named(name: str, served: Any) -> Iterator[Server]:
    with served as server:
        yield Server(name, server.port, server.process)


def _beside_half_sent(server: Server, body: bytes) -> Figures:
    """How many calls are answered, and after how many milliseconds, while others have sent half of theirs."""
    answered = []
    with ExitStack() as stack:
        # More than there are threads for, however the connections fall to the workers.
        for _ in range(3 * _WORKERS * _THREADS):
            _send_half(stack.enter_context(create_connection((HOST, server.port))), body)
        sleep(1)
        for _ in range(_CALLS):
            connection = HTTPConnection(HOST, server.port, timeout=_PATIENCE)
            begun = perf_counter()
            with suppress(TimeoutError):
                post(connection, body)
                answered.append((perf_counter() - begun) * 1000)
    return {"calls": _CALLS, "answered": len(answered), "longest": max(answered, default=None)}


def _send_half(connection: socket, body: bytes) -> None:
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body[: len(body) // 2])
