"""Settings of the service, from the command line and the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cds import DEFAULT_PROTOCOL
from cds.strict_yaml import KnowledgeError, load
from cds.terminology import NOWHERE, ProgrammePlaces, Terminology, programme_places, terminology_with
from hooks.card_profile import BASE, PROFILES

_Read = TypeVar("_Read")
_MEGABYTE = 1024 * 1024
_DEFAULT_BODY_LIMIT_MB = 10


@dataclass(frozen=True)
class Client:
    """What is known of the calling record system: its protocol, where it shows the programme, what its cards can do.

    ``terminology`` is ours with its own codes, where it has any.
    """

    protocol: str = DEFAULT_PROTOCOL
    programme: ProgrammePlaces = NOWHERE
    card_profile: str = BASE
    terminology: Terminology | None = None


ANY_CLIENT = Client()
"""A client of which nothing is configured."""


@dataclass(frozen=True)
class Settings:
    """``open_mode`` (loopback, no client authentication) honours the request's own ``now``; ``body_limit`` in bytes."""

    client: Client = ANY_CLIENT
    time_zone: tzinfo = UTC
    explain: bool = False
    open_mode: bool = True
    body_limit: int = _DEFAULT_BODY_LIMIT_MB * _MEGABYTE


class SettingsError(Exception):
    """A setting that cannot be used; the message names it and what was expected."""


def from_environment(protocol: str | None = None) -> Settings:
    """The settings named ``CDS_…``; the operator's page lists them. ``SettingsError`` names one that cannot be used."""
    limit = os.environ.get("CDS_BODY_LIMIT_MB", str(_DEFAULT_BODY_LIMIT_MB))
    if not limit.isdecimal() or int(limit) < 1:
        msg = f"CDS_BODY_LIMIT_MB is '{limit}', expected a whole number of megabytes"
        raise SettingsError(msg)
    explain = os.environ.get("CDS_EXPLAIN", "0")
    if explain not in {"0", "1"}:
        msg = f"CDS_EXPLAIN is '{explain}', expected 0 or 1"
        raise SettingsError(msg)
    profile = os.environ.get("CDS_CARD_PROFILE", BASE)
    if profile not in PROFILES:
        msg = f"CDS_CARD_PROFILE is '{profile}', expected {' or '.join(PROFILES)}"
        raise SettingsError(msg)
    client = Client(protocol or DEFAULT_PROTOCOL, _programme(), profile, _terminology())
    return Settings(client, _time_zone(), explain == "1", body_limit=int(limit) * _MEGABYTE)


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


def _time_zone() -> tzinfo:
    name = os.environ.get("CDS_TIME_ZONE", "UTC")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        msg = f"CDS_TIME_ZONE is '{name}', expected an IANA name such as Europe/Paris"
        raise SettingsError(msg) from None
