#!/usr/bin/env python3
"""Runs the container image as locked up as it can be, and sees whether it serves, keeps to itself and stops well.

``scripts/build_image`` calls it, in a network of its own: the container's port is then nobody else's. It prints the card that
a bundled hook call brings, and a line for each check. Exit status 1 when one fails.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep, time
from typing import Any
from uuid import uuid4

import requests
import yaml
from packaging.utils import canonicalize_name

_ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(_ROOT))

from hooks.for_reading import cards_as_text  # noqa: E402 -- the scripts are not installed
from hooks.wire import encode  # noqa: E402 -- as above
from tests.support import tokens  # noqa: E402 -- as above
from tests.support.fetching import AUTHORIZATION  # noqa: E402 -- as above
from tests.support.fhir_server import FhirServerProcess, running_fhir_server  # noqa: E402 -- as above
from tests.support.today import moved_to_today  # noqa: E402 -- as above

_PODMAN = ("podman", "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--runtime", "runc")
_OPTIONS = (
    "--network=host",
    "--pull=never",
    "--no-healthcheck",
    "--ulimit=nofile=1024:1024",
    "--ulimit=nproc=1024:1024",
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--volume=/dev/null:/usr/bin/bash:ro",
    "--volume=/dev/null:/usr/bin/dash:ro",
)
_IMAGE, _NAME = "localhost/lenalidomide-cds", "lenalidomide-cds-check"
_DATA = "/var/lib/lenalidomide-cds"
_CONFIGURATION = "/etc/lenalidomide-cds"
_SBOM = "/opt/lenalidomide-cds/sbom.cdx.json"
_USER = "10001"
_BASE, _PATH = "http://127.0.0.1:8080", "/cds-services/lenalidomide-order-select"
_REQUEST = _ROOT / "fhir_fixtures" / "requests" / "order-select-renal-decline.json"
_LACKING = "counts"
_IN_FLIGHT = 8  # calls under way when the container is told to stop
_LARGE = 3 * 1024 * 1024
_PATIENCE = 30  # seconds

Json = dict[str, Any]


def main() -> int:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        fhir_server = stack.enter_context(running_fhir_server(folder))
        hospital = Hospital(fhir_server)
        hospital.write_files(folder)
        stack.enter_context(_container(folder))
        outcomes = list(_checks(hospital))
        if not all(outcomes):
            print(_podman("logs", _NAME))
    return 0 if all(outcomes) else 1


class Hospital:
    """The client of the service: its keys, its FHIR server, which answers only when it is told to, and its calls."""

    def __init__(self, fhir_server: FhirServerProcess) -> None:
        self._fhir_server = fhir_server
        self._url = f"https://127.0.0.1:{fhir_server.tls}/silent@/hospital"
        self._signer = tokens.elliptic()
        self._request = moved_to_today(_REQUEST.read_text(encoding="utf-8"))
        self.decisions: set[str] = set()

    def write_files(self, folder: Path) -> None:
        """The file of clients and the client's keys, for the service to read."""
        client = {
            "issuer": tokens.ISSUER,
            "key_file": "keys.json",
            "fhir_servers": [{"url": self._url, "private": True}],
        }
        (folder / "keys.json").write_bytes(tokens.key_set(self._signer.jwk()))
        (folder / "clients.yaml").write_text(yaml.safe_dump({"clients": {"hospital": client}}), encoding="utf-8")
        folder.chmod(0o755)

    def call(self, **changes: Any) -> requests.Response:
        """A hook call; the decision of its answer is noted."""
        now = int(time())
        token = self._signer.token(aud=tokens.PUBLIC_URL + _PATH, iat=now, exp=now + 300)
        response = _post({**self._request, "hookInstance": str(uuid4()), **changes}, Authorization=f"Bearer {token}")
        if response.ok:
            self.decisions.add(response.headers["X-Decision-Id"])
        return response

    def call_that_waits(self) -> requests.Response:
        """A hook call without the counts, which the service then asks of the FHIR server."""
        prefetch = {key: value for key, value in self._request["prefetch"].items() if key != _LACKING}
        return self.call(prefetch=prefetch, fhirServer=self._url, fhirAuthorization=AUTHORIZATION)

    @property
    def waiting(self) -> int:
        """How many questions the FHIR server was asked."""
        return len(self._fhir_server.requests("hospital"))

    def answer_all(self) -> None:
        """Let the FHIR server answer."""
        self._fhir_server.release("hospital")


def _post(body: Json, **headers: str) -> requests.Response:
    headers["Content-Type"] = "application/json"
    return requests.post(_BASE + _PATH, encode(body).encode(), headers=headers, timeout=_PATIENCE)


@contextmanager
def _container(configuration: Path) -> Iterator[None]:
    settings = {
        "CDS_CLIENTS": f"{_CONFIGURATION}/clients.yaml",
        "CDS_PUBLIC_URL": tokens.PUBLIC_URL,
        "CDS_PSEUDONYM_KEY": uuid4().hex,
        "CDS_CA_BUNDLE": f"{_CONFIGURATION}/ca.pem",
        "CDS_FETCH_BUDGET_MS": "4000",
    }
    environment = [f"--env={name}={value}" for name, value in settings.items()]
    volumes = (f"--volume={_NAME}:{_DATA}", f"--volume={configuration}:{_CONFIGURATION}:ro")
    try:
        _podman("run", "--detach", "--name", _NAME, *_OPTIONS, *environment, *volumes, _IMAGE)
        yield
    finally:
        _podman("rm", "--force", "--ignore", _NAME)
        _podman("volume", "rm", "--force", _NAME)


