"""Settings of the service, from the command line and the environment."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cds import DEFAULT_PROTOCOL
from cds.strict_yaml import KnowledgeError, load
from cds.terminology import NOWHERE, ProgrammePlaces, Terminology, programme_places, terminology_with
from hooks.card_profile import BASE, PROFILES
from hooks.clients import ANY_CLIENT, Client, ClientsError, FhirServer, base_url, read_clients

_Read = TypeVar("_Read")
_MEGABYTE = 1024 * 1024
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# With one of these the service is meant for patients, and so never runs open.
_FOR_PATIENTS = ("CDS_PUBLIC_URL", "CDS_PSEUDONYM_KEY", "CDS_PSEUDONYM_KEY_FILE", "CDS_REDIS_URL", "DATABASE_URL")


class CommandError(Exception):
    """A command that cannot be carried out; the message says why."""


class SettingsError(CommandError):
    """A setting that cannot be used; the message names it and what was expected."""


@dataclass(frozen=True)
class Tokens:
    """How clients' tokens are checked: seconds of clock skew, the longest life in seconds, where used ones are kept."""

    public_urls: tuple[str, ...] = ()
    leeway: int = 60
    longest_life: int = 3600
    redis_url: str | None = None


@dataclass(frozen=True)
class Fetching:
    """The time budget of a request in seconds, the pages of one search, and the bytes of one answer of a FHIR server."""

    budget: float = 0.4
    pages: int = 10
    bytes: int = 4 * _MEGABYTE
    ca_bundle: str | None = None


@dataclass(frozen=True)
class Storage:
    """Where answers and feedback are kept: the folder of spools and embedded files, the database, keys, the spool's bound.

    ``pseudonym_key`` is None where one is to be made in the folder; without ``request_keys`` requests are not kept.
    """

    folder: Path
    database_url: str
    pseudonym_key: str | None = None
    request_keys: tuple[str, ...] = ()
    spool_bytes: int = 256 * _MEGABYTE
    migrates: bool = True

    def make_folder(self) -> None:
        """Make the folder where it is missing: what is kept there is nobody else's business."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)


@dataclass(frozen=True)
class Settings:
    """``client`` is the caller in open mode; ``body_limit`` in bytes; without ``storage`` nothing is recorded."""

    client: Client = ANY_CLIENT
    clients: tuple[Client, ...] = ()
    explain: bool = False
    body_limit: int = 10 * _MEGABYTE
    tokens: Tokens = field(default_factory=Tokens)
    fetching: Fetching = field(default_factory=Fetching)
    storage: Storage | None = None
    threads: int = 32
    sandbox: bool = False
    workers: int = 2

    @property
    def open_mode(self) -> bool:
        """For trying out: no client authentication, and a request may name its own now."""
        return not self.clients


def from_environment(protocol: str | None = None) -> Settings:
    """The settings that the operator's page lists. ``SettingsError`` names one that cannot be used."""
    client = hospital_client(protocol)
    clients = _clients(client)
    settings = Settings(
        client if clients else replace(client, fhir_servers=_open_fhir_servers()),
        clients,
        _one_of("CDS_EXPLAIN", ("0", "1"), "0") == "1",
        _whole("CDS_BODY_LIMIT_MB", 10, "megabytes") * _MEGABYTE,
        Tokens(
            _public_urls(required=bool(clients)),
            _whole("CDS_TOKEN_LEEWAY_SECONDS", 60, "seconds", least=0),
            _whole("CDS_TOKEN_LIFE_SECONDS", 3600, "seconds"),
            _text("CDS_REDIS_URL"),
        ),
        Fetching(
            _whole("CDS_FETCH_BUDGET_MS", 400, "milliseconds", least=0) / 1000,
            _whole("CDS_FETCH_PAGES", 10, "pages"),
            _whole("CDS_FETCH_LIMIT_MB", 4, "megabytes") * _MEGABYTE,
            _ca_bundle(),
        ),
        storage(pseudonym_key_required=bool(clients)),
        _whole("CDS_THREADS", 32, "threads"),
        workers=_whole("CDS_WORKERS", 2, "worker processes"),
    )
    return with_sandbox(settings) if _one_of("CDS_SANDBOX", ("0", "1"), "0") == "1" else settings


