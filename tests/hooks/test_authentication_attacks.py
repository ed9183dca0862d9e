"""Tokens that somebody else made, or that nobody should have made: none of them gets in, whatever it is."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA384
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hooks.auth import Authenticator
from hooks.clients import Client, Identity
from hooks.health import Health
from hooks.key_sets import KeySets
from hooks.problems import UnauthenticatedError
from tests.support.tokens import (
    ABSENT,
    ISSUER,
    NOW,
    SERVICE,
    Signer,
    authenticator,
    claims,
    client,
    compact,
    elliptic,
    key_file,
    key_set,
    rivest,
)

_OTHER_ISSUER = "https://other.example"
_thorough = settings(max_examples=100, deadline=None)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Authenticator:
    """A service that knows two clients, the first with two keys."""
    folder = tmp_path_factory.mktemp("keys")
    return authenticator(
        [
            client("hospital", key_file(folder, elliptic(), rivest())),
            client("other", key_file(folder, _theirs()), issuer=_OTHER_ISSUER),
        ]
    )


def refused(door: Authenticator, token: str) -> str:
    with pytest.raises(UnauthenticatedError) as error:
        door.caller(f"Bearer {token}", [SERVICE])
    return error.value.reason.partition(" (")[0]


@cache
def _theirs() -> Signer:
    """Another client's key that happens to have the same id."""
    return Signer(ec.generate_private_key(ec.SECP384R1()), "ec-1", "ES384")


def _keyed(algorithm: str, kid: str, secret: bytes) -> str:
    """A token with a symmetric signature."""
    header = {"alg": algorithm, "kid": kid, "typ": "JWT"}
    return compact(header, claims(), lambda message: hmac.digest(secret, message, f"sha{algorithm[2:]}"))


def _jwk_text(signer: Signer) -> bytes:
    return json.dumps(signer.jwk()).encode()


_FORGED: dict[str, Callable[[], str]] = {
    "alg none without signature": lambda: compact({"alg": "none", "kid": "ec-1"}, claims(), lambda _: b""),
    "alg none with a signature": lambda: elliptic().token({"alg": "none"}),
    "alg NoNe": lambda: elliptic().token({"alg": "NoNe"}),
    "no alg": lambda: elliptic().token({"alg": ABSENT}),
    "alg null": lambda: elliptic().token({"alg": None}),
    "alg a list": lambda: elliptic().token({"alg": ["ES384"]}),
    "alg in another case": lambda: elliptic().token({"alg": "es384"}),
    "HS256 by the PEM of the RSA key": lambda: _keyed("HS256", "rsa-1", rivest().pem()),
    "HS384 by the PEM of the RSA key": lambda: _keyed("HS384", "rsa-1", rivest().pem()),
    "HS256 by the PEM of the EC key": lambda: _keyed("HS256", "ec-1", elliptic().pem()),
    "HS256 by the JWK of the EC key": lambda: _keyed("HS256", "ec-1", _jwk_text(elliptic())),
    "HS512 by the JWK of the RSA key": lambda: _keyed("HS512", "rsa-1", _jwk_text(rivest())),
    "HS384 by an empty secret": lambda: _keyed("HS384", "ec-1", b""),
    "RS256 by the client's key": lambda: Signer(rivest().private, "rsa-1", "RS256").token(),
    "RS512 by the client's key": lambda: Signer(rivest().private, "rsa-1", "RS512").token(),
    "PS384 by the client's key": lambda: Signer(rivest().private, "rsa-1", "PS384").token(),
    "ES256": lambda: elliptic("ec-1", "ES256", ec.SECP256R1).token(),
    "ES256 that says ES384": lambda: elliptic("ec-1", "ES256", ec.SECP256R1).token({"alg": "ES384"}),
    "RS384 that names the EC key": lambda: rivest().token({"kid": "ec-1"}),
    "ES384 that names the RSA key": lambda: elliptic().token({"kid": "rsa-1"}),
    "RS384 by the RSA key, said to be ES384": lambda: rivest().token({"alg": "ES384"}),
    "PS384 that says RS384": lambda: Signer(rivest().private, "rsa-1", "PS384").token({"alg": "RS384"}),
    "another client's key of the same id": lambda: _theirs().token(),
    "our key for the other client": lambda: elliptic().token(iss=_OTHER_ISSUER),
    "a key that came with the token": lambda: _stranger().token({"jwk": _stranger().jwk(), "kid": "ec-1"}),
    "no signature": lambda: elliptic().token().rpartition(".")[0] + ".",
    "a signature of zeros": lambda: compact({"alg": "ES384", "kid": "ec-1"}, claims(), lambda _: bytes(96)),
    "a signature in DER": lambda: compact({"alg": "ES384", "kid": "ec-1"}, claims(), _in_der),
}


