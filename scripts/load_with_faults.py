#!/usr/bin/env python3
"""Mixed load on a running service while its database is stopped and started: is anything lost, wrong or refused?

    .venv/bin/python scripts/load_with_faults.py [--minutes 30] [--stops 5] [--rate 40] [--workers 4]

Makes a PostgreSQL cluster of its own, starts the service with an authenticated client, posts bundled requests moved to today
(each answer is compared with the one computed here), feedback and faulty requests, and stops the database as a crash does.
At the end it looks in the database for every decision answered and every feedback acknowledged. Exit status 1 when one is
missing, an answer was wrong, or a call failed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import quantiles
from tempfile import TemporaryDirectory
from threading import Lock, Thread
from time import monotonic, perf_counter, sleep
from typing import Any
from uuid import uuid4

import jwt
import psycopg
import requests
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(_ROOT))

from hooks import answer  # noqa: E402 -- the scripts are not installed
from hooks.wire import EXTENSION, decode, encode  # noqa: E402 -- as above
from tests.support.cluster import Cluster, cluster, programs  # noqa: E402 -- as above

_PORT = 8097
_BASE = f"http://127.0.0.1:{_PORT}"
_PUBLIC = "https://cds.example"
_ISSUER, _KEY_ID = "https://ehr.example", "load"
_DAY = re.compile(r"\b(20\d\d-\d\d-\d\d)(?=\b|T)")
_BAD = ({"hook": "order-sign"}, {"hook": "order-sign", "hookInstance": "x", "context": {}})
_FEEDBACK_SHARE, _BAD_SHARE = 0.5, 0.02
_DRAIN = 120  # seconds


@dataclass
class Tally:
    """What happened, by all threads together."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)
    feedback: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)


def main() -> int:
    options = _parser().parse_args()
    bin_folder = programs()
    if bin_folder is None:
        print("needs PostgreSQL's programs initdb and pg_ctl", file=sys.stderr)
        return 2
    tally = Tally()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        database = stack.enter_context(cluster(bin_folder))
        key = ec.generate_private_key(ec.SECP384R1())
        service = stack.enter_context(_service(folder, database.url, key))
        before = _resources(service.pid)
        _run(options, tally, key, database)
        waited = _drained()
        after, state = _resources(service.pid), requests.get(f"{_BASE}/readyz", timeout=10).json()
        lost = _lost(tally, database.url)
    _report(options, tally, lost, state, waited, before, after)
    return 1 if any((tally.wrong, tally.failed, *lost.values())) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument(
        "--stops", type=int, default=5, help="how often the database is stopped, for a tenth of the time each"
    )
    parser.add_argument("--rate", type=float, default=40, help="hook calls a second, of all workers together")
    parser.add_argument("--workers", type=int, default=4)
    return parser


@contextmanager
def _service(folder: Path, database_url: str, key: EllipticCurvePrivateKey) -> Iterator[subprocess.Popen[bytes]]:
    public = {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())), "kid": _KEY_ID, "use": "sig"}
    (folder / "keys.json").write_text(json.dumps({"keys": [public]}), encoding="utf-8")
    client = {"issuer": _ISSUER, "key_file": "keys.json"}
    (folder / "clients.yaml").write_text(yaml.safe_dump({"clients": {"load": client}}), encoding="utf-8")
    environment = {
        **os.environ,
        "CDS_CLIENTS": str(folder / "clients.yaml"),
        "CDS_PUBLIC_URL": _PUBLIC,
        "CDS_PSEUDONYM_KEY": "k" * 32,
        "CDS_DATA": str(folder / "data"),
        "DATABASE_URL": database_url,
    }
    command = [str(Path(sys.executable).parent / "lenalidomide-cds"), "serve", "--port", str(_PORT)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=log, stderr=log)
        try:
            _until(_answers)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _answers() -> bool:
    try:
        return requests.get(f"{_BASE}/healthz", timeout=1).ok
    except requests.ConnectionError:
        return False


def _run(options: argparse.Namespace, tally: Tally, key: EllipticCurvePrivateKey, database: Cluster) -> None:
    """Load from several threads, while this one stops and starts the database."""
    length = options.minutes * 60
    end = monotonic() + length
    pause = options.workers / options.rate
    templates = _requests()
    threads = [
        Thread(target=_worker, args=(Random(number), templates, tally, key, end, pause))
        for number in range(options.workers)
    ]
    for thread in threads:
        thread.start()
    for _ in range(options.stops):
        share = length / options.stops / 2
        sleep(share)
        database.stop()
        sleep(share)
        database.start()
    for thread in threads:
        thread.join()


def _requests() -> list[dict[str, Any]]:
    """The bundled requests as if their day were today, without a now of their own."""
    found = []
    for file in sorted((_ROOT / "fhir_fixtures" / "requests").glob("*.json")):
        text = file.read_text(encoding="utf-8")
        own = json.loads(text)["extension"].get(f"{EXTENSION}.now")
        shift = datetime.now(UTC).date() - datetime.fromisoformat(own).date()
        request = decode(_DAY.sub(lambda match, shift=shift: _moved(match[1], shift), text))
        del request["extension"][f"{EXTENSION}.now"]
        found.append(request)
    return found


def _moved(day: str, shift: timedelta) -> str:
    try:
        return (date.fromisoformat(day) + shift).isoformat()
    except ValueError:
        return day


