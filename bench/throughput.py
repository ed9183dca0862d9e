"""Over HTTP at several numbers of clients, beside the empty handler in the same run; and how evenly clients are served."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import orjson
import psycopg

from bench.credentials import ALGORITHMS, Signer
from bench.effort import Effort
from bench.hook_requests import SIZES, TYPICAL, Size, bodies
from bench.processes import HOST, Server, empty_handler, post, product
from bench.wrk import Load, Traffic, interleaved, medians, needed, ratio, result, start

Figures = dict[str, Any]

CLIENTS = (1, 8, 64)
_KEPT_ALIVE = 16
_OPEN = "open"


def measure(effort: Effort) -> list[Figures]:
    """A row for each way to call, size of request and number of clients."""
    rows = _rows(_OPEN, SIZES, CLIENTS, effort)
    for algorithm in ALGORITHMS:
        rows += _rows(algorithm, [TYPICAL], CLIENTS[:2], effort)
    url = os.environ.get("TEST_POSTGRES_URL")
    if url is not None:
        with _database(url) as made:
            rows += _rows(f"{ALGORITHMS[0]}, recorded to PostgreSQL", [TYPICAL], CLIENTS[1:2], effort, made)
    return rows


def evenness(effort: Effort) -> list[Figures]:
    """How many answers each of several clients gets that keep one connection each."""
    needed()
    with _beside(_OPEN, None) as (servers, _), TemporaryDirectory() as folder:
        arguments = Traffic(Path(folder), _bodies(TYPICAL)).arguments(0)
        return [
            {"server": server.name, **served_evenly(server, arguments, effort.seconds * effort.rounds)}
            for server in servers
        ]


def served_evenly(server: Server, arguments: Sequence[str], seconds: int) -> Figures:
    generators = [start(server, arguments, 1, seconds) for _ in range(_KEPT_ALIVE)]
    answers = [result(running).requests for running in generators]
    return {"answers": sorted(answers), "least over mean": round(min(answers) / mean(answers), 3)}


def row(runs: Mapping[str, Sequence[Load]], *, of: str, beside: str) -> Figures:
    """The medians of both and the ratio of their throughputs and of their processor times."""
    return {
        of: medians(runs[of]),
        beside: medians(runs[beside]),
        "throughput ratio": ratio(runs[of], runs[beside], lambda run: run.per_second),
        "cpu ratio": ratio(runs[beside], runs[of], lambda run: run.cpu),
    }


def _rows(
    mode: str, sizes: Sequence[Size], clients: Sequence[int], effort: Effort, database: str | None = None
) -> list[Figures]:
    needed()
    rows = []
    with _beside(mode, database) as (servers, signer), TemporaryDirectory() as folder:
        for size in sizes:
            traffic = Traffic(Path(folder), _bodies(size), signer)
            _check(servers[0], traffic)
            for count in clients:
                runs = interleaved(servers, traffic, count, seconds=effort.seconds, rounds=effort.rounds)
                figures = row(runs, of="product", beside="empty")
                rows.append({"mode": mode, "size": size.name, "clients": count, **figures})
                print(f"  {mode}, {size.name}, {count}: {figures['throughput ratio']:.2f}", flush=True)
    return rows


@contextmanager
def _beside(mode: str, database: str | None) -> Iterator[tuple[list[Server], Signer | None]]:
    """The product and the empty handler with the same settings and a folder each, and who signs for their callers."""
    signer = None if mode == _OPEN else Signer(mode.partition(",")[0])
    with ExitStack() as stack:
        servers = []
        for serve in (product, empty_handler):
            folder = Path(stack.enter_context(TemporaryDirectory()))
            environment = {"CDS_DATA": str(folder / "data"), "CDS_WORKERS": str(os.cpu_count())}
            environment |= {} if signer is None else signer.environment(folder)
            environment |= {} if database is None else {"DATABASE_URL": database}
            servers.append(stack.enter_context(serve(environment)))
        yield servers, signer


def _bodies(size: Size) -> tuple[bytes, bytes]:
    return bodies(size, datetime.now(UTC).date())


def _check(server: Server, traffic: Traffic) -> None:
    """What is measured is what is meant: silence for the one, cards for the other."""
    connection = HTTPConnection(HOST, server.port, timeout=30)
    found = []
    for body in traffic.bodies:
        status, answer = post(connection, body, None if traffic.signer is None else traffic.signer.token())
        found.append((status, bool(orjson.loads(answer).get("cards"))))
    if found != [(200, False), (200, True)]:
        msg = f"the answers are not those expected: {found}"
        raise RuntimeError(msg)


@contextmanager
def _database(url: str) -> Iterator[str]:
    """A database of its own on the server of tests."""
    name = f"bench_{uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
