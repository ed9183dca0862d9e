"""Who calls: the client whose key signed the token of the request (JSON Web Token, as CDS Hooks uses it)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import time  # noqa: TID251 -- a token is good for a while by the clock on the wall
from typing import Annotated, Any

from jwt import InvalidAlgorithmError, PyJWK, PyJWS, PyJWTError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hooks.clients import Client
from hooks.health import one_line
from hooks.key_sets import KeySets, UnknownKeyError
from hooks.problems import UnauthenticatedError
from hooks.settings import Tokens
from hooks.used_tokens import UsedTokens

_LONGEST_HEADER = 16 * 1024
_BEARER = re.compile(r"bearer +([\w=.-]+)", re.ASCII | re.IGNORECASE)
_LAST_SECOND = 253402300799  # of the year 9999
_jws = PyJWS(algorithms=["ES384", "RS384"])


class Authenticator:
    """Establishes the client by the ``Authorization`` header.

    Claims are believed once a key of the client they name has verified them, and a token is marked as used when nothing
    else speaks against it. Times may be off by ``tokens.leeway`` seconds; with 0, clients are refused that round ``iat`` up.
    """

    def __init__(
        self,
        clients: Sequence[Client],
        tokens: Tokens,
        keys: KeySets,
        used: UsedTokens,
        *,
        clock: Callable[[], float] = time,
    ) -> None:
        self._clients, self._tokens, self._keys, self._used = clients, tokens, keys, used
        self._clock = clock

    def caller(self, authorization: str | None, paths: Sequence[str]) -> Client:
        """The client that calls one of our paths, which its token names behind one of our public URLs.

        ``UnauthenticatedError`` says in one line for the log why there is none, and what the token says of itself.
        """
        try:
            token = _read(authorization)
        except (PyJWTError, ValidationError, _RefusedError) as error:
            raise UnauthenticatedError(_why(error)) from None
        try:
            return self._signed_by(token, paths)
        except (PyJWTError, ValidationError, _RefusedError, UnknownKeyError) as error:
            raise UnauthenticatedError(f"{_why(error)} ({token.told})") from None

    def _signed_by(self, token: _Token, paths: Sequence[str]) -> Client:
        client = self._claimed(token.claimed)
        assert client.identity is not None
        key = self._keys.key(client.identity, token.header.jku, token.header.kid)
        claims = _Claims.model_validate_json(_verified(token, key))
        self._check_times(claims)
        self._check_audience(claims, paths)
        if client.identity.subject is not None and claims.sub != client.identity.subject:
            raise _RefusedError("sub is not the client's")
        if not self._used.is_first_use(claims.iss, claims.jti, claims.exp + self._tokens.leeway):
            raise _RefusedError("the token was used before")
        return client

    def _claimed(self, claimed: _Claimed) -> Client:
        """The client that a token says it is from."""
        of_issuer = [client for client in self._clients if client.identity and client.identity.issuer == claimed.iss]
        if not of_issuer:
            raise _RefusedError("iss is not a client's")
        for client in of_issuer:
            assert client.identity is not None
            tenants = client.identity.tenants
            if not tenants or (isinstance(claimed.tenant, str) and claimed.tenant in tenants):
                return client
        raise _RefusedError("tenant is not a client's")

    def _check_times(self, claims: _Claims) -> None:
        now, leeway = self._clock(), self._tokens.leeway
        if claims.exp + leeway <= now:
            raise _RefusedError(f"the token has expired, {now - claims.exp:.0f} s ago")
        if claims.exp - now > self._tokens.longest_life + leeway:
            raise _RefusedError(f"exp is more than {self._tokens.longest_life} s ahead")
        if max(claims.iat, claims.nbf or 0) > now + leeway:
            ahead = max(claims.iat, claims.nbf or 0) - now
            raise _RefusedError(f"the token is not valid yet, for another {ahead:.0f} s")

    def _check_audience(self, claims: _Claims, paths: Sequence[str]) -> None:
        ours = {url + path for url in self._tokens.public_urls for path in paths}
        named = {claims.aud} if isinstance(claims.aud, str) else set(claims.aud)
        if not ours & named:
            raise _RefusedError(f"aud is not {' or '.join(sorted(ours))}")


class _RefusedError(Exception):
    """Why a token is not accepted, in our own words: what it says itself is told apart."""


class _Part(BaseModel):
    """A part of a token: nothing is converted, what is not known is not looked at."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class _Header(_Part):
    kid: Annotated[str, Field(min_length=1)]
    typ: str | None = None
    jku: str | None = None


class _Claimed(_Part):
    """What is read before the signature is verified: whose keys to look for, and what the log says."""

    iss: str
    tenant: Any = None
    aud: Any = None
    jti: Any = None


_Instant = Annotated[float, Field(ge=0, le=_LAST_SECOND)]


class _Claims(_Part):
    """``nbf`` and ``sub`` are not of the standard, but Epic sends them."""

    iss: str
    aud: str | list[str]
    exp: _Instant
    iat: _Instant
    nbf: _Instant | None = None
    jti: Annotated[str, Field(min_length=1, max_length=500)]
    sub: Any = None


@dataclass(frozen=True)
class _Token:
    """A token that could be read; nothing in it is verified."""

    text: str
    header: _Header
    claimed: _Claimed

    @property
    def told(self) -> str:
        """What it says of itself, as it may stand in the log."""
        named = {**self.claimed.model_dump(), **self.header.model_dump(exclude={"typ"})}
        return ", ".join(f"{name} '{one_line(value)}'" for name, value in named.items() if value is not None)


def _read(authorization: str | None) -> _Token:
    if authorization is None:
        raise _RefusedError("there is no Authorization header")
    if len(authorization) > _LONGEST_HEADER:
        raise _RefusedError(f"the Authorization header is longer than {_LONGEST_HEADER} characters")
    bearer = _BEARER.fullmatch(authorization)
    if bearer is None:
        raise _RefusedError("the Authorization header is not 'Bearer' and a token")
    unverified = _jws.decode_complete(bearer[1], options={"verify_signature": False})
    return _Token(bearer[1], _header(unverified["header"]), _Claimed.model_validate_json(unverified["payload"]))


def _header(raw: Mapping[str, Any]) -> _Header:
    if "crit" in raw:
        raise _RefusedError("its header has crit, of which we understand nothing")
    header = _Header.model_validate(raw)
    if header.typ is not None and header.typ.upper() != "JWT":
        raise _RefusedError("typ is not JWT")
    return header


def _verified(token: _Token, key: PyJWK) -> bytes:
    """The payload, once the key has verified it by the key's own algorithm."""
    try:
        verified = _jws.decode_complete(token.text, key, algorithms=[key.algorithm_name])
    except InvalidAlgorithmError:
        raise _RefusedError(f"alg is not {key.algorithm_name}, the one for its key") from None
    payload = verified["payload"]
    assert isinstance(payload, bytes)
    return payload


def _why(error: Exception) -> str:
    """Pydantic's own message quotes its input: what of a token may be logged stands in ``told``."""
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False, include_context=False, include_input=False)
        return "; ".join(f"{'.'.join(map(str, item['loc'])) or 'payload'}: {item['msg']}" for item in found[:3])
    return one_line(error, longest=400)
