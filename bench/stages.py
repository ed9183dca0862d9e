"""What each stage of an answer costs in-process, how that grows with the observations, and what the check of a token costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from time import perf_counter, thread_time
from typing import Any

import orjson

from bench.credentials import ALGORITHMS, Signer
from bench.effort import Effort
from bench.empty_handler import authenticator
from bench.hook_requests import SERVICE, SIZES, Size, bodies, encoded, of_its_own, order_sign
from bench.processes import PATH
from hooks.clients import ANY_CLIENT, read_clients
from hooks.service import Incoming, Service
from hooks.settings import Settings, Storage, Tokens
from hooks.worker import keep_knowledge_from_the_collector

Figures = dict[str, Any]
WHOLE, CPU = "whole", "processor"

_GROWING = (60, 125, 250, 500, 1000, 2000)
_WARM_UP = 20


def measure(effort: Effort) -> Figures:
    today = datetime.now(UTC).date()
    with _service() as service:
        sizes = {size.name: _size(service, size, today, effort.calls) for size in SIZES}
        growth = [_grown(service, count, today, max(10, effort.calls // 20)) for count in _GROWING]
    return {"sizes": sizes, "growth": growth, "tokens": [_token(algorithm, effort.calls) for algorithm in ALGORITHMS]}


def whole_answer(effort: Effort) -> float:
    """Milliseconds of the typical request from its bytes to those of its recorded answer, half of them with cards."""
    with _service() as service:
        return median(_stages(service, bodies(SIZES[1], datetime.now(UTC).date()), effort.calls)[WHOLE])


@contextmanager
def recording(folder: Path) -> Iterator[Service]:
    """A service as a worker has it, recording to SQLite, in this process."""
    service = Service(Settings(storage=Storage(folder, f"sqlite:///{folder / 'decisions.sqlite'}")))
    try:
        yield service
    finally:
        service.close()


@contextmanager
def _service() -> Iterator[Service]:
    with TemporaryDirectory() as folder, recording(Path(folder)) as service:
        keep_knowledge_from_the_collector()
        yield service


def _size(service: Service, size: Size, today: date, calls: int) -> Figures:
    in_order, with_cards = bodies(size, today)
    parsing = _times(lambda: orjson.loads(in_order), calls)
    return {
        "bytes": len(in_order),
        "in order": _told(_stages(service, [in_order], calls)),
        "with cards": _told(_stages(service, [with_cards], calls)),
        "parsed by orjson": _told({WHOLE: parsing})[WHOLE],
    }


def _grown(service: Service, count: int, today: date, calls: int) -> Figures:
    body = encoded(order_sign(Size(str(count), count), today, in_order=True))
    return {"observations": count, "bytes": len(body), **_told(_stages(service, [body], calls))}


def _stages(service: Service, sent: Sequence[bytes], calls: int) -> dict[str, list[float]]:
    """Milliseconds of each stage of each call, of all of them, and of the processor for it."""
    taken: dict[str, list[float]] = defaultdict(list)
    for call in range(_WARM_UP + calls):
        incoming = Incoming(None, None, of_its_own(sent[call % len(sent)]), datetime.now(UTC))
        begun = thread_time()
        stages = service.answer(SERVICE, incoming).stages
        spent = (thread_time() - begun) * 1000
        if call >= _WARM_UP:
            for stage, took in (*stages, (WHOLE, sum(took for _, took in stages)), (CPU, spent)):
                taken[stage].append(took)
    return taken


def _token(algorithm: str, calls: int) -> Figures:
    """What it takes to know the caller: claims, signature, and whether the token was used before."""
    signer = Signer(algorithm)
    with TemporaryDirectory() as name:
        folder = Path(name)
        environment = signer.environment(folder)
        clients = read_clients(Path(environment["CDS_CLIENTS"]), ANY_CLIENT)
        storage = Storage(folder, f"sqlite:///{folder / 'none.sqlite'}")
        tokens = Tokens((environment["CDS_PUBLIC_URL"],))
        caller = authenticator(Settings(clients=clients, tokens=tokens, storage=storage))
        assert caller is not None
        signed = iter([f"Bearer {signer.token()}" for _ in range(calls + _WARM_UP)])
        taken = _times(lambda: caller.caller(next(signed), [PATH]), calls)
    return {"algorithm": algorithm, **_told({WHOLE: taken})[WHOLE]}


def _times(call: Callable[[], object], calls: int) -> list[float]:
    taken = []
    for _ in range(_WARM_UP + calls):
        begun = perf_counter()
        call()
        taken.append((perf_counter() - begun) * 1000)
    return taken[_WARM_UP:]


def _told(taken: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    return {
        stage: {"median": round(median(times), 4), "p99": round(quantiles(times, n=100)[-1], 4)}
        for stage, times in taken.items()
    }
