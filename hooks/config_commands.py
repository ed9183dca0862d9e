"""Commands on the configuration: config check."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from hooks.configuration import Configuration, read_configuration
from hooks.members import NAMES, SECRETS, as_written
from hooks.service_settings import service_settings
from hooks.settings import Settings
from hooks.tables import as_text


def check_configuration(options: argparse.Namespace) -> int:
    """Print what a service would start with; all that would stop it is one error."""
    settings = service_settings(options.config)
    print(as_text(("setting", "from", "value"), _rows(read_configuration(options.config))))
    print()
    print(_callers(settings))
    print("ok")
    return 0


def _rows(configuration: Configuration) -> Iterator[tuple[str, str, str]]:
    for name in NAMES:
        yield name, configuration.source(name), _value(configuration, name)


def _value(configuration: Configuration, name: str) -> str:
    if name in SECRETS:
        return "set" if configuration.is_given(name) else "not set"
    return as_written(configuration.folder if name == "data" else getattr(configuration.members, name))


def _callers(settings: Settings) -> str:
    if settings.open_mode:
        return "No clients: open mode, this machine only, for trying out. Not for patients."
    issuers = [(client, client.identity.issuer) for client in settings.clients if client.identity is not None]
    return as_text(
        ("client", "issuer", "protocol"), [(client.name, issuer, client.protocol) for client, issuer in issuers]
    )
