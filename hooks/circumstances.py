"""What a request may say in its extension of its own circumstances: the instant it is about, and the card profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Any

from hooks.card_profile import PROFILES
from hooks.clients import Client
from hooks.problems import MalformedError, UnsuitableError
from hooks.wire import EXTENSION

NOW, CARD_PROFILE = "now", "card-profile"
# Far from the calendar's ends, so that the days counted from now are dates too.
EARLIEST_YEAR, LATEST_YEAR = 1900, 2200


def told(request: Mapping[str, Any], member: str) -> str | None:
    """A member of the request's extension that is ours, where it carries one. Raises MalformedError if it is no text."""
    extension = request.get("extension")
    named = extension.get(f"{EXTENSION}.{member}") if isinstance(extension, dict) else None
    if named is not None and not isinstance(named, str):
        raise MalformedError(_field(member), "expected a non-empty string")
    return named


def refuse_what_is_told(request: Mapping[str, Any]) -> None:
    """Outside open mode a request chooses neither the time nor how its cards look."""
    if told(request, NOW) is not None:
        raise UnsuitableError(_field(NOW), "is not allowed here; the service uses its own clock")
    if told(request, CARD_PROFILE) is not None:
        raise UnsuitableError(_field(CARD_PROFILE), "is not allowed here; the client's configuration names it")


def as_told(request: Mapping[str, Any], client: Client) -> Client:
    """The client, with the card profile that the request asks for."""
    profile = told(request, CARD_PROFILE)
    return client if profile is None else replace(client, card_profile=known_profile(profile))


def parse_now(text: str, zone: tzinfo, field: str | None = None) -> datetime:
    """ISO 8601, in the organisation's zone; a time without an offset is in that zone already."""
    try:
        named = datetime.fromisoformat(text)
        moment = named.replace(tzinfo=zone) if named.tzinfo is None else named.astimezone(zone)
    except (ValueError, OverflowError):
        moment = None
    if moment is None or not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
        raise UnsuitableError(
            field or _field(NOW), f"'{text[:40]}' is not a date and time such as 2024-05-15T09:00:00+00:00"
        )
    return moment


def known_profile(name: str) -> str:
    """The card profile of this name."""
    if name not in PROFILES:
        raise UnsuitableError(_field(CARD_PROFILE), f"'{name[:40]}' is not one of {', '.join(PROFILES)}")
    return name


def _field(member: str) -> str:
    return f"extension.{EXTENSION}.{member}"