def with_sandbox(settings: Settings) -> Settings:
    """The settings with the sandbox page, which needs explained answers; ``SettingsError`` where clients are configured."""
    if not settings.open_mode:
        msg = (
            "CDS_SANDBOX is for trying out, on this machine and without CDS_CLIENTS: its page is no place for patients"
        )
        raise SettingsError(msg)
    return replace(settings, explain=True, sandbox=True)


def hospital_client(protocol: str | None = None) -> Client:
    """What holds for every client that does not say otherwise."""
    return Client(
        protocol=protocol or DEFAULT_PROTOCOL,
        programme=_programme(),
        card_profile=_one_of("CDS_CARD_PROFILE", PROFILES, BASE),
        terminology=_terminology(),
        time_zone=_time_zone(),
    )


def storage(*, pseudonym_key_required: bool = False) -> Storage:
    """Where answers are kept, for the commands that only read them too."""
    folder = Path(_text("CDS_DATA") or _state_folder())
    key = _secret("CDS_PSEUDONYM_KEY", "CDS_PSEUDONYM_KEY_FILE")
    if pseudonym_key_required and key is None:
        msg = (
            "CDS_PSEUDONYM_KEY is missing, expected a secret of at least 32 characters: patients are recorded under it"
        )
        raise SettingsError(msg)
    if key is not None and len(key) < 32:  # noqa: PLR2004 -- as the message says
        msg = "CDS_PSEUDONYM_KEY is too short, expected a secret of at least 32 characters"
        raise SettingsError(msg)
    return Storage(
        folder,
        _text("DATABASE_URL") or f"sqlite:///{folder / 'lenalidomide-cds.sqlite'}",
        key,
        tuple(
            part
            for part in (_secret("CDS_REQUEST_KEYS", "CDS_REQUEST_KEYS_FILE") or "").replace(",", " ").split()
            if part
        ),
        _whole("CDS_SPOOL_LIMIT_MB", 256, "megabytes") * _MEGABYTE,
        _one_of("CDS_MIGRATE", ("0", "1"), "1") == "1",
    )


def check_host(settings: Settings, host: str) -> None:
    """Open mode is for this machine only."""
    if settings.open_mode and host not in LOOPBACK:
        msg = f"--host {host}: open mode serves loopback only; name the clients in CDS_CLIENTS to serve others"
        raise SettingsError(msg)


def check_folder(settings: Settings) -> None:
    """A folder that cannot be written is a mistake at the start; a disk that fails later stops nothing."""
    if settings.storage is None:
        return
    try:
        settings.storage.make_folder()
    except OSError as error:
        msg = f"CDS_DATA: {settings.storage.folder} is not a folder that can be made: {error.strerror}"
        raise SettingsError(msg) from None
    if not os.access(settings.storage.folder, os.W_OK | os.X_OK):
        msg = f"CDS_DATA: {settings.storage.folder} is not a folder that can be written"
        raise SettingsError(msg)


def _clients(defaults: Client) -> tuple[Client, ...]:
    name = _text("CDS_CLIENTS")
    if name is None:
        serious = [setting for setting in _FOR_PATIENTS if os.environ.get(setting)]
        if serious:
            msg = (
                f"CDS_CLIENTS is missing, expected the file of clients: without it the service runs open, for trying out, "
                f"and not to be used with {', '.join(serious)}"
            )
            raise SettingsError(msg)
        return ()
    if os.environ.get("CDS_FHIR_SERVERS"):
        msg = "CDS_FHIR_SERVERS is for open mode; with CDS_CLIENTS each client names its own fhir_servers"
        raise SettingsError(msg)
    try:
        return read_clients(Path(name), defaults)
    except (ClientsError, OSError) as error:
        msg = f"CDS_CLIENTS: {error}"
        raise SettingsError(msg) from None


