"""Whose tokens are accepted, by what they claim; all of them are signed by the client's own key."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hooks.auth import Authenticator
from hooks.problems import UnauthenticatedError
from hooks.settings import Tokens
from tests.support.tokens import (
    ABSENT,
    FEEDBACK,
    ISSUER,
    NOW,
    PUBLIC_URL,
    SERVICE,
    TOKENS,
    authenticator,
    claims,
    client,
    compact,
    elliptic,
    key_file,
    rivest,
)

_HEADER = {"alg": "ES384", "kid": "ec-1", "typ": "JWT"}
_EPIC_KID = "3b7Xa/9+Qm0=+/Yz81=="


@pytest.fixture
def door(tmp_path: Path) -> Authenticator:
    """A service that knows one client, its key agreed as a file."""
    return authenticator([client("hospital", key_file(tmp_path, elliptic()))])


def call(door: Authenticator, token: str, *paths: str) -> str:
    return door.caller(f"Bearer {token}", paths or (SERVICE,)).name


def reason(door: Authenticator, authorization: str | None, *paths: str) -> str:
    with pytest.raises(UnauthenticatedError) as refused:
        door.caller(authorization, paths or (SERVICE,))
    return refused.value.reason


def test_a_token_of_epic_is_accepted(tmp_path: Path) -> None:
    signer = rivest(_EPIC_KID)
    door = authenticator([client("epic", key_file(tmp_path, signer), subject="client-id")])

    assert call(door, signer.token(sub="client-id", nbf=NOW - 300, iat=NOW)) == "epic"


def test_a_token_of_the_cds_hooks_sandbox_is_accepted_at_the_feedback_endpoint(door: Authenticator) -> None:
    assert call(door, elliptic().token(aud=PUBLIC_URL + FEEDBACK), FEEDBACK, SERVICE) == "hospital"


@pytest.mark.parametrize(
    "claimed",
    [
        pytest.param({"aud": PUBLIC_URL + SERVICE}, id="the service's URL at its feedback"),
        pytest.param({"aud": ["https://else.example", PUBLIC_URL + SERVICE]}, id="one of several audiences"),
        pytest.param({"iat": NOW + 0.5}, id="iat rounded up"),
        pytest.param({"iat": NOW + 60}, id="iat ahead by the leeway"),
        pytest.param({"nbf": NOW + 60}, id="nbf ahead by the leeway"),
        pytest.param({"exp": NOW - 59}, id="expired within the leeway"),
        pytest.param({"exp": NOW + 3660}, id="the longest life and the leeway"),
        pytest.param({"exp": NOW + 300.25, "iat": NOW - 0.75, "nbf": NOW - 0.5}, id="fractional times"),
        pytest.param({"jti": "x" * 500}, id="the longest id"),
        pytest.param({"tenant": "anyone", "sub": ["whatever"]}, id="tenant and sub, which are not configured"),
        pytest.param({"scope": "x", "nested": {"a": [1, None]}, "nbf": None}, id="further claims"),
    ],
)
def test_r103_what_clients_may_claim(door: Authenticator, claimed: dict[str, Any]) -> None:
    assert call(door, elliptic().token(**claimed), FEEDBACK, SERVICE) == "hospital"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_may_be_written_in_any_case(door: Authenticator, scheme: str) -> None:
    assert door.caller(f"{scheme} {elliptic().token()}", [SERVICE]).name == "hospital"


@pytest.mark.parametrize("typ", ["JWT", "jwt", ABSENT, None])
def test_the_type_of_a_token_may_be_absent_or_in_any_case(door: Authenticator, typ: object) -> None:
    assert call(door, elliptic().token({"typ": typ})) == "hospital"


@pytest.mark.parametrize("url", ["https://cds.example", "https://cds.example/lenalidomide"])
def test_a_token_may_name_any_of_our_public_urls(tmp_path: Path, url: str) -> None:
    tokens = Tokens(public_urls=("https://cds.example", "https://cds.example/lenalidomide"))
    door = authenticator([client("hospital", key_file(tmp_path, elliptic()))], tokens)

    assert call(door, elliptic().token(aud=url + SERVICE)) == "hospital"


@pytest.mark.parametrize(
    "audience",
    [
        pytest.param("https://cds.example" + SERVICE, id="prefix missing"),
        pytest.param(PUBLIC_URL + SERVICE + "/", id="trailing slash"),
        pytest.param(PUBLIC_URL + SERVICE + "?a=b", id="query"),
        pytest.param(PUBLIC_URL + "/cds-services", id="discovery"),
        pytest.param(PUBLIC_URL + "/cds-services/lenalidomide-order-select", id="another service"),
        pytest.param(PUBLIC_URL + FEEDBACK, id="feedback at the service"),
        pytest.param(PUBLIC_URL, id="the base alone"),
        pytest.param(PUBLIC_URL.upper() + SERVICE, id="case"),
        pytest.param(PUBLIC_URL.replace("https", "http") + SERVICE, id="http"),
        pytest.param("https://cds.example.evil.example/lenalidomide" + SERVICE, id="another host"),
        pytest.param(SERVICE, id="the path alone"),
        pytest.param("", id="empty"),
        pytest.param([], id="no audience"),
        pytest.param(["https://else.example"], id="others only"),
        pytest.param([[PUBLIC_URL + SERVICE]], id="a list in a list"),
        pytest.param([PUBLIC_URL + SERVICE, 1], id="not only strings"),
        pytest.param({PUBLIC_URL + SERVICE: 1}, id="an object"),
    ],
)
def test_r96_a_token_for_another_endpoint_is_refused(door: Authenticator, audience: object) -> None:
    assert "aud" in reason(door, f"Bearer {elliptic().token(aud=audience)}")


@pytest.mark.parametrize(
    ("claimed", "said"),
    [
        pytest.param({"exp": NOW - 60}, "the token has expired", id="expired"),
        pytest.param({"exp": 0}, "the token has expired", id="expired long ago"),
        pytest.param({"exp": NOW + 3661}, "exp is more than 3600 s ahead", id="lives too long"),
        pytest.param({"iat": NOW + 61}, "the token is not valid yet", id="issued in the future"),
        pytest.param({"nbf": NOW + 61}, "the token is not valid yet", id="not valid yet"),
        pytest.param({"jti": ""}, "jti: ", id="empty id"),
        pytest.param({"jti": "x" * 501}, "jti: ", id="endless id"),
        pytest.param({"iss": "https://else.example/fhir"}, "iss is not a client's", id="foreign issuer"),
        pytest.param({"iss": ISSUER + "/"}, "iss is not a client's", id="issuer with a slash"),
        pytest.param({"iss": ISSUER.upper()}, "iss is not a client's", id="issuer in another case"),
    ],
)
def test_a_claim_that_is_out_of_bounds_is_refused(door: Authenticator, claimed: dict[str, Any], said: str) -> None:
    assert reason(door, f"Bearer {elliptic().token(**claimed)}").startswith(said)


@pytest.mark.parametrize("claim", ["iss", "aud", "exp", "iat", "jti"])
@pytest.mark.parametrize("value", [ABSENT, None, True, {}, [1], [], "", math.nan, math.inf, -1])
def test_r95_a_claim_that_is_missing_or_of_another_type_is_refused(door: Authenticator, claim: str, value: Any) -> None:
    said = reason(door, f"Bearer {elliptic().token(**{claim: value})}")

    assert claim in said.partition(" (")[0]


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
def test_a_time_written_as_text_is_refused(door: Authenticator, claim: str) -> None:
    token = elliptic().token(None, **{claim: str(NOW)})

    assert reason(door, f"Bearer {token}").startswith(f"{claim}: ")


@pytest.mark.parametrize("nbf", [True, "0", [], math.nan, -1, 1e300, 10**400])
def test_a_start_of_another_type_is_refused(door: Authenticator, nbf: object) -> None:
    assert reason(door, f"Bearer {elliptic().token(nbf=nbf)}").startswith(("nbf: ", "payload: "))


def test_without_leeway_what_is_ahead_by_half_a_second_is_refused(tmp_path: Path) -> None:
    tokens = Tokens(public_urls=TOKENS.public_urls, leeway=0)
    door = authenticator([client("hospital", key_file(tmp_path, elliptic()))], tokens)

    assert call(door, elliptic().token()) == "hospital"
    assert reason(door, f"Bearer {elliptic().token(iat=NOW + 0.5)}").startswith("the token is not valid yet")
    assert reason(door, f"Bearer {elliptic().token(exp=NOW)}").startswith("the token has expired")


@pytest.mark.parametrize("tenant", [ABSENT, None, "", "east", "NORTH", ["north"], {"north": 1}, 1])
def test_where_tenants_tell_clients_apart_no_other_tenant_comes_in(tmp_path: Path, tenant: object) -> None:
    door = authenticator([client("north", key_file(tmp_path, elliptic()), tenants=frozenset({"north"}))])

    assert reason(door, f"Bearer {elliptic().token(tenant=tenant)}").startswith("tenant is not a client's")


def test_clients_of_one_issuer_are_told_apart_by_tenant_and_by_key(tmp_path: Path) -> None:
    north, south = elliptic("north-key"), elliptic("south-key")
    door = authenticator(
        [
            client("north", key_file(tmp_path, north), tenants=frozenset({"north", "north-2"})),
            client("south", key_file(tmp_path, south), tenants=frozenset({"south"})),
        ]
    )

    assert call(door, north.token(tenant="north-2")) == "north"
    assert call(door, south.token(tenant="south")) == "south"
    assert reason(door, f"Bearer {north.token(tenant='south')}").startswith("no key has this kid")


@pytest.mark.parametrize("subject", [ABSENT, None, "", "another", ["client-id"], 7])
def test_where_a_subject_is_agreed_no_other_comes_in(tmp_path: Path, subject: object) -> None:
    door = authenticator([client("epic", key_file(tmp_path, elliptic()), subject="client-id")])

    assert reason(door, f"Bearer {elliptic().token(sub=subject)}").startswith("sub is not the client's")


def test_r101_a_token_is_good_once(door: Authenticator) -> None:
    token = elliptic().token()

    assert call(door, token) == "hospital"
    assert reason(door, f"Bearer {token}").startswith("the token was used before")


def test_an_id_is_used_up_whatever_else_the_next_token_says(door: Authenticator) -> None:
    call(door, elliptic().token(jti="one"))

    assert reason(door, f"Bearer {elliptic().token(jti='one', iat=NOW - 5)}").startswith("the token was used before")


def test_clients_may_use_the_same_ids(tmp_path: Path) -> None:
    door = authenticator(
        [
            client("first", key_file(tmp_path, elliptic())),
            client("second", key_file(tmp_path, elliptic()), issuer="https://second.example"),
        ]
    )

    assert call(door, elliptic().token(jti="1")) == "first"
    assert call(door, elliptic().token(jti="1", iss="https://second.example")) == "second"


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda: elliptic().token(jti="one", aud="https://else.example"), id="for another endpoint"),
        pytest.param(lambda: elliptic().token(jti="one", exp=NOW - 100), id="expired"),
        pytest.param(lambda: elliptic().token(jti="one", sub="another"), id="of another subject"),
        pytest.param(lambda: compact(_HEADER, claims(jti="one", sub="me"), lambda _: b"\1" * 96), id="badly signed"),
    ],
)
def test_r101_a_token_that_is_refused_uses_up_nothing(tmp_path: Path, spoil: Callable[[], str]) -> None:
    door = authenticator([client("hospital", key_file(tmp_path, elliptic()), subject="me")])
    reason(door, f"Bearer {spoil()}")

    assert call(door, elliptic().token(jti="one", sub="me")) == "hospital"


def test_a_token_cannot_be_used_again_as_long_as_it_is_acceptable(tmp_path: Path) -> None:
    time = [float(NOW)]
    door = authenticator([client("hospital", key_file(tmp_path, elliptic()))], clock=lambda: time[0])
    token = elliptic().token()
    call(door, token)

    said = {}
    for later in (1, 61, 299, 301, 359, 360, 500):
        time[0] = NOW + later
        said[later] = reason(door, f"Bearer {token}").partition(" (")[0].partition(",")[0]

    used = "the token was used before"
    expired = "the token has expired"
    assert said == {1: used, 61: used, 299: used, 301: used, 359: used, 360: expired, 500: expired}


def test_the_reason_names_who_it_may_have_been_in_one_line_and_never_the_token(door: Authenticator) -> None:
    token = elliptic().token({"kid": "a\nb"}, tenant="t\r\n1", jti="id-7")

    said = reason(door, f"Bearer {token}")

    assert said == (
        f"no key has this kid (iss '{ISSUER}', tenant 't\\r\\n1', aud '{PUBLIC_URL + SERVICE}', jti 'id-7', kid 'a\\nb')"
    )


@pytest.mark.parametrize("claim", ["iss", "aud", "exp", "jti", "nbf"])
def test_the_reason_does_not_quote_a_claim_that_cannot_be_read(door: Authenticator, claim: str) -> None:
    said = reason(door, f"Bearer {elliptic().token(**{claim: {'secret': 'of a patient'}})}").partition(" (")[0]

    assert claim in said
    assert "patient" not in said


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Bearer a.b",
        "Bearer ...",
        "Bearer a.b.c.d",
        "Bearer \xe9.\xe9.\xe9",
        "Bearer e30.e30.",
        "Bearer e30.e30.e30",
        "Bearer " + "a" * 20000,
    ],
)
def test_what_is_no_token_is_refused(door: Authenticator, authorization: str | None) -> None:
    assert reason(door, authorization).isprintable()


@pytest.mark.parametrize("written", ["{0}, Bearer {0}", "{0} {0}", "{0},{0}", "Bearer {0}", "{0}\n", " {0};x"])
def test_anything_beside_the_one_token_is_refused(door: Authenticator, written: str) -> None:
    said = reason(door, "Bearer " + written.format(elliptic().token()))

    assert said.startswith("the Authorization header is not 'Bearer' and a token")


def test_a_header_over_the_limit_is_refused_though_its_token_is_good(door: Authenticator) -> None:
    assert reason(door, f"Bearer {elliptic().token(much='x' * 16384)}").startswith("the Authorization header is longer")
    assert call(door, elliptic().token(much="x" * 8192)) == "hospital"
