"""The calling record systems: who they are, what they may be asked, and what they are shown; one file describes them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from cds import DEFAULT_PROTOCOL, PROTOCOL_IDS
from cds.findings import Indicator
from cds.rules import RULES
from cds.strict_yaml import load
from cds.terminology import NOWHERE, ProgrammePlaces, Terminology
from hooks.card_profile import BASE, PROFILES
from hooks.shown import SHOWN_AT, Shown

_WORDS = {
    "extra_forbidden": "is not known here",
    "missing": "is missing",
    "too_short": "is empty",
    "string_too_short": "is empty",
    "frozen_set_type": "expected a list",
    "tuple_type": "expected a list",
    "dict_type": "expected names, each with a value",
    "model_type": "expected names, each with a value",
}


class ClientsError(Exception):
    """Everything that is wrong with the file of clients, all at once."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Identity:
    """How a client shows who it is: the claims of its tokens, and where the keys that sign them are.

    ``key_sets`` are the allowed ``jku``; ``key_file`` is a JWK Set agreed out of band. A claim that is None or empty here is
    not looked at.
    """

    issuer: str
    subject: str | None = None
    tenants: frozenset[str] = frozenset()
    key_sets: tuple[str, ...] = ()
    key_file: Path | None = None


@dataclass(frozen=True)
class FhirServer:
    """A server that may be read: its base URL without a closing slash, and whether it may stand at a private address."""

    url: str
    private: bool = False


@dataclass(frozen=True)
class Client:
    """What is known of the calling record system.

    ``protocol`` where neither the request nor a trial names one; ``terminology`` is ours with its own codes, where it has any;
    ``identity`` is None in open mode only.
    """

    name: str = "open"
    identity: Identity | None = None
    protocol: str = DEFAULT_PROTOCOL
    programme: ProgrammePlaces = NOWHERE
    card_profile: str = BASE
    terminology: Terminology | None = None
    time_zone: tzinfo = UTC
    shown_at: Mapping[str, Shown] = field(default_factory=lambda: SHOWN_AT)
    fhir_servers: tuple[FhirServer, ...] = ()
    cors_origins: frozenset[str] = frozenset()


ANY_CLIENT = Client()
"""A client of which nothing is configured."""


def read_clients(file: Path, defaults: Client) -> tuple[Client, ...]:
    """The clients of a YAML file; what one does not say is as in ``defaults``. ``ClientsError`` lists all that is wrong."""
    problems: list[str] = []
    content = load(file, problems)
    clients: tuple[Client, ...] = ()
    if not problems:
        try:
            described = _File.model_validate(content).clients
            clients = tuple(_client(name, entry, defaults, file.parent) for name, entry in described.items())
            problems += _collisions(clients)
        except ValidationError as error:
            problems += [f"{'.'.join(map(str, item['loc']))}: {_told(item)}" for item in error.errors()]
    if problems:
        raise ClientsError(problems)
    return clients


def base_url(text: str) -> str:
    """A base URL as it is compared: https, a host, no credentials, query or fragment, no closing slash."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        msg = f"'{_without_secrets(text)}' is not a URL"
        raise ValueError(msg) from None
    unwanted = parts.username is not None or parts.query or parts.fragment or port == 0
    if parts.scheme != "https" or not parts.hostname or unwanted:
        msg = f"'{_without_secrets(text)}' is not an https URL without user, query and fragment"
        raise ValueError(msg)
    return text.rstrip("/")


def _without_secrets(url: str) -> str:
    """A URL that is refused, to be shown: it may hold a password where none belongs."""
    return re.sub(r"[?#].*", "?…", re.sub(r".*@", "…@", url, flags=re.DOTALL), flags=re.DOTALL)


def _told(error: ErrorDetails) -> str:
    """What is wrong, in words for who wrote the file."""
    return _WORDS.get(error["type"]) or error["msg"].removeprefix("Value error, ")


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        msg = f"'{name}' is not an IANA time zone such as Europe/Paris"
        raise ValueError(msg) from None
    return name


def _origin(text: str) -> str:
    if not re.fullmatch(r"https?://[^/?#@\s]+", text):
        msg = f"'{_without_secrets(text)}' is not an origin such as https://ehr.example"
        raise ValueError(msg)
    return text


def _rule(name: str) -> str:
    if name not in {rule.id for rule in RULES}:
        msg = f"'{name}' is no rule"
        raise ValueError(msg)
    return name


Url = Annotated[str, AfterValidator(base_url)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Server(_Entry):
    url: Url
    private: bool = False


class _ShownEntry(_Entry):
    least: Indicator | None = None
    also: tuple[Annotated[str, AfterValidator(_rule)], ...] | None = None


class _ClientEntry(_Entry):
    issuer: Annotated[str, Field(min_length=1)]
    subject: str | None = None
    tenants: frozenset[str] = frozenset()
    key_sets: tuple[Url, ...] = ()
    key_file: str | None = None
    fhir_servers: tuple[_Server, ...] = ()
    protocol: Literal[PROTOCOL_IDS] | None = None  # type: ignore[valid-type] # the ids are known at run time only
    card_profile: Literal[PROFILES] | None = None  # type: ignore[valid-type] # as above
    time_zone: Annotated[str, AfterValidator(_zone)] | None = None
    shown: dict[Literal[tuple(SHOWN_AT)], _ShownEntry] = {}  # type: ignore[valid-type] # as above
    cors_origins: frozenset[Annotated[str, AfterValidator(_origin)]] = frozenset()


class _File(_Entry):
    clients: Annotated[dict[str, _ClientEntry], Field(min_length=1)]


def _client(name: str, entry: _ClientEntry, defaults: Client, folder: Path) -> Client:
    return replace(
        defaults,
        name=name,
        identity=Identity(
            entry.issuer,
            entry.subject,
            entry.tenants,
            entry.key_sets,
            folder / entry.key_file if entry.key_file else None,
        ),
        protocol=entry.protocol or defaults.protocol,
        card_profile=entry.card_profile or defaults.card_profile,
        time_zone=ZoneInfo(entry.time_zone) if entry.time_zone else defaults.time_zone,
        shown_at={hook: _shown(shown, entry.shown.get(hook)) for hook, shown in defaults.shown_at.items()},
        fhir_servers=tuple(FhirServer(server.url, server.private) for server in entry.fhir_servers),
        cors_origins=entry.cors_origins,
    )


def _shown(ours: Shown, entry: _ShownEntry | None) -> Shown:
    if entry is None:
        return ours
    return replace(
        ours,
        least=entry.least or ours.least,
        also=ours.also if entry.also is None else frozenset(entry.also),
    )


def _collisions(clients: Iterable[Client]) -> list[str]:
    """A token must mean one client: tokens of one issuer are told apart by their tenant."""
    problems, tenants = [], Counter[tuple[str, str]]()
    for client in clients:
        assert client.identity is not None
        if not client.identity.key_sets and client.identity.key_file is None:
            problems.append(f"clients.{client.name}: expected key_sets (URLs) or key_file, or both")
        if client.identity.key_file is not None:
            try:
                client.identity.key_file.open("rb").close()
            except OSError as error:
                problems.append(f"clients.{client.name}.key_file: {client.identity.key_file}: {error.strerror}")
        tenants.update((client.identity.issuer, tenant) for tenant in client.identity.tenants or {""})
    several = Counter(issuer for issuer, _ in tenants)
    for (issuer, tenant), count in tenants.items():
        if count > 1 or (not tenant and several[issuer] > 1):
            problems.append(f"issuer '{issuer}' stands for several clients; expected tenants that tell them apart")
    return list(dict.fromkeys(problems))
