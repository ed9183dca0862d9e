"""Settings of the service, as its parts take them; ``service_settings`` makes them of what an operator has configured."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from hooks.clients import ANY_CLIENT, Client

MEGABYTE = 1024 * 1024
SANDBOX_IS_OPEN = "is for trying out, on this machine and without CDS_CLIENTS: its page is no place for patients"
AUTO, JSON, TEXT = "auto", "json", "text"
LEVELS = ("INFO", "WARNING", "ERROR")


class CommandError(Exception):
    """A command that cannot be carried out; the message says why."""


class SettingsError(CommandError):
    """Settings that cannot be used: each problem, on a line of its own, names its setting and what was expected."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Tokens:
    """How clients' tokens are checked: seconds of clock skew, the longest life in seconds, where used ones are kept."""

    public_urls: tuple[str, ...] = ()
    leeway: int = 60
    longest_life: int = 3600
    redis_url: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Fetching:
    """The time budget of a request in seconds, the pages of one search, and the bytes of one answer of a FHIR server."""

    budget: float = 0.4
    pages: int = 10
    bytes: int = 4 * MEGABYTE
    ca_bundle: str | None = None


@dataclass(frozen=True)
class Storage:
    """Where answers and feedback are kept: the folder of spools and embedded files, the database, keys, the spool's bound.

    ``pseudonym_key`` is None where one is to be made in the folder; without ``request_keys`` requests are not kept. What is
    secret does not stand in the object's ``repr``, which ends up in logs.
    """

    folder: Path
    database_url: str = field(repr=False)
    pseudonym_key: str | None = field(default=None, repr=False)
    request_keys: tuple[str, ...] = field(default=(), repr=False)
    spool_bytes: int = 256 * MEGABYTE
    migrates: bool = True

    def make_folder(self) -> None:
        """Make the folder where it is missing: what is kept there is nobody else's business."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)


@dataclass(frozen=True)
class Logging:
    """How lines are written, and the least level of our own."""

    format: str = JSON
    level: str = "INFO"


@dataclass(frozen=True)
class Settings:
    """``client`` is the caller in open mode; ``body_limit`` in bytes; without ``storage`` nothing is recorded.

    ``tracing``: OpenTelemetry's own variables name a collector. ``metrics_folder`` is shared with the other workers.
    """

    client: Client = ANY_CLIENT
    clients: tuple[Client, ...] = ()
    explain: bool = False
    body_limit: int = 10 * MEGABYTE
    tokens: Tokens = field(default_factory=Tokens)
    fetching: Fetching = field(default_factory=Fetching)
    storage: Storage | None = None
    threads: int = 32
    sandbox: bool = False
    workers: int = 2
    logging: Logging = field(default_factory=Logging)
    tracing: bool = False
    metrics_folder: Path | None = None

    @property
    def open_mode(self) -> bool:
        """For trying out: no client authentication, and a request may name its own now."""
        return not self.clients


def with_sandbox(settings: Settings) -> Settings:
    """The settings with the sandbox page, which needs explained answers; ``SettingsError`` where clients are configured."""
    if not settings.open_mode:
        raise SettingsError(f"CDS_SANDBOX {SANDBOX_IS_OPEN}")
    return replace(settings, explain=True, sandbox=True)