def _public_urls(*, required: bool) -> tuple[str, ...]:
    """The base URLs under which clients call, before ``/cds-services``."""
    urls = (_text("CDS_PUBLIC_URL") or "").replace(",", " ").split()
    if required and not urls:
        msg = "CDS_PUBLIC_URL is missing, expected the https URL under which clients call: their tokens name it"
        raise SettingsError(msg)
    try:
        bases = tuple(base_url(url) for url in urls)
    except ValueError as error:
        msg = f"CDS_PUBLIC_URL: {error}"
        raise SettingsError(msg) from None
    if any(base.endswith("/cds-services") for base in bases):
        msg = "CDS_PUBLIC_URL: expected what stands before /cds-services, without it"
        raise SettingsError(msg)
    return bases


def _open_fhir_servers() -> tuple[FhirServer, ...]:
    """In open mode: servers to try with; plain http is for this machine only."""
    urls = (_text("CDS_FHIR_SERVERS") or "").replace(",", " ").split()
    servers = []
    for url in urls:
        on_this_machine = urlsplit(url).hostname in LOOPBACK and urlsplit(url).scheme == "http"
        try:
            servers.append(FhirServer(url.rstrip("/") if on_this_machine else base_url(url), private=on_this_machine))
        except ValueError as error:
            msg = f"CDS_FHIR_SERVERS: {error}"
            raise SettingsError(msg) from None
    return tuple(servers)


def _ca_bundle() -> str | None:
    """A file of certificate authorities, tried out."""
    file = _text("CDS_CA_BUNDLE")
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:
        msg = f"CDS_CA_BUNDLE: '{file}' holds no certificates that can be used: {error.strerror or error}"
        raise SettingsError(msg) from None
    return file


def _state_folder() -> str:
    """Where programs of a user keep what they must not lose (XDG Base Directory Specification)."""
    return str(Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "lenalidomide-cds")


def _programme() -> ProgrammePlaces:
    """A file of the same shape as ``cds/terminology/programme.yaml``."""
    return _from_file("CDS_PROGRAMME_EVIDENCE", programme_places, NOWHERE)


def _terminology() -> Terminology | None:
    """Ours and a hospital's own codes; the operator's page gives the shape of the file."""
    return _from_file("CDS_LOCAL_CODES", terminology_with, None)


def _from_file(setting: str, read: Callable[[Mapping[str, Any], str], _Read], otherwise: _Read) -> _Read:
    """What the file named by a setting holds; all that is wrong with it in one error."""
    name = os.environ.get(setting)
    if not name:
        return otherwise
    problems: list[str] = []
    found = otherwise
    try:
        content = load(Path(name), problems)
        found = otherwise if problems else read(content, name)
    except (OSError, KnowledgeError) as error:
        problems.append(str(error))
    if problems:
        msg = f"{setting}: {'; '.join(problems)}"
        raise SettingsError(msg)
    return found


def _time_zone() -> ZoneInfo:
    name = os.environ.get("CDS_TIME_ZONE", "UTC")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        msg = f"CDS_TIME_ZONE is '{name}', expected an IANA name such as Europe/Paris"
        raise SettingsError(msg) from None


def _text(setting: str) -> str | None:
    return os.environ.get(setting) or None


def _secret(setting: str, setting_of_file: str) -> str | None:
    """A secret itself, or from a file, as container platforms hand them over."""
    file = _text(setting_of_file)
    if file is None:
        return _text(setting)
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{setting_of_file}: {error}"
        raise SettingsError(msg) from None


def _one_of(setting: str, choices: tuple[str, ...], otherwise: str) -> str:
    value = os.environ.get(setting, otherwise)
    if value not in choices:
        msg = f"{setting} is '{value}', expected {' or '.join(choices)}"
        raise SettingsError(msg)
    return value


def _whole(setting: str, otherwise: int, unit: str, least: int = 1) -> int:
    value = os.environ.get(setting, str(otherwise))
    if not value.isdecimal() or int(value) < least:
        msg = f"{setting} is '{value}', expected a whole number of {unit}"
        raise SettingsError(msg)
    return int(value)