def _stranger() -> Signer:
    return elliptic("stranger")


def _in_der(message: bytes) -> bytes:
    signature: bytes = elliptic().private.sign(message, ec.ECDSA(SHA384()))
    return signature


def test_the_same_tokens_signed_as_they_should_be_get_in(door: Authenticator) -> None:
    assert door.caller(f"Bearer {elliptic().token()}", [SERVICE]).name == "hospital"
    assert door.caller(f"Bearer {rivest().token()}", [SERVICE]).name == "hospital"
    assert door.caller(f"Bearer {_theirs().token(iss=_OTHER_ISSUER)}", [SERVICE]).name == "other"


@pytest.mark.parametrize("forge", _FORGED.values(), ids=_FORGED.keys())
def test_r97_a_forged_signature_is_refused(door: Authenticator, forge: Callable[[], str]) -> None:
    said = refused(door, forge())

    assert said in {
        "Signature verification failed",
        "alg is not ES384, the one for its key",
        "alg is not RS384, the one for its key",
        "Algorithm not specified",
    }


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_token_of_which_one_character_was_changed_is_refused(door: Authenticator, part: int, place: float) -> None:
    parts = elliptic().token().split(".")
    at = int(len(parts[part]) * place)
    other = "A" if parts[part][at] != "A" else "B"
    parts[part] = parts[part][:at] + other + parts[part][at + 1 :]

    refused(door, ".".join(parts))


def test_claims_under_the_signature_of_others_are_refused(door: Authenticator) -> None:
    header, _, signature = elliptic().token().split(".")
    payload = elliptic().token(tenant="raised").split(".")[1]

    assert refused(door, f"{header}.{payload}.{signature}") == "Signature verification failed"


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"kid": ABSENT}, "kid: Field required"),
        ({"kid": None}, "Key ID header parameter must be a string"),
        ({"kid": ""}, "kid: String should have at least 1 character"),
        ({"kid": 1}, "Key ID header parameter must be a string"),
        ({"kid": ["ec-1"]}, "Key ID header parameter must be a string"),
        ({"kid": "EC-1"}, "no key has this kid"),
        ({"kid": "ec-1 "}, "no key has this kid"),
        ({"typ": "at+jwt"}, "typ is not JWT"),
        ({"typ": "JOSE"}, "typ is not JWT"),
        ({"typ": 1}, "typ: Input should be a valid string"),
        ({"jku": 1}, "jku: Input should be a valid string"),
        ({"crit": ["exp"], "exp": 1}, "Unsupported critical extension: exp"),
        ({"crit": []}, "Invalid 'crit' header: must be a non-empty list"),
        ({"crit": ["b64"], "b64": True}, "its header has crit, of which we understand nothing"),
        ({"crit": ["b64"], "b64": False}, "Payload segment must be empty when 'b64' is false."),
        ({"b64": False}, "Payload segment must be empty when 'b64' is false."),
    ],
)
def test_r94_a_header_that_asks_for_something_else_is_refused(
    door: Authenticator, header: dict[str, Any], said: str
) -> None:
    assert refused(door, elliptic().token(header)) == said


_OURS, _THEIRS = "https://ehr.example/jwks", "https://other.example/jwks"


@pytest.mark.parametrize(
    "jku",
    [
        "https://evil.example/jwks",
        _THEIRS,
        _OURS + "/",
        _OURS + "?x",
        _OURS.replace("https", "http"),
        _OURS.upper(),
        "file:///etc/passwd",
        "",
    ],
)
def test_r99_keys_are_fetched_from_nowhere_but_the_clients_own_addresses(tmp_path: Path, jku: str) -> None:
    # A key server that nobody can reach would be told to health, were it asked.
    health = Health()
    file = key_file(tmp_path, elliptic())
    ours = Client("ours", Identity("https://ehr.example/fhir", key_sets=(_OURS,), key_file=file))
    theirs = Client("theirs", Identity(_OTHER_ISSUER, key_sets=(_THEIRS,)))
    door = authenticator([ours, theirs], keys=KeySets(health))

    assert refused(door, elliptic().token({"jku": jku})) == "jku is not one of the client's"
    assert health.degraded == {}


