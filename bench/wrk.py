"""Load over HTTP with wrk, which is Debian's package of that name (``apt-get install wrk``)."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from bench.credentials import Signer
from bench.hook_requests import INSTANCE
from bench.processes import Server

_SCRIPT = Path(__file__).with_suffix(".lua")
_WARM_UP = 1  # seconds
_TOKENS_TO_WARM_UP = 2000
_MARGIN = 4


@dataclass(frozen=True)
class Load:
    """What one run of the load generator saw: latencies in milliseconds, ``cpu`` in milliseconds of the server a request."""

    requests: int
    per_second: float
    p50: float
    p99: float
    errors: int
    cpu: float = 0.0


@dataclass(frozen=True)
class Traffic:
    """What is sent: bodies in turn and, where there is a signer, each with a token of its own."""

    folder: Path
    bodies: Sequence[bytes]
    signer: Signer | None = None

    def arguments(self, tokens: int) -> list[str]:
        """Of the Lua script."""
        files = [self.folder / f"body-{index}.json" for index in range(len(self.bodies))]
        for file, body in zip(files, self.bodies, strict=True):
            file.write_bytes(body)
        listed = self.folder / "tokens"
        if self.signer is not None:
            listed.write_text("".join(f"{self.signer.token()}\n" for _ in range(tokens)), encoding="ascii")
        return ["-" if self.signer is None else str(listed), INSTANCE, *map(str, files)]


def needed() -> None:
    if shutil.which("wrk") is None:
        msg = "needs the load generator wrk: apt-get install wrk"
        raise SystemExit(msg)


def start(server: Server, arguments: Sequence[str], clients: int, seconds: int) -> subprocess.Popen[str]:
    """The load generator, running."""
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "-s", str(_SCRIPT), server.url, "--"]
    return subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)


def result(running: subprocess.Popen[str]) -> Load:
    """What it saw, at its end."""
    output, _ = running.communicate()
    if running.returncode:
        raise RuntimeError(output)
    seen = json.loads(output.splitlines()[-1])
    per_second = seen["requests"] / seen["microseconds"] * 1e6
    return Load(seen["requests"], per_second, seen["p50"] / 1000, seen["p99"] / 1000, seen["errors"])


def once(server: Server, traffic: Traffic, clients: int, seconds: int, tokens: int) -> Load:
    """One run, and what it cost the server."""
    arguments, before = traffic.arguments(tokens), server.cpu()
    seen = result(start(server, arguments, clients, seconds))
    # At the end each client leaves a call behind that the server still answers.
    return replace(seen, cpu=(server.cpu() - before) * 1000 / (seen.requests + clients))


def interleaved(
    servers: Sequence[Server], traffic: Traffic, clients: int, *, seconds: int, rounds: int
) -> Mapping[str, list[Load]]:
    """Each server in turn, after a short run each that warms it up and tells how many tokens there must be."""
    seen = {server.name: [once(server, traffic, clients, _WARM_UP, _TOKENS_TO_WARM_UP)] for server in servers}
    for _ in range(rounds):
        for server in servers:
            fastest = max(run.per_second for run in seen[server.name])
            seen[server.name].append(once(server, traffic, clients, seconds, round(fastest * seconds * _MARGIN)))
    return {name: runs[1:] for name, runs in seen.items()}


def medians(runs: Sequence[Load]) -> dict[str, float]:
    """Of each figure; errors and requests are summed up."""
    told = [asdict(run) for run in runs]
    summed = {name: sum(run[name] for run in told) for name in ("requests", "errors")}
    return {**{name: median(run[name] for run in told) for name in ("per_second", "p50", "p99", "cpu")}, **summed}


def ratio(runs: Sequence[Load], beside: Sequence[Load], figure: Callable[[Load], float]) -> float:
    """The median of the rounds' ratios: what disturbs a round disturbs both of it."""
    return median(figure(one) / figure(other) for one, other in zip(runs, beside, strict=True))