def _podman(*arguments: str) -> str:
    return subprocess.run((*_PODMAN, *arguments), capture_output=True, check=True, text=True).stdout


def _runs(*command: str) -> bool:
    """Whether a command inside the container ends well."""
    return subprocess.run((*_PODMAN, "exec", _NAME, *command), capture_output=True, check=False).returncode == 0


def _printed(program: str) -> str:
    """What a Python program prints inside the container."""
    return _podman("exec", _NAME, "python", "-c", program)


def _image() -> Json:
    """What the image says of itself."""
    (described,) = json.loads(_podman("image", "inspect", _IMAGE))
    found: Json = described
    return found


def _until(holds: Callable[[], bool]) -> bool:
    deadline = monotonic() + _PATIENCE
    while not holds():
        if monotonic() > deadline:
            return False
        sleep(0.1)
    return True


def _checks(hospital: Hospital) -> Iterator[bool]:
    # The first part of the image's health check says that a command follows.
    health_check = _image()["Healthcheck"]["Test"][1:]
    yield _told("the health check passes", _until(lambda: _runs(*health_check)))
    yield from _confinement()
    yield from _contents()
    yield from _calls(hospital)
    yield from _stop(hospital)


def _told(what: str, holds: object, seen: object = "") -> bool:
    print(f"{'ok     ' if holds else 'FAILED '} {what}{f': {seen}' if seen else ''}", flush=True)
    return bool(holds)


def _confinement() -> Iterator[bool]:
    lines = _printed("print(open('/proc/1/status').read())").splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    ids = {*status["Uid"], *status["Gid"]}
    yield _told("user and group are not root's", ids == {_USER}, ", ".join(ids))
    capabilities = {name: value[0] for name, value in status.items() if name.startswith("Cap")}
    yield _told("there are no capabilities", set("".join(capabilities.values())) == {"0"}, capabilities)
    yield _told("no privilege can be gained", status["NoNewPrivs"] == ["1"])
    written = _printed(_WRITE_EVERYWHERE).split()
    yield _told("nothing but the data can be written", written == [_DATA], ", ".join(written))
    yield _told("there is no shell", not _runs("/bin/sh", "-c", ":") and not _runs("/bin/bash", "-c", ":"))


_WRITE_EVERYWHERE = f"""
from tempfile import TemporaryFile
for folder in ('/', '/etc', '/opt/lenalidomide-cds', '/run', '/tmp', '/var/tmp', '{_DATA}'):
    try:
        TemporaryFile(dir=folder).close()
    except OSError:
        continue
    print(folder)
"""


def _contents() -> Iterator[bool]:
    version, revision = (_image()["Labels"][f"org.opencontainers.image.{name}"] for name in ("version", "revision"))
    yield _told("labels say what it is", "unknown" not in {version, revision}, f"{version}, {revision}")
    document = json.loads(_printed(f"print(open('{_SBOM}').read())"))
    components = [document["metadata"]["component"], *document["components"]]
    installed = json.loads(_printed(_INSTALLED))
    unlike = {canonicalize_name(one["name"]) for one in components} ^ set(map(canonicalize_name, installed))
    yield _told(f"{_SBOM} lists what is installed", not unlike, unlike or f"{len(installed)} distributions")
    yield _told("pip and setuptools are not among them", not {"pip", "setuptools"} & set(installed))


_INSTALLED = "import importlib.metadata as m, json; print(json.dumps([one.name for one in m.distributions()]))"


def _calls(hospital: Hospital) -> Iterator[bool]:
    refused = _post({})
    yield _told("a call without token is refused", refused.status_code == requests.codes.unauthorized)
    answer = hospital.call()
    print(cards_as_text(answer.json()))
    yield _told("a hook call is answered with a card", answer.ok and answer.json()["cards"])
    large = hospital.call(padding="x" * _LARGE)
    yield _told("a body of 3 MB is read without /tmp", large.ok and _headlines(large) == _headlines(answer))


def _headlines(answer: requests.Response) -> list[str]:
    return [card["summary"] for card in answer.json()["cards"]]


def _stop(hospital: Hospital) -> Iterator[bool]:
    """Told to stop while calls wait for the FHIR server, which answers a moment later."""
    with ThreadPoolExecutor(_IN_FLIGHT) as threads:
        calls = [threads.submit(hospital.call_that_waits) for _ in range(_IN_FLIGHT)]
        are_waiting = _until(lambda: hospital.waiting >= _IN_FLIGHT)
        _podman("kill", "--signal", "TERM", _NAME)
        sleep(0.5)
        unanswered = sum(not call.done() for call in calls)
        hospital.answer_all()
    answered = sum(call.exception() is None and call.result().ok for call in calls)
    yield _told("calls are in flight when SIGTERM comes", are_waiting and unanswered == _IN_FLIGHT, unanswered)
    yield _told("all of them are answered", answered == _IN_FLIGHT, answered)
    yield _told("the service ends by itself, with status 0", _podman("wait", _NAME).strip() == "0")
    data = Path(_podman("volume", "inspect", "--format", "{{.Mountpoint}}", _NAME).strip())
    with sqlite3.connect(data / "lenalidomide-cds.sqlite") as database:
        recorded = {row[0] for row in database.execute("SELECT id FROM decision")}
    yield _told(
        "every decision is recorded", recorded == hospital.decisions, f"{len(recorded)} of {len(hospital.decisions)}"
    )
    yield _told("the spool is empty", not list((data / "spool").iterdir()))


if __name__ == "__main__":
    sys.exit(main())
