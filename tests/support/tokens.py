"""Keys and tokens of made-up clients, good and bad; every key is made anew in each run."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import time
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm, get_default_algorithms

from hooks.auth import Authenticator
from hooks.clients import Client, Identity
from hooks.health import Health
from hooks.key_sets import KeySets
from hooks.settings import Tokens
from hooks.used_tokens import UsedTokens

Json = dict[str, Any]

NOW = 1_750_000_000
ISSUER = "https://ehr.example/fhir"
PUBLIC_URL = "https://cds.example/lenalidomide"
SERVICE = "/cds-services/lenalidomide-order-sign"
FEEDBACK = f"{SERVICE}/feedback"
TOKENS = Tokens(public_urls=(PUBLIC_URL,))
ABSENT = object()


@dataclass(frozen=True)
class Signer:
    """A private key with its id in the client's key set, and the algorithm it signs with."""

    private: Any
    kid: str
    algorithm: str

    def jwk(self, **other: Any) -> Json:
        """The public key as a client publishes it; ``ABSENT`` takes a member away."""
        kind: Any = RSAAlgorithm if isinstance(self.private, rsa.RSAPrivateKey) else ECAlgorithm
        described = kind.to_jwk(self.private.public_key(), as_dict=True)
        return _without_absent({**described, "kid": self.kid, "use": "sig", "alg": self.algorithm, **other})

    def private_jwk(self) -> Json:
        kind: Any = RSAAlgorithm if isinstance(self.private, rsa.RSAPrivateKey) else ECAlgorithm
        return {**kind.to_jwk(self.private, as_dict=True), "kid": self.kid, "key_ops": ["sign", "verify"]}

    def pem(self) -> bytes:
        pem: bytes = self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem

    def sign(self, message: bytes) -> bytes:
        return get_default_algorithms()[self.algorithm].sign(message, self.private)

    def token(self, header: Mapping[str, Any] | None = None, **changed: Any) -> str:
        """A token of ``claims`` with changes; ``header`` changes the header."""
        whole = {"typ": "JWT", "alg": self.algorithm, "kid": self.kid, **(header or {})}
        return compact(_without_absent(whole), claims(**changed), self.sign)


def claims(**changed: Any) -> Json:
    """What a client would say now, with changes; ``ABSENT`` takes a claim away."""
    usual = {"iss": ISSUER, "aud": PUBLIC_URL + SERVICE, "exp": NOW + 300, "iat": NOW, "jti": str(uuid4())}
    return _without_absent({**usual, **changed})


def token_for(url: str, **changed: Any) -> str:
    """A token of the real time for a call of a URL, with changes."""
    now = int(time())
    return elliptic().token(**{"aud": url, "iat": now, "exp": now + 300, **changed})


def compact(header: object, payload: object, sign: Callable[[bytes], bytes]) -> str:
    """Any JSON as header and payload, signed; bytes are taken as they are."""
    signed = f"{_encoded(header)}.{_encoded(payload)}"
    return f"{signed}.{_encoded(sign(signed.encode()))}"


def key_set(*keys: Mapping[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def key_file(folder: Path, *signers: Signer) -> Path:
    """A file with the public keys of some signers."""
    file = folder / f"{'-'.join(str(len(signer.kid)) for signer in signers)}-{uuid4()}.json"
    file.write_bytes(key_set(*(signer.jwk() for signer in signers)))
    return file


def authenticator(
    clients: Sequence[Client],
    tokens: Tokens = TOKENS,
    keys: KeySets | None = None,
    used: UsedTokens | None = None,
    clock: Callable[[], float] = lambda: NOW,
) -> Authenticator:
    """One worker's, at a time that stands still."""
    health = Health()
    used = used or UsedTokens(None, health, clock=clock)
    return Authenticator(clients, tokens, keys or KeySets(health), used, clock=clock)


def client(name: str, file: Path, issuer: str = ISSUER, **identity: Any) -> Client:
    return Client(name=name, identity=Identity(issuer, key_file=file, **identity))


@cache
def elliptic(kid: str = "ec-1", algorithm: str = "ES384", curve: type[ec.EllipticCurve] = ec.SECP384R1) -> Signer:
    return Signer(ec.generate_private_key(curve()), kid, algorithm)


@cache
def rivest(kid: str = "rsa-1", algorithm: str = "RS384", bits: int = 2048) -> Signer:
    return Signer(rsa.generate_private_key(65537, bits), kid, algorithm)


def _encoded(part: object) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _without_absent(members: Mapping[str, Any]) -> Json:
    return {name: value for name, value in members.items() if value is not ABSENT}
