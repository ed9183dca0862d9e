"""Bundled requests as if their day were today: a service with clients takes the time from its clock alone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hooks.wire import EXTENSION, decode

_DAY = re.compile(r"\b(20\d\d-\d\d-\d\d)(?=\b|T)")


def moved_to_today(text: str) -> dict[str, Any]:
    """A request, given as JSON, with every date moved by as many days as its own now is away; that now is left out."""
    then = datetime.fromisoformat(decode(text)["extension"][f"{EXTENSION}.now"]).date()
    shift = datetime.now(UTC).date() - then
    request: dict[str, Any] = decode(_DAY.sub(lambda match: _moved(match[1], shift), text))
    del request["extension"][f"{EXTENSION}.now"]
    return request


def _moved(day: str, shift: timedelta) -> str:
    try:
        return (date.fromisoformat(day) + shift).isoformat()
    except ValueError:
        return day
