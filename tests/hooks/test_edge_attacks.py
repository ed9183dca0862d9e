"""What strangers may send to the edge of the service: it is refused, or harmless, and others are served meanwhile."""

from __future__ import annotations

import gzip
import json
import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

import pytest
import requests

from hooks.app import create_app
from hooks.clients import Client, Identity
from hooks.settings import Settings, Tokens
from hooks.worker import serve
from tests.support.fixtures import client
from tests.support.hospital import ADVISED, ORDER_SIGN, bundled

ENDPOINT = f"/cds-services/{ORDER_SIGN}"


@pytest.fixture
def port() -> Iterator[int]:
    """A real server."""
    listening, stopping = socket.create_server(("127.0.0.1", 0)), Event()
    number = int(listening.getsockname()[1])
    limits = {"threads": 4, "body_limit": 10_000_000, "stopping": stopping}
    thread = Thread(target=serve, args=(create_app(Settings()), listening), kwargs=limits)
    thread.start()
    yield number
    stopping.set()
    thread.join()


def test_bodies_that_never_end_keep_nobody_else_from_an_answer(port: int) -> None:
    started = f"POST {ENDPOINT} HTTP/1.1\r\nHost: cds\r\nContent-Length: 100000\r\n\r\n{{".encode()
    hanging = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]
    try:
        for connection in hanging:
            connection.sendall(started)
        response = requests.post(f"http://127.0.0.1:{port}{ENDPOINT}", json=bundled(ADVISED), timeout=20)
        assert response.status_code == 200
        assert len(response.json()["cards"]) == 1
    finally:
        for connection in hanging:
            connection.close()


# The server leaves the file of a body that breaks off to Python, which closes it.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_bodies_that_are_received_for_long_do_not_fill_the_memory(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pieces = b" " * 1_000_000
    before = _private_bytes()
    with ExitStack() as stack:
        for _ in range(20):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.sendall(f"POST {ENDPOINT} HTTP/1.1\r\nHost: cds\r\nContent-Length: 9000000\r\n\r\n".encode())
            for _ in range(8):
                connection.sendall(pieces)
        assert _private_bytes() - before < 20 * 4_000_000
        response = requests.post(f"http://127.0.0.1:{port}{ENDPOINT}", json=bundled(ADVISED), timeout=20)
        assert response.status_code == 200


def test_a_large_body_is_answered_as_a_small_one(port: int) -> None:
    large = {**bundled(ADVISED), "extension": {**bundled(ADVISED)["extension"], "filler": "x" * 5_000_000}}
    response = requests.post(f"http://127.0.0.1:{port}{ENDPOINT}", json=large, timeout=20)
    assert response.status_code == 200
    assert len(response.json()["cards"]) == 1


def _private_bytes() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, gzip"])
def test_a_packed_body_is_refused_before_it_could_unpack_to_anything(encoding: str) -> None:
    bomb = gzip.compress(b" " * 5_000_000)
    response = client().post(ENDPOINT, data=bomb, headers={"Content-Encoding": encoding})
    assert response.status_code == 415
    assert response.get_json()["issue"][0]["expression"] == ["Content-Encoding"]


def test_a_body_that_says_it_is_not_packed_is_read() -> None:
    response = client().post(ENDPOINT, data=json.dumps(bundled(ADVISED)), headers={"Content-Encoding": "identity"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "path", [f"{ENDPOINT}%0d%0aERROR forged", "/cds-services/x%0a%1b[31m", "/%0d%0a", "/cds-services/\u2028x"]
)
def test_no_path_can_forge_a_line_of_the_log(path: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    identity = Identity("https://ehr.example", key_sets=("https://ehr.example/keys",))
    settings = Settings(clients=(Client("ehr", identity),), tokens=Tokens(("https://cds.example",)))
    for app in (create_app(Settings()), create_app(settings)):
        app.test_client().post(path, data="{}", headers={"Authorization": "Bearer a\tb"})
    assert caplog.messages
    assert [line for line in caplog.messages if not line.isprintable()] == []


def test_names_of_the_request_stand_in_no_header() -> None:
    request = bundled(ADVISED, hookInstance="x\r\nSet-Cookie: stolen=1")
    response = client().post(ENDPOINT, data=json.dumps(request))
    assert response.status_code == 200
    assert "stolen" not in str(response.headers)


MARKUP = "<img src=x onerror=alert(1)>[click](javascript:alert(1))"


def test_markup_in_the_patients_data_is_only_text_on_a_card() -> None:
    request = bundled(ADVISED)
    (entry,) = request["context"]["draftOrders"]["entry"]
    entry["resource"]["medicationCodeableConcept"] = {"text": f"lenalidomide {MARKUP}"}
    response = client().post(ENDPOINT, data=json.dumps(request))
    card = response.get_json()["cards"][0]
    assert r"&lt;img src=x" in card["detail"]
    assert r"\[click\](javascript:" in card["detail"]
    assert "<img" not in card["detail"]
