"""A FHIR server as its own process on loopback, which misbehaves as the base path says, and remembers who asked what.

A base URL is ``/{behaviour}@{target}/{name}``: the behaviour is that of requests whose path or query holds the target (or begins
with it, where ``^`` stands before), all others are answered well; the name tells the requests of one test from those of another.
The process ends with its standard input.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Json = dict[str, Any]
_PROCESS = Path(__file__).with_name("fhir_server_process.py")


@dataclass(frozen=True)
class FhirServerProcess:
    """The running process as a test sees it: its ports and its file of certificates."""

    pid: int
    port: int
    elsewhere: int
    tls: int
    ca_bundle: str

    def base(self, behaviour: str, name: str, target: str = "") -> str:
        return f"http://127.0.0.1:{self.port}/{behaviour}@{quote(target, safe='')}/{quote(name, safe='')}"

    def requests(self, name: str) -> list[Json]:
        """Every request with this name in its path, at whichever port: ``port``, ``path`` and headers."""
        listed: list[Json] = json.loads(self._control(f"requests/{quote(name, safe='')}"))
        return listed

    def release(self, name: str) -> None:
        """Let answers that wait be given."""
        self._control(f"release/{quote(name, safe='')}")

    def connections(self, name: str) -> int:
        """How many connections the requests with this name came over."""
        return len({tuple(request["connection"]) for request in self.requests(name)})

    def _control(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/control/{path}") as answer:
            text: str = answer.read().decode()
        return text


@contextmanager
def running_fhir_server(folder: Path, resources: Path | None = None) -> Iterator[FhirServerProcess]:
    """The server, until the block is left; ``folder`` takes its certificates.

    It has the ``resources`` of a file with a list of them, or those of the bundled requests.
    """
    certificate, key = _certificate(folder)
    command = [sys.executable, str(_PROCESS), str(certificate), str(key), *([str(resources)] if resources else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            ports = json.loads(process.stdout.readline())
            yield FhirServerProcess(process.pid, **ports, ca_bundle=str(certificate))
        finally:
            process.terminate()


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "FHIR server of the tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "ca.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return folder / "ca.pem", folder / "key.pem"
