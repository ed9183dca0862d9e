"""What a worker takes of memory, at the start and over many requests, and how soon after the start the first answer comes."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from bench.effort import Effort
from bench.hook_requests import TYPICAL, bodies
from bench.processes import HOST, post, product
from bench.wrk import Traffic, needed, result, start

Figures = dict[str, Any]

_CLIENTS = 8
_SAMPLES = 20


def measure(effort: Effort) -> Figures:
    needed()
    sent = bodies(TYPICAL, datetime.now(UTC).date())
    return {"first answer": _first_answer(sent[1], max(3, effort.rounds)), **_watched(sent, effort.requests)}


def _first_answer(body: bytes, times: int) -> float:
    """Milliseconds from the start of the process, once its folder and its byte code are there."""
    taken = []
    with TemporaryDirectory() as folder:
        for _ in range(times + 1):
            begun = perf_counter()
            with product({"CDS_DATA": folder}) as server:
                post(HTTPConnection(HOST, server.port, timeout=30), body)
                taken.append((perf_counter() - begun) * 1000)
    return median(taken[1:])


def _watched(sent: tuple[bytes, bytes], requests: int) -> Figures:
    """Megabytes of the largest worker, as requests go on."""
    with (
        TemporaryDirectory() as folder,
        product({"CDS_DATA": f"{folder}/data", "CDS_WORKERS": str(os.cpu_count())}) as server,
    ):
        arguments = Traffic(Path(folder), sent).arguments(0)
        samples = [(0, server.private_megabytes())]
        warm = result(start(server, arguments, _CLIENTS, 2))
        done, seconds = warm.requests, max(1, round(requests / warm.per_second / _SAMPLES))
        while done < requests:
            done += result(start(server, arguments, _CLIENTS, seconds)).requests
            samples.append((done, server.private_megabytes()))
    return {"requests": done, "samples": samples}
