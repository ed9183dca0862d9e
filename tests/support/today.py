"""Bundled requests as if their now were this moment: a service with clients takes the time from its clock alone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hooks.wire import EXTENSION, decode

OWN_NOW = f"{EXTENSION}.now"
_DATE = re.compile(r"\b20\d\d-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?")


def moved_to_today(text: str) -> dict[str, Any]:
    """A request, given as JSON, with every date moved as far as its own now is away; that now is left out."""
    then, now = datetime.fromisoformat(decode(text)["extension"][OWN_NOW]), datetime.now(UTC)
    days, whole = now.date() - then.date(), now - then
    request: dict[str, Any] = decode(_DATE.sub(lambda match: _moved(match[0], days, whole), text))
    del request["extension"][OWN_NOW]
    return request


def _moved(stamp: str, days: timedelta, whole: timedelta) -> str:
    """A day by whole days; an instant by as much as now, lest one of that morning lie ahead."""
    try:
        if "T" in stamp:
            return (datetime.fromisoformat(stamp) + whole).isoformat()
        return (date.fromisoformat(stamp) + days).isoformat()
    except ValueError:
        return stamp
