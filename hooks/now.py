"""The instant of an evaluation: the clock's, or the one a request or a command line names."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import NoReturn

from hooks.problems import UnsuitableError
from hooks.wire import EXTENSION

_FIELD = f"extension.{EXTENSION}.now"
# Far from the calendar's ends, so that the days counted from now are dates too.
_EARLIEST_YEAR, _LATEST_YEAR = 1900, 2200


def parse_now(text: str, zone: tzinfo, field: str = _FIELD) -> datetime:
    """ISO 8601, in the organisation's zone; a time without an offset is in that zone already."""
    try:
        named = datetime.fromisoformat(text)
        moment = named.replace(tzinfo=zone) if named.tzinfo is None else named.astimezone(zone)
    except (ValueError, OverflowError):
        moment = None
    if moment is None or not _EARLIEST_YEAR <= moment.year <= _LATEST_YEAR:
        raise UnsuitableError(field, f"'{text[:40]}' is not a date and time such as 2024-05-15T09:00:00+00:00")
    return moment


def now_named_by(request: object) -> str | None:
    """The request's own now, where it carries one."""
    extension = request.get("extension") if isinstance(request, dict) else None
    named = extension.get(f"{EXTENSION}.now") if isinstance(extension, dict) else None
    return named if isinstance(named, str) else None


def refuse_now() -> NoReturn:
    """Outside open mode a request does not choose the time."""
    raise UnsuitableError(_FIELD, "is not allowed here; the service uses its own clock")
