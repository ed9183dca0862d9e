"""One worker process of a service whose workers share their metrics, told by lines what to do.

``post NAME`` posts a bundled request, ``scrape`` prints the metrics as one line of JSON; it ends with its standard input. The
folder comes by the environment, as ``serve`` hands it to its workers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hooks import metrics
from hooks.app import create_app
from hooks.service_settings import service_settings
from tests.support.exposition import Exposition
from tests.support.hospital import ORDER_SIGN, bundled

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Worker:
    """A running worker as a test sees it."""

    process: subprocess.Popen[str]

    def post(self, name: str) -> None:
        assert self._told(f"post {name}") == "200"

    def scrape(self) -> Exposition:
        return Exposition(json.loads(self._told("scrape")))

    def kill(self) -> None:
        """As the system does it where memory is short."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """As the service does it at its end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _told(self, command: str) -> str:
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        print(command, file=stdin, flush=True)
        return stdout.readline().strip()


@contextmanager
def worker(folder: Path, data: Path) -> Iterator[Worker]:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder), "CDS_DATA": str(data)}
    command = [sys.executable, "-m", "tests.support.metrics_worker"]
    with subprocess.Popen(
        command, cwd=_ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield Worker(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def main() -> None:
    metrics._WRITTEN_EVERY = 0.2
    app = create_app(replace(service_settings(), metrics_folder=Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])))
    http = app.test_client()
    _say("ready")
    for line in sys.stdin:
        command, _, name = line.strip().partition(" ")
        if command == "post":
            _say(str(http.post(f"/cds-services/{ORDER_SIGN}", json=bundled(name)).status_code))
        else:
            _say(json.dumps(http.get("/metrics").get_data(as_text=True)))
    app.extensions["service"].close()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
