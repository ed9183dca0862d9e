"""Where keys come from: a client's key server and file, what they cost, and what happens when they are not to be had."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from itertools import chain, repeat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hooks.clients import Identity
from hooks.health import Health
from hooks.key_sets import KeySets, Limits, UnknownKeyError
from tests.support.key_server import KeyServer, eventually, key_server
from tests.support.tokens import elliptic, key_set, rivest

_OLD, _NEW = elliptic("old"), elliptic("new")


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with key_server() as server:
        server.answers(key_set(_OLD.jwk()))
        yield server


class Worker:
    """Key sets with a clock that is turned by hand."""

    def __init__(self, *urls: str, file: Path | None = None, ca_bundle: str | None = None, **limits: float) -> None:
        self.now = 1000.0
        self.health = Health()
        self.identity = Identity("https://ehr.example", key_sets=urls, key_file=file)
        self.keys = KeySets(self.health, ca_bundle, limits=Limits(**{"patience": 20, **limits}), clock=lambda: self.now)  # type: ignore[arg-type]

    def knows(self, kid: str, jku: str | None = None) -> bool:
        try:
            self.keys.key(self.identity, jku, kid)
        except UnknownKeyError:
            return False
        return True

    @property
    def why(self) -> str:
        """Why the one part that is degraded is."""
        (why,) = self.health.degraded.values()
        return why


def test_a_key_is_fetched_once_and_used_by_many_requests(server: KeyServer) -> None:
    worker = Worker(server.url)

    assert [worker.knows("old") for _ in range(20)] == [True] * 20
    assert worker.keys.key(worker.identity, server.url, "old").algorithm_name == "ES384"
    assert server.times_asked == 1
    assert worker.health.degraded == {}


def test_clients_of_one_key_server_share_what_was_fetched(server: KeyServer) -> None:
    worker = Worker(server.url)
    worker.knows("old")

    assert worker.keys.key(Identity("https://other.example", key_sets=(server.url,)), None, "old").key_id == "old"
    assert server.times_asked == 1


def test_an_address_that_is_not_the_clients_is_not_asked(server: KeyServer) -> None:
    worker = Worker("https://ehr.example/jwks")

    assert not worker.knows("old", jku=server.url)
    assert server.times_asked == 0


def test_with_jku_only_the_set_it_names_counts(server: KeyServer, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(_NEW.jwk()))
    worker = Worker(server.url, file=file)

    assert (worker.knows("new"), worker.knows("old")) == (True, True)
    assert (worker.knows("new", jku=server.url), worker.knows("old", jku=server.url)) == (False, True)


def test_a_new_key_is_found_at_its_first_token(server: KeyServer) -> None:
    worker = Worker(server.url)
    worker.knows("old")
    server.answers(key_set(_OLD.jwk(), _NEW.jwk()))
    worker.now += 30

    assert worker.knows("new")
    assert server.times_asked == 2


def test_a_flood_of_unknown_keys_causes_one_fetch_in_half_a_minute(server: KeyServer) -> None:
    worker = Worker(server.url)

    asked = []
    for passed in (0, 29.9, 30, 45, 60):
        worker.now = 1000 + passed
        assert [worker.knows(f"unknown-{number}") for number in range(30)] == [False] * 30
        asked.append(server.times_asked)

    assert asked == [1, 1, 2, 2, 3]
    assert worker.knows("old")


def test_requests_that_need_the_same_new_key_share_one_fetch(server: KeyServer) -> None:
    worker = Worker(server.url)
    server.open.clear()

    with ThreadPoolExecutor(8) as pool:
        known = [pool.submit(worker.knows, "old") for _ in range(8)]
        assert eventually(lambda: server.times_asked)
        server.open.set()

        assert [found.result() for found in known] == [True] * 8
    assert server.times_asked == 1


def test_who_needs_a_known_key_does_not_wait_for_a_fetch(server: KeyServer) -> None:
    worker = Worker(server.url)
    worker.knows("old")
    worker.now += 30
    server.open.clear()

    with ThreadPoolExecutor(4) as pool:
        flood = [pool.submit(worker.knows, f"unknown-{number}") for number in range(4)]
        assert eventually(lambda: server.times_asked == 2)

        assert worker.knows("old")
        assert not any(asked.done() for asked in flood)
        server.open.set()


def test_a_set_that_is_not_old_is_not_read_again_for_the_keys_it_has(server: KeyServer) -> None:
    worker = Worker(server.url)
    worker.knows("old")
    server.answers(key_set(_NEW.jwk()))
    worker.now += 599
    worker.knows("old")

    worker.keys._served[server.url].wait()
    assert server.times_asked == 1


def test_an_old_set_is_read_again_beside_the_requests(server: KeyServer) -> None:
    worker = Worker(server.url)
    worker.knows("old")
    server.answers(key_set(_NEW.jwk()))
    server.open.clear()
    worker.now += 600

    assert worker.knows("old")
    assert eventually(lambda: server.times_asked == 2)
    assert worker.knows("old")

    server.open.set()
    assert eventually(lambda: not worker.knows("old"))
    assert worker.knows("new")
    assert server.times_asked == 2


_MISBEHAVIOUR: dict[str, tuple[Callable[[KeyServer], None], str]] = {
    "garbage": (lambda server: server.answers(b"<html>\xff"), "the body is not JSON"),
    "nothing": (lambda server: server.answers(b""), "the body is not JSON"),
    "nested": (lambda server: server.answers(b"[" * 4000), "the body is nested too deeply"),
    "no set": (lambda server: server.answers(b'{"kid":"old"}'), "it is not a JWK Set"),
    "empty set": (lambda server: server.answers(key_set()), "none of its 0 keys"),
    "no usable key": (lambda server: server.answers(key_set({"kty": "oct", "kid": "old", "k": "YQ"})), "none of its 1"),
    "error": (lambda server: server.answers(key_set(_NEW.jwk()), 500), "the key server answers 500"),
    "not found": (lambda server: server.answers(key_set(_NEW.jwk()), 404), "the key server answers 404"),
    "other success": (lambda server: server.answers(key_set(_NEW.jwk()), 203), "the key server answers 203"),
    "redirect": (lambda server: server.answers(b"", 302, Location="/elsewhere"), "the key server answers 302"),
    "too large": (lambda server: server.answers(b" " * 5000 + key_set(_NEW.jwk())), "it is larger than 4096 bytes"),
    "truncated": (lambda server: server.answers(key_set(_NEW.jwk())[:-9]), "the body is not JSON"),
    "no HTTP": (lambda server: setattr(server, "pieces", lambda: iter([b"SSH-2.0-x\r\n\r\n"])), "BadStatusLine"),
}


@pytest.mark.parametrize(("misbehave", "why"), _MISBEHAVIOUR.values(), ids=_MISBEHAVIOUR.keys())
def test_the_last_good_keys_stay_while_the_key_server_misbehaves(
    server: KeyServer, misbehave: Callable[[KeyServer], None], why: str
) -> None:
    worker = Worker(server.url, size=4096)
    worker.knows("old")

    misbehave(server)
    worker.now += 30
    assert not worker.knows("new")
    assert eventually(lambda: worker.health.degraded)
    assert list(worker.health.degraded) == [f"key set {server.url}"]
    assert why in worker.why
    assert worker.knows("old")
    assert set(server.asked) == {"/jwks"}

    server.answers(key_set(_NEW.jwk()))
    worker.now += 30
    assert worker.knows("new")
    assert not worker.knows("old")
    assert worker.health.degraded == {}


def test_the_last_good_keys_stay_for_days_while_nobody_answers() -> None:
    with key_server() as server:
        server.answers(key_set(_OLD.jwk()))
        worker = Worker(server.url)
        worker.knows("old")

    for _ in range(3):
        worker.now += 86400
        assert worker.knows("old")
        assert not worker.knows("new")
    assert "Connection refused" in worker.why


def test_an_answer_that_trickles_in_is_given_up(server: KeyServer) -> None:
    worker = Worker(server.url, patience=1)
    server.pieces = lambda: chain([b"HTTP/1.0 200 OK\r\n\r\n"], repeat(b" "))

    assert not worker.knows("old")
    assert eventually(lambda: worker.health.degraded)
    assert "the key server takes too long" in worker.why


def test_a_server_that_does_not_come_to_an_end_is_not_asked_again_and_does_not_hold_up_later_requests(
    server: KeyServer,
) -> None:
    worker = Worker(server.url, patience=1)
    server.pieces = lambda: chain([b"HTTP/1.0 200 OK\r\nX: "], repeat(b"x"))

    assert not worker.knows("old")
    worker.now += 5
    assert not worker.knows("old")
    assert server.times_asked == 1
    assert worker.why == "the key server does not come to the end of its answer"


def test_what_could_not_be_loaded_yet_is_tried_again_every_few_seconds_not_at_each_request(server: KeyServer) -> None:
    worker = Worker(server.url)
    server.answers(b"", 503)

    asked = []
    for passed in (0, 1, 4.9, 5, 9.9, 10):
        worker.now = 1000 + passed
        assert [worker.knows("old") for _ in range(5)] == [False] * 5
        asked.append(server.times_asked)
    assert asked == [1, 1, 1, 2, 2, 3]

    server.answers(key_set(_OLD.jwk()))
    worker.now += 5
    assert worker.knows("old")
    assert worker.health.degraded == {}


def test_one_key_server_that_is_down_does_not_hide_the_keys_of_another(server: KeyServer) -> None:
    worker = Worker("http://127.0.0.1:1/jwks", server.url)

    assert worker.knows("old")
    assert list(worker.health.degraded) == ["key set http://127.0.0.1:1/jwks"]


def test_keys_are_loaded_at_the_start_without_waiting_for_them(server: KeyServer) -> None:
    worker = Worker(server.url)
    server.open.clear()

    worker.keys.warm([worker.identity])
    assert eventually(lambda: server.times_asked == 1)

    server.open.set()
    assert worker.knows("old")
    assert server.times_asked == 1


def test_the_environment_names_no_proxy_for_keys(server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    assert Worker(server.url).knows("old")


def test_a_key_server_is_believed_only_with_a_certificate_of_a_trusted_authority(tmp_path: Path) -> None:
    certificate = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with key_server(context) as server:
        server.answers(key_set(_OLD.jwk()))
        stranger, acquainted = Worker(server.url), Worker(server.url, ca_bundle=str(certificate))

        assert not stranger.knows("old")
        assert "CERTIFICATE_VERIFY_FAILED" in stranger.why
        assert acquainted.knows("old")


def test_a_bundle_of_authorities_that_is_not_there_is_told(server: KeyServer, tmp_path: Path) -> None:
    worker = Worker(server.url.replace("http:", "https:"), ca_bundle=str(tmp_path / "missing.pem"))

    assert not worker.knows("old")
    assert "missing.pem" in worker.why


def _certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that vouches for itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    start = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=7))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    file = folder / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return file


def _write(file: Path, document: bytes, modified: int) -> None:
    file.write_bytes(document)
    os.utime(file, (modified, modified))


def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    _write(file, key_set(_OLD.jwk()), 1)
    worker = Worker(file=file)
    assert worker.knows("old")

    _write(file, key_set(_NEW.jwk()), 2)
    assert (worker.knows("old"), worker.knows("new")) == (False, True)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"{", "the body is not JSON"),
        (b"", "the body is not JSON"),
        (key_set(), "none of its 0 keys"),
        (b" " * 5000 + key_set(_NEW.jwk()), "it is larger than 4096 bytes"),
    ],
    ids=["garbage", "empty", "no keys", "too large"],
)
def test_a_broken_new_version_of_a_file_leaves_the_old_keys(tmp_path: Path, document: bytes, why: str) -> None:
    file = tmp_path / "keys.json"
    _write(file, key_set(_OLD.jwk()), 1)
    worker = Worker(file=file, size=4096)
    worker.knows("old")

    _write(file, document, 2)
    assert (worker.knows("old"), worker.knows("old")) == (True, True)
    assert list(worker.health.degraded) == [f"key set {file}"]
    assert why in worker.why

    _write(file, key_set(_NEW.jwk()), 3)
    assert worker.knows("new")
    assert worker.health.degraded == {}


def test_a_file_that_goes_away_leaves_its_keys_and_may_come_back_as_it_was(tmp_path: Path) -> None:
    file, aside = tmp_path / "keys.json", tmp_path / "aside.json"
    _write(file, key_set(rivest().jwk()), 1)
    worker = Worker(file=file)
    worker.keys.warm([worker.identity])

    file.rename(aside)
    assert worker.knows("rsa-1")
    assert "No such file" in worker.why

    aside.rename(file)
    assert worker.knows("rsa-1")
    assert worker.health.degraded == {}


def test_a_client_without_any_keys_has_none() -> None:
    assert not Worker().knows("old")
