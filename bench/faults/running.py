"""The service and what it depends on as processes of their own, and what they take of the machine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import jwt
import requests
import yaml
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from bench.faults.traffic import ISSUER, KEY_ID, PUBLIC

_ROOT = Path(__file__).parents[2]
_PATIENCE = 150  # seconds: a dead worker's spool is taken over within two minutes


@dataclass(frozen=True)
class Use:
    """Of all workers together: private megabytes and open files; ``at`` in seconds of ``time.monotonic``."""

    at: float
    workers: int
    megabytes: float
    files: int


class Service:
    """A running ``lenalidomide-cds serve``."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process, self.port = process, port

    @property
    def workers(self) -> list[int]:
        """Their process ids."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [int(child) for child in children.read_text(encoding="ascii").split()]

    def use(self) -> Use:
        """What the workers take now; one that is just ending counts as nothing."""
        megabytes, files, workers = 0.0, 0, 0
        for worker in self.workers:
            with suppress(OSError):
                rollup = Path(f"/proc/{worker}/smaps_rollup").read_text(encoding="ascii")
                files += len(list(Path(f"/proc/{worker}/fd").iterdir()))
                megabytes += sum(int(kilobytes) for kilobytes in re.findall(r"Private_\w+:\s+(\d+)", rollup)) / 1024
                workers += 1
        return Use(monotonic(), workers, megabytes, files)

    def kill_a_worker(self) -> None:
        """As a machine out of memory does."""
        os.kill(self.workers[0], signal.SIGKILL)

    def answers(self) -> bool:
        """Whether it answers at all."""
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/healthz", timeout=5).ok
        except requests.RequestException:
            return False


@contextmanager
def service(
    folder: Path, port: int, key: EllipticCurvePrivateKey, fhir_server: str, settings: Mapping[str, str]
) -> Iterator[Service]:
    """The service with one client that signs with the key, and its log in the folder; stopped as a platform stops it."""
    public = {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())), "kid": KEY_ID, "use": "sig"}
    (folder / "keys.json").write_text(json.dumps({"keys": [public]}), encoding="utf-8")
    client = {"issuer": ISSUER, "key_file": "keys.json", "fhir_servers": [{"url": fhir_server, "private": True}]}
    (folder / "clients.yaml").write_text(yaml.safe_dump({"clients": {"load": client}}), encoding="utf-8")
    environment = {
        **os.environ,
        "CDS_CLIENTS": str(folder / "clients.yaml"),
        "CDS_PUBLIC_URL": PUBLIC,
        "CDS_PSEUDONYM_KEY": "k" * 32,
        "CDS_DATA": str(folder / "data"),
        **settings,
    }
    command = [str(Path(sys.executable).parent / "lenalidomide-cds"), "serve", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=log, stderr=log)
        running = Service(process, port)
        try:
            until(running.answers)
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def until(condition: Callable[[], bool]) -> float:
    """Wait until it holds; the seconds it took. ``TimeoutError`` where it never does."""
    began = monotonic()
    while not condition():
        if monotonic() - began > _PATIENCE:
            msg = f"what was waited for did not come in {_PATIENCE} seconds"
            raise TimeoutError(msg)
        sleep(0.1)
    return monotonic() - began