def _worker(
    random: Random,
    templates: list[dict[str, Any]],
    tally: Tally,
    key: EllipticCurvePrivateKey,
    end: float,
    pause: float,
) -> None:
    session = requests.Session()
    while monotonic() < end:
        begun = monotonic()
        try:
            if random.random() < _BAD_SHARE:
                _post_bad(session, random, tally, key)
            else:
                _post_good(session, random, templates, tally, key)
        except Exception as error:  # noqa: BLE001 -- every failed call is counted, whatever failed
            with tally.lock:
                tally.failed.append(repr(error)[:200])
        sleep(max(0.0, pause - (monotonic() - begun)))


def _post_good(
    session: requests.Session,
    random: Random,
    templates: list[dict[str, Any]],
    tally: Tally,
    key: EllipticCurvePrivateKey,
) -> None:
    request = {**random.choice(templates), "hookInstance": str(uuid4())}
    path = f"/cds-services/lenalidomide-{request['hook']}"
    begun, now = perf_counter(), datetime.now(UTC)
    response = _post(session, path, encode(request), key)
    took = perf_counter() - begun
    with tally.lock:
        tally.statuses[f"{request['hook']} {response.status_code}"] += 1
        tally.seconds.append(took)
    if response.status_code != requests.codes.ok:
        tally.failed.append(f"{path}: {response.status_code} {response.text[:200]}")
        return
    if response.text != encode(answer(request, now=now)) and now.date() == datetime.now(UTC).date():
        tally.wrong.append(response.headers["X-Decision-Id"])
    tally.decisions.append(response.headers["X-Decision-Id"])
    for card in response.json()["cards"]:
        if random.random() < _FEEDBACK_SHARE:
            _post_feedback(session, path, card["uuid"], random, tally, key)


def _post_feedback(
    session: requests.Session, path: str, card: str, random: Random, tally: Tally, key: EllipticCurvePrivateKey
) -> None:
    entry: dict[str, Any] = {"card": card, "outcome": random.choice(["accepted", "overridden"])}
    response = _post(session, f"{path}/feedback", json.dumps({"feedback": [entry]}), key)
    with tally.lock:
        tally.statuses[f"feedback {response.status_code}"] += 1
    if response.status_code == requests.codes.ok:
        tally.feedback.append(card)


def _post_bad(session: requests.Session, random: Random, tally: Tally, key: EllipticCurvePrivateKey) -> None:
    response = _post(session, "/cds-services/lenalidomide-order-sign", json.dumps(random.choice(_BAD)), key)
    with tally.lock:
        tally.statuses[f"faulty request {response.status_code}"] += 1
    if response.status_code != requests.codes.bad_request:
        tally.failed.append(f"a faulty request: {response.status_code}")


def _post(session: requests.Session, path: str, body: str, key: EllipticCurvePrivateKey) -> requests.Response:
    now = datetime.now(UTC)
    claims = {
        "iss": _ISSUER,
        "aud": _PUBLIC + path,
        "iat": now,
        "exp": now + timedelta(minutes=5),
        "jti": str(uuid4()),
    }
    token = jwt.encode(claims, key, algorithm="ES384", headers={"kid": _KEY_ID})
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return session.post(_BASE + path, data=body.encode(), headers=headers, timeout=30)


def _drained() -> float:
    """Seconds until the spool was empty."""
    begun = monotonic()
    _until(lambda: requests.get(f"{_BASE}/readyz", timeout=10).json()["waiting"] == 0)
    return monotonic() - begun


def _until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + _DRAIN
    while not condition():
        if monotonic() > deadline:
            msg = "the service did not come, or did not drain its spool"
            raise TimeoutError(msg)
        sleep(0.1)


def _lost(tally: Tally, url: str) -> dict[str, set[str]]:
    with psycopg.connect(url) as connection:
        decisions = {row[0] for row in connection.execute("SELECT id FROM decision")}
        feedback = {row[0] for row in connection.execute("SELECT card FROM feedback")}
    return {"decisions": set(tally.decisions) - decisions, "feedback": set(tally.feedback) - feedback}


def _resources(process: int) -> tuple[int, int]:
    """Resident megabytes and open files of a process."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    resident = re.search(r"VmRSS:\s+(\d+)", status)
    assert resident is not None
    return int(resident[1]) // 1024, len(list(Path(f"/proc/{process}/fd").iterdir()))


def _report(
    options: argparse.Namespace,
    tally: Tally,
    lost: dict[str, set[str]],
    state: dict[str, Any],
    waited: float,
    before: tuple[int, int],
    after: tuple[int, int],
) -> None:
    cuts = quantiles(tally.seconds, n=1000)
    print(f"{options.minutes:g} minutes, the database stopped and started {options.stops} times")
    for status, number in sorted(tally.statuses.items()):
        print(f"  {status}: {number}")
    print(
        f"milliseconds: median {cuts[499] * 1000:.1f}, p99 {cuts[989] * 1000:.1f}, longest {max(tally.seconds) * 1000:.1f}"
    )
    print(f"wrong answers: {len(tally.wrong)}; failed calls: {len(tally.failed)} {tally.failed[:3]}")
    print(f"decisions answered {len(tally.decisions)}, lost {len(lost['decisions'])}")
    print(f"feedback acknowledged {len(tally.feedback)}, lost {len(lost['feedback'])}")
    print(f"spool empty {waited:.1f} s after the end; {state}")
    print(f"resident MB and open files: {before} at the start, {after} at the end")


if __name__ == "__main__":
    sys.exit(main())
