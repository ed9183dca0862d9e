"""The access that a client lends with a request: its token, and the SMART scopes it was granted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# What a header can carry: anything else would end it, or not come through.
_TOKEN = re.compile(r"[\x21-\x7e]+")
_SMART = re.compile(r"(?:patient|user|system)/([A-Za-z]+|\*)\.(read|write|\*|c?r?u?d?s?)(?:\?.*)?")

_OF_LAUNCHES = {"openid", "fhirUser", "profile", "launch", "launch/patient", "launch/encounter", "offline_access"}


@dataclass(frozen=True)
class Access:
    """A bearer token, and resource types with permissions; ``granted`` is empty where not all scopes are SMART's."""

    token: str = field(repr=False)
    granted: tuple[tuple[str, str], ...] = ()
    patient: str | None = None

    def covers(self, kind: str, *, search: bool) -> bool:
        """Whether a search or a read of a resource type was granted, or may have been."""
        return not self.granted or any(
            of in {"*", kind} and (permission in {"*", "read"} or _includes(permission, search=search))
            for of, permission in self.granted
        )


def access_of(authorization: object) -> Access | None:
    """The access of a request's ``fhirAuthorization``; None without a bearer token that can be used."""
    if not isinstance(authorization, Mapping):
        return None
    token, kind, scope = (authorization.get(name) for name in ("access_token", "token_type", "scope"))
    is_bearer = kind is None or (isinstance(kind, str) and kind.casefold() == "bearer")
    if not is_bearer or not isinstance(token, str) or not _TOKEN.fullmatch(token):
        return None
    named = [one for one in scope.split() if one not in _OF_LAUNCHES] if isinstance(scope, str) else []
    scopes = [_SMART.fullmatch(one) for one in named]
    # Beside SMART's there may be names of the client's own, which grant nobody knows what.
    return Access(
        token,
        tuple((one[1], one[2]) for one in scopes if one is not None) if all(scopes) else (),
        _patient(authorization),
    )


def _patient(authorization: Mapping[str, Any]) -> str | None:
    """The one patient for whom the token is good, where the client says so."""
    patient = authorization.get("patient")
    return patient.removeprefix("Patient/") if isinstance(patient, str) and patient.strip() else None


def _includes(permission: str, *, search: bool) -> bool:
    """SMART's second version: letters of create, read, update, delete, search."""
    return permission != "write" and ("s" if search else "r") in permission
