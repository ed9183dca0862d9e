"""From what an operator has configured to the settings of a service, with everything that would stop its start at once."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from cds import load_protocols
from cds.strict_yaml import KnowledgeError
from cds.terminology import load_terminology
from hooks.clients import Client, ClientsError, read_clients
from hooks.configuration import Configuration, client_of, is_tracing, read_configuration, storage_of
from hooks.discovery import discovery
from hooks.health import Health
from hooks.members import LOOPBACK
from hooks.secrecy import Seal
from hooks.settings import (
    AUTO,
    JSON,
    MEGABYTE,
    SANDBOX_IS_OPEN,
    TEXT,
    CommandError,
    Fetching,
    Logging,
    Settings,
    Tokens,
    with_sandbox,
)
from hooks.store import Store
from hooks.used_tokens import used_tokens

# With one of these the service is meant for patients, and so never runs open.
_FOR_PATIENTS = ("public_url", "pseudonym_key", "redis_url", "database_url")


def service_settings(
    file: str | None = None, *, protocol: str | None = None, host: str | None = None, sandbox: bool = False
) -> Settings:
    """Settings that a service can start with; the arguments are the command line's. ``SettingsError`` lists all problems."""
    configuration = read_configuration(file, protocol=protocol)
    members = configuration.members
    client = client_of(configuration)
    settings = Settings(
        client=replace(client, fhir_servers=members.fhir_servers),
        clients=_clients(configuration, client),
        explain=members.explain,
        body_limit=members.body_limit_mb * MEGABYTE,
        tokens=Tokens(
            public_urls=members.public_url,
            leeway=members.token_leeway_seconds,
            longest_life=members.token_life_seconds,
            redis_url=configuration.secret("redis_url"),
        ),
        fetching=Fetching(
            budget=members.fetch_budget_ms / 1000,
            pages=members.fetch_pages,
            bytes=members.fetch_limit_mb * MEGABYTE,
            ca_bundle=None if members.ca_bundle is None else str(members.ca_bundle),
        ),
        storage=storage_of(configuration),
        threads=members.threads,
        workers=members.workers,
        logging=Logging(_log_format(members.log_format), members.log_level),
        tracing=is_tracing(configuration.problems),
    )
    wants_sandbox = sandbox or members.sandbox
    if configuration.is_given("clients"):
        _check_with_clients(configuration, sandbox=wants_sandbox)
    else:
        _check_open(configuration, host)
    _check_places(configuration)
    _check_parts(configuration, settings)
    configuration.raise_problems()
    return with_sandbox(settings) if wants_sandbox else settings


def _log_format(chosen: str) -> str:
    """People look at a terminal, machines at anything else."""
    if chosen != AUTO:
        return chosen
    return TEXT if sys.stderr.isatty() else JSON


def _clients(configuration: Configuration, defaults: Client) -> tuple[Client, ...]:
    file = configuration.members.clients
    if file is None:
        return ()
    try:
        return read_clients(file, defaults)
    except ClientsError as error:
        problems = error.problems
    except OSError as error:
        problems = [f"{file}: {error.strerror}"]
    called = configuration.name("clients")
    configuration.problems.extend(f"{called}: {' '.join(problem.split())}" for problem in problems)
    return ()


def _check_with_clients(configuration: Configuration, *, sandbox: bool) -> None:
    """A service for patients."""
    problems = configuration.problems
    if not configuration.is_given("public_url"):
        problems.append(
            "CDS_PUBLIC_URL is missing, expected the https URL under which clients call: their tokens name it"
        )
    if not configuration.is_given("pseudonym_key"):
        problems.append(
            "CDS_PSEUDONYM_KEY is missing, expected a secret of at least 32 characters: patients are recorded under it"
        )
    if configuration.is_given("fhir_servers"):
        problems.append(
            f"{configuration.name('fhir_servers')} is for open mode; with CDS_CLIENTS each client names its own fhir_servers"
        )
    if sandbox:
        problems.append(f"{configuration.name('sandbox')} {SANDBOX_IS_OPEN}")


def _check_open(configuration: Configuration, host: str | None) -> None:
    """A service for trying out, on this machine only."""
    serious = [configuration.name(name) for name in _FOR_PATIENTS if configuration.is_given(name)]
    if serious:
        configuration.problems.append(
            "CDS_CLIENTS is missing, expected the file of clients: without it the service runs open, for trying out, "
            f"and not to be used with {', '.join(serious)}"
        )
    if host is not None and host not in LOOPBACK:
        configuration.problems.append(
            f"--host {host}: open mode serves loopback only; name the clients in CDS_CLIENTS to serve others"
        )


def _check_places(configuration: Configuration) -> None:
    """A folder that cannot be written is a mistake at the start; a disk that fails later stops nothing."""
    bundle, folder = configuration.members.ca_bundle, configuration.folder
    if bundle is not None:
        try:
            ssl.create_default_context(cafile=bundle)
        except OSError as error:
            configuration.problems.append(
                f"{configuration.name('ca_bundle')} cannot be used: {bundle} holds no certificates: {error.strerror or error}"
            )
    # What is not there yet is made when it is needed.
    there = next(place for place in (folder, *folder.parents) if os.access(place, os.F_OK))
    if not there.is_dir():
        configuration.problems.append(f"{configuration.name('data')}: {there} is not a folder")
    elif not os.access(there, os.W_OK | os.X_OK):
        configuration.problems.append(f"{configuration.name('data')}: {there} is not a folder that can be written")


def _check_parts(configuration: Configuration, settings: Settings) -> None:
    """What only the parts themselves can say of their settings; none of them connects to anything here."""
    storage = settings.storage
    assert storage is not None
    if storage.request_keys:
        with _noting(configuration, "request_keys"):
            Seal(storage.request_keys)
    with _noting(configuration, "database_url"):
        Store(storage.database_url).close()
    with _noting(configuration, "redis_url"):
        used_tokens(settings.tokens, None, Health())
    with _noting(configuration, "local_codes"):
        discovery(settings.client.terminology or load_terminology())
    try:
        load_protocols()
    except KnowledgeError as error:
        configuration.problems.extend(error.problems)


@contextmanager
def _noting(configuration: Configuration, name: str) -> Iterator[None]:
    """What a part says against its setting is a problem under the name that the operator gave."""
    try:
        yield
    except CommandError as error:
        called = configuration.name(name)
        configuration.problems.append(str(error) if called in str(error) else f"{called}: {error}")
