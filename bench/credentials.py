"""A made-up client with a key of its own, whose tokens are each good for one call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from time import time
from uuid import uuid4

import jwt
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from bench.processes import PATH

ALGORITHMS = ("ES384", "RS384")

_PUBLIC_URL, _ISSUER, _KEY_ID = "https://cds.example", "https://ehr.example", "bench"
_LIFE = 3600  # seconds


class Signer:
    """Signs by one of the two algorithms of the standard."""

    def __init__(self, algorithm: str) -> None:
        self._algorithm = algorithm
        self._key = (
            ec.generate_private_key(ec.SECP384R1()) if algorithm == "ES384" else rsa.generate_private_key(65537, 2048)
        )

    def environment(self, folder: Path) -> Mapping[str, str]:
        """The settings under which a server takes its tokens; the files that they name are written to the folder."""
        described = _described(self._key.public_key())
        (folder / "keys.json").write_text(
            json.dumps({"keys": [{**described, "kid": _KEY_ID, "use": "sig"}]}), encoding="utf-8"
        )
        client = {"issuer": _ISSUER, "key_file": "keys.json"}
        (folder / "clients.yaml").write_text(yaml.safe_dump({"clients": {"bench": client}}), encoding="utf-8")
        return {
            "CDS_CLIENTS": str(folder / "clients.yaml"),
            "CDS_PUBLIC_URL": _PUBLIC_URL,
            "CDS_PSEUDONYM_KEY": "a secret of the benchmark, of no use elsewhere",
        }

    def token(self) -> str:
        now = int(time())
        claims = {"iss": _ISSUER, "aud": _PUBLIC_URL + PATH, "iat": now, "exp": now + _LIFE, "jti": str(uuid4())}
        return jwt.encode(claims, self._key, algorithm=self._algorithm, headers={"kid": _KEY_ID})


def _described(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> Mapping[str, str]:
    if isinstance(key, rsa.RSAPublicKey):
        return RSAAlgorithm.to_jwk(key, as_dict=True)
    return ECAlgorithm.to_jwk(key, as_dict=True)
