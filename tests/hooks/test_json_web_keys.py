"""Which keys of a client's JWK Set may verify its tokens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import OKPAlgorithm

from hooks.json_web_keys import UnusableSetError, usable_keys
from tests.support.tokens import ABSENT, Signer, elliptic, key_set, rivest

_GOOD = elliptic("good")


def _found(*entries: Any) -> dict[str, str]:
    """The algorithms of the keys that can be used beside a good one, which always can."""
    keys = usable_keys(key_set(*entries, _GOOD.jwk()))
    assert keys["good"].algorithm_name == "ES384"
    return {kid: key.algorithm_name for kid, key in keys.items() if kid != "good"}


@pytest.mark.parametrize(
    ("entry", "algorithm"),
    [
        (elliptic("k").jwk(), "ES384"),
        (rivest("k").jwk(), "RS384"),
        (rivest("k", bits=3072).jwk(), "RS384"),
        (elliptic("k").jwk(alg=ABSENT, use=ABSENT), "ES384"),
        (rivest("k").jwk(alg=ABSENT, key_ops=["verify"]), "RS384"),
        (rivest("k").jwk(x5t="x", further={"member": 1}), "RS384"),
    ],
    ids=["EC", "RSA", "long RSA", "without alg and use", "with key_ops", "with more members"],
)
def test_r98_a_key_is_bound_to_the_algorithm_of_its_kind(entry: dict[str, Any], algorithm: str) -> None:
    assert _found(entry) == {"k": algorithm}


@pytest.mark.parametrize("kid", ["3b7Xa/9+Qm0=+/Yz81==", " ", "é", "0"])
def test_an_id_is_any_text(kid: str) -> None:
    assert _found(elliptic().jwk(kid=kid)) == {kid: "ES384"}


_ED25519 = Signer(ed25519.Ed25519PrivateKey.generate(), "k", "EdDSA")
_UNUSABLE: dict[str, Any] = {
    "symmetric": {"kty": "oct", "kid": "k", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"},
    "symmetric, said to be ES384": {"kty": "oct", "kid": "k", "k": "c2VjcmV0", "alg": "ES384"},
    "P-256": elliptic("k", "ES256", ec.SECP256R1).jwk(),
    "P-256, said to be ES384": elliptic("k", "ES256", ec.SECP256R1).jwk(alg="ES384"),
    "P-256, said to be P-384": elliptic("k", "ES256", ec.SECP256R1).jwk(alg="ES384", crv="P-384"),
    "P-521": elliptic("k", "ES512", ec.SECP521R1).jwk(),
    "Ed25519": {**OKPAlgorithm.to_jwk(_ED25519.private.public_key(), as_dict=True), "kid": "k"},
    "RSA of 1024 bits": {"kty": "RSA", "kid": "k", "e": "AQAB", "n": "v" + "_" * 170},
    "RSA with an even exponent": rivest("k").jwk(e="Ag"),
    "EC for RS384": elliptic("k").jwk(alg="RS384"),
    "RSA for RS256": rivest("k").jwk(alg="RS256"),
    "RSA for PS384": rivest("k").jwk(alg="PS384"),
    "RSA for HS256": rivest("k").jwk(alg="HS256"),
    "alg null": elliptic("k").jwk(alg=None),
    "for encryption": rivest("k").jwk(use="enc"),
    "use null": rivest("k").jwk(use=None),
    "for other operations": rivest("k").jwk(key_ops=["encrypt"]),
    "operations as text": rivest("k").jwk(key_ops="verify"),
    "EC with its private part": elliptic("k").private_jwk(),
    "RSA with its private part": rivest("k").private_jwk(),
    "without kid": elliptic().jwk(kid=ABSENT),
    "kid a number": elliptic().jwk(kid=1),
    "without kty": elliptic("k").jwk(kty=ABSENT),
    "kty a list": elliptic("k").jwk(kty=["EC"]),
    "kty in another case": elliptic("k").jwk(kty="ec"),
    "without y": elliptic("k").jwk(y=ABSENT),
    "x a number": elliptic("k").jwk(x=5),
    "x not base64": elliptic("k").jwk(x="\ud800"),
    "not on the curve": elliptic("k").jwk(x="A" * 64),
    "n empty": rivest("k").jwk(n=""),
    "n an object": rivest("k").jwk(n={}),
    "no object": "k",
    "nothing": None,
}


@pytest.mark.parametrize("entry", _UNUSABLE.values(), ids=_UNUSABLE.keys())
def test_any_other_key_is_ignored_and_costs_only_itself(entry: Any) -> None:
    assert _found(entry) == {}


def test_of_two_keys_of_one_id_the_first_that_can_be_used_counts() -> None:
    keys = usable_keys(key_set(rivest("k").jwk(use="enc"), elliptic("k").jwk(), rivest("k").jwk()))

    assert keys["k"].algorithm_name == "ES384"


@pytest.mark.parametrize(
    "document",
    [b"", b"null", b"[]", b'"x"', b"{}", b'{"keys":{}}', b'{"keys":null}', b'{"keys":[]}', b"\xff{", b"[" * 10**5],
)
def test_what_is_no_set_of_keys_is_an_error(document: bytes) -> None:
    with pytest.raises(UnusableSetError):
        usable_keys(document)


def test_a_set_in_which_nothing_can_be_used_is_an_error() -> None:
    with pytest.raises(UnusableSetError, match="none of its 2 keys"):
        usable_keys(key_set(rivest("k").private_jwk(), {"kty": "oct", "kid": "k", "k": "YQ"}))


_VALUE = st.one_of(
    st.none(), st.integers(), st.floats(), st.text(max_size=70), st.sampled_from(["EC", "RSA", "P-384", "sig"])
)
_MEMBER = st.sampled_from(["kty", "crv", "x", "y", "n", "e", "d", "p", "alg", "use", "kid", "key_ops"])


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([elliptic("k"), rivest("k")]), st.dictionaries(_MEMBER, _VALUE, min_size=1, max_size=3))
def test_a_damaged_key_is_usable_or_not_but_no_crash(signer: Signer, damage: dict[str, Any]) -> None:
    entry = {**signer.jwk(), **damage}
    keys = usable_keys(json.dumps({"keys": [entry, _GOOD.jwk()]}).encode())

    assert {key.algorithm_name for key in keys.values()} <= {"ES384", "RS384"}
    assert "good" in keys
