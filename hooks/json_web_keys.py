"""A client's JWK Set (RFC 7517) as the keys that may verify its tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK, PyJWTError

from hooks.problems import MalformedError
from hooks.wire import decode

Keys = Mapping[str, PyJWK]

# The algorithm follows from the kind of key, never from the token: ES384 and RS384 are the two the standard recommends.
_ALGORITHMS = {"EC": "ES384", "RSA": "RS384"}
_LEAST_RSA_BITS = 2048


class UnusableSetError(Exception):
    """A document that is no JWK Set, or in which no key may verify a token; the message says which."""


def usable_keys(document: bytes) -> Keys:
    """The keys by their ``kid``, each bound to one algorithm: P-384 to ES384, RSA of 2,048 bits or more to RS384.

    Any other key is ignored, and so is one without ``kid``, for another use, or published with its private part.
    """
    try:
        content = decode(document)
    except MalformedError as error:
        raise UnusableSetError(str(error)) from None
    entries = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise UnusableSetError("it is not a JWK Set: an object with a list of keys")
    keys = _by_id(entries)
    if not keys:
        raise UnusableSetError(f"none of its {len(entries)} keys is a public P-384 or RSA key with kid")
    return keys


def _by_id(entries: Iterable[Any]) -> Keys:
    keys: dict[str, PyJWK] = {}
    for entry in entries:
        key = _key(entry) if isinstance(entry, dict) and _is_for_signatures(entry) else None
        if key is not None:
            keys.setdefault(entry["kid"], key)
    return keys


def _is_for_signatures(entry: Mapping[str, Any]) -> bool:
    """Whether this may be a public key that verifies. A private key that was published is anybody's."""
    operations = entry.get("key_ops", ["verify"])
    return (
        isinstance(entry.get("kid"), str)
        and entry.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and "d" not in entry
    )


def _key(entry: dict[str, Any]) -> PyJWK | None:
    kind = entry.get("kty")
    algorithm = _ALGORITHMS.get(kind) if isinstance(kind, str) else None
    if algorithm is None or entry.get("alg", algorithm) != algorithm:
        return None
    if kind == "EC" and entry.get("crv") != "P-384":
        return None
    try:
        key = PyJWK(entry, algorithm)
    except (PyJWTError, UnsupportedAlgorithm, OverflowError):
        return None
    is_weak = isinstance(key.key, RSAPublicKey) and key.key.key_size < _LEAST_RSA_BITS
    return None if is_weak else key
