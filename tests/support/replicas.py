"""Two services behind a proxy, with one PostgreSQL and one Redis: processes of their own, called over HTTP."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import requests
import yaml
from werkzeug import Request, Response
from werkzeug.test import Client

from hooks.problems import Problem
from hooks.wire import decode, encode
from tests.support.hospital import KEY, database_of_its_own, postgres_url, wait_for
from tests.support.today import OWN_NOW, moved_to_today
from tests.support.tokens import ISSUER, elliptic, key_file, token_for

PUBLIC_URL = "https://cds.example"
SERVED_BY = "X-Served-By"  # which replica it was; the proxy of this test says so
_PATIENCE = 30  # seconds for one call
_OF_ONE_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}
_PROXY = """
global
    stats socket {folder}/proxy.sock level admin
defaults
    mode http
    timeout connect 1s
    timeout client 30s
    timeout server 30s
    option redispatch
frontend public
    bind 127.0.0.1:{port}
    default_backend replicas
backend replicas
    option httpchk GET /readyz
    default-server check inter 100ms fall 2 rise 1
    http-response set-header {header} %s
{servers}
"""


def missing() -> str | None:
    """What this machine lacks for it."""
    if _haproxy() is None:
        return "no haproxy on this machine"
    if postgres_url() is None:
        return "TEST_POSTGRES_URL names no PostgreSQL server"
    return None if os.environ.get("TEST_REDIS_URL") else "TEST_REDIS_URL names no Redis server"


class Replica:
    """One service, which keeps its port and its folder when it is stopped and started."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str]) -> None:
        self.name, self.port = name, _free_port()
        self._folder = folder / name
        self._folder.mkdir()
        self._environment = {**environment, "CDS_DATA": str(self._folder / "data")}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [str(Path(sys.executable).parent / "lenalidomide-cds"), "serve", "--port", str(self.port)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def wait_until_it_answers(self) -> None:
        wait_for(lambda: _status(f"{self.url}/healthz") == requests.codes.ok)

    def stop(self) -> int:
        """As a container platform does; the exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(_PATIENCE)

    def kill(self) -> None:
        """As when its machine fails, with all processes that it has started."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_PATIENCE)


class Replicas:
    """Both, and the proxy before them."""

    def __init__(self, folder: Path, both: tuple[Replica, Replica], url: str, database_url: str) -> None:
        self._folder = folder
        self.both, self.url, self.database_url = both, url, database_url

    def take_out(self, replica: Replica) -> None:
        """New calls go to the other one."""
        self._tell(f"set server replicas/{replica.name} state drain")
        wait_for(lambda: replica.name not in {self._served_by() for _ in range(4)})

    def put_back(self, replica: Replica) -> None:
        """Once it answers."""
        replica.wait_until_it_answers()
        self._tell(f"set server replicas/{replica.name} state ready")
        wait_for(lambda: replica.name in {self._served_by() for _ in range(4)})

    def _served_by(self) -> str:
        return requests.get(f"{self.url}/healthz", timeout=_PATIENCE).headers.get(SERVED_BY, "")

    def _tell(self, command: str) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._folder / "proxy.sock"))
            connection.sendall(f"{command}\n".encode())
            assert connection.recv(1000).strip() == b"", command


@contextmanager
def replicas(folder: Path) -> Iterator[Replicas]:
    """Both running, with a database of their own."""
    server = postgres_url()
    assert server is not None
    with ExitStack() as stack:
        database_url = stack.enter_context(database_of_its_own(server))
        environment = _environment(folder, database_url)
        both = (Replica("first", folder, environment), Replica("second", folder, environment))
        for replica in both:
            replica.start()
            stack.callback(replica.kill)
        for replica in both:
            replica.wait_until_it_answers()
        yield Replicas(folder, both, stack.enter_context(_proxy(folder, both)), database_url)


def _environment(folder: Path, database_url: str) -> dict[str, str]:
    client = {"issuer": ISSUER, "key_file": key_file(folder, elliptic()).name}
    (folder / "clients.yaml").write_text(yaml.safe_dump({"clients": {"hospital": client}}), encoding="utf-8")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("CDS_")},
        "CDS_CLIENTS": str(folder / "clients.yaml"),
        "CDS_PUBLIC_URL": PUBLIC_URL,
        "CDS_PSEUDONYM_KEY": KEY,
        "CDS_REDIS_URL": os.environ["TEST_REDIS_URL"],
        "DATABASE_URL": database_url,
        # One each: a page of state tells what the worker knows that answers.
        "CDS_WORKERS": "1",
    }


@contextmanager
def _proxy(folder: Path, both: tuple[Replica, Replica]) -> Iterator[str]:
    """A real one, which knows nothing of what it passes on; its URL."""
    program, port = _haproxy(), _free_port()
    assert program is not None
    servers = "\n".join(f"    server {replica.name} 127.0.0.1:{replica.port}" for replica in both)
    (folder / "proxy.cfg").write_text(_PROXY.format(folder=folder, port=port, header=SERVED_BY, servers=servers))
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen([program, "-db", "-f", folder / "proxy.cfg"], stdout=log, stderr=log)
    try:
        wait_for(lambda: _status(f"http://127.0.0.1:{port}/healthz") == requests.codes.ok)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(_PATIENCE)


def _haproxy() -> str | None:
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _status(url: str) -> int | None:
    try:
        return requests.get(url, timeout=1).status_code
    except requests.RequestException:
        return None


def strangers_client(url: str) -> Client:
    """Calls a service at a URL as any test calls the one in its process, and sends what it is given."""
    return _client(url, is_of_the_hospital=False)


def hospitals_client(url: str) -> Client:
    """As ``strangers_client``, with a new token for each call, and with what a request says of now made true."""
    return _client(url, is_of_the_hospital=True)


def _client(url: str, *, is_of_the_hospital: bool) -> Client:
    session = requests.Session()

    @Request.application
    def pass_on(request: Request) -> Response:
        headers, body = _end_to_end(request.headers.items()), request.get_data()
        if is_of_the_hospital:
            headers["Authorization"] = f"Bearer {token_for(PUBLIC_URL + request.path.rstrip('/'))}"
            body = _of_today(body)
        address = url + request.environ["REQUEST_URI"]
        try:
            answer = session.request(request.method, address, data=body, headers=headers, timeout=_PATIENCE)
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            # Also where the answer had begun.
            return Response(status=requests.codes.bad_gateway)
        return Response(answer.content, answer.status_code, _end_to_end(answer.headers.items()))

    return Client(pass_on)


def _end_to_end(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: value for name, value in headers if name.lower() not in _OF_ONE_HOP}


def _of_today(body: bytes) -> bytes:
    try:
        request = decode(body)
    except Problem:
        return body
    return (
        encode(moved_to_today(body.decode())).encode()
        if isinstance(request, dict) and OWN_NOW in str(request)
        else body
    )