def test_r100_a_client_whose_keys_are_only_in_a_file_may_name_no_address(door: Authenticator) -> None:
    assert refused(door, elliptic().token({"jku": _OURS})) == "jku is not one of the client's"


@pytest.mark.parametrize("issuer", [_OTHER_ISSUER + ".evil.example", "evil", ""])
def test_an_unknown_issuer_is_refused_before_any_key_is_looked_for(issuer: str) -> None:
    door = authenticator([])

    assert refused(door, _stranger().token({"jku": "https://evil.example/jwks"}, iss=issuer)) == "iss is not a client's"


_JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**30), 10**30),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["JWT", "ES384", "none", "b64", "ec-1", "\ud800", "https://ehr.example/fhir", 10**400]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_PARTS = st.sampled_from(["alg", "kid", "typ", "jku", "crit", "b64", "iss", "aud", "exp", "iat", "nbf", "jti", "sub"])
_SIGNED = partial(compact, sign=elliptic().sign)


@_thorough
@given(st.text(max_size=20) | st.text("aZ09_-.= ,", max_size=60))
@example("Bearer ..")
@example("Bearer \ud800.\ud800.\ud800")
def test_any_text_is_refused_like_every_other(door: Authenticator, authorization: str) -> None:
    for header in (authorization, f"Bearer {authorization}"):
        with pytest.raises(UnauthenticatedError) as error:
            door.caller(header, [SERVICE])
        assert error.value.reason.isprintable()


@_thorough
@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=100))
def test_any_bytes_in_the_parts_of_a_token_are_refused(
    door: Authenticator, header: bytes, payload: bytes, signature: bytes
) -> None:
    refused(door, compact(header, payload, lambda _: signature))
    refused(door, compact({"alg": "ES384", "kid": "ec-1"}, payload, lambda _: signature))


@_thorough
@given(_JSON, _JSON)
def test_any_json_as_header_or_claims_is_refused_even_when_it_is_signed(
    door: Authenticator, header: object, payload: object
) -> None:
    refused(door, _SIGNED(header, claims()))
    refused(door, _SIGNED({"alg": "ES384", "kid": "ec-1"}, payload))
    refused(door, _SIGNED(header, payload))


@_thorough
@given(st.dictionaries(_PARTS, _JSON, min_size=1, max_size=3))
def test_a_damaged_token_is_refused_or_what_it_was_is_still_there(
    door: Authenticator, damage: dict[str, object]
) -> None:
    header, payload = {"alg": "ES384", "kid": "ec-1", **damage}, claims(**damage)

    if _client(door, _SIGNED(header, payload)) is not None:
        assert (header["alg"], header["kid"], payload["iss"]) == ("ES384", "ec-1", ISSUER)
        assert "crit" not in header
        assert "aud" not in damage


def _client(door: Authenticator, token: str) -> str | None:
    """Who came in; any error but the one refusal is the test's failure."""
    try:
        return door.caller(f"Bearer {token}", [SERVICE]).name
    except UnauthenticatedError:
        return None


@pytest.mark.parametrize("document", [b"[" * 9000, b'{"iss":' * 1500, b'{"iss":' + b"9" * 9000 + b"}"])
def test_json_that_is_meant_to_exhaust_us_is_refused(door: Authenticator, document: bytes) -> None:
    assert "Invalid header string" in refused(door, compact(document, claims(), elliptic().sign))
    assert "Invalid JSON" in refused(door, _SIGNED({"alg": "ES384", "kid": "ec-1"}, document))


def test_keys_of_wrong_kinds_in_a_clients_set_let_nobody_in(tmp_path: Path) -> None:
    secret = {"kty": "oct", "kid": "shared", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", "alg": "HS256"}
    small = elliptic("small", "ES256", ec.SECP256R1)
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(secret, small.jwk(), elliptic().jwk()))
    door = authenticator([client("hospital", file)])

    assert refused(door, _keyed("HS256", "shared", b"secret-secret-secret-secret")) == "no key has this kid"
    assert refused(door, small.token(iat=NOW)) == "no key has this kid"
