"""Settings of the service, from the command line and the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cds import DEFAULT_PROTOCOL

_MEGABYTE = 1024 * 1024
_DEFAULT_BODY_LIMIT_MB = 10


@dataclass(frozen=True)
class Settings:
    """``open_mode`` (loopback, no client authentication) honours the request's own ``now``; ``body_limit`` in bytes."""

    protocol: str = DEFAULT_PROTOCOL
    time_zone: tzinfo = UTC
    explain: bool = False
    open_mode: bool = True
    body_limit: int = _DEFAULT_BODY_LIMIT_MB * _MEGABYTE


class SettingsError(Exception):
    """A setting that cannot be used; the message names it and what was expected."""


def from_environment(protocol: str | None = None) -> Settings:
    """``CDS_TIME_ZONE`` (IANA name), ``CDS_EXPLAIN`` (1 or 0) and ``CDS_BODY_LIMIT_MB``."""
    limit = os.environ.get("CDS_BODY_LIMIT_MB", str(_DEFAULT_BODY_LIMIT_MB))
    if not limit.isdecimal() or int(limit) < 1:
        msg = f"CDS_BODY_LIMIT_MB is '{limit}', expected a whole number of megabytes"
        raise SettingsError(msg)
    explain = os.environ.get("CDS_EXPLAIN", "0")
    if explain not in {"0", "1"}:
        msg = f"CDS_EXPLAIN is '{explain}', expected 0 or 1"
        raise SettingsError(msg)
    return Settings(protocol or DEFAULT_PROTOCOL, _time_zone(), explain == "1", body_limit=int(limit) * _MEGABYTE)


def _time_zone() -> tzinfo:
    name = os.environ.get("CDS_TIME_ZONE", "UTC")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        msg = f"CDS_TIME_ZONE is '{name}', expected an IANA name such as Europe/Paris"
        raise SettingsError(msg) from None
