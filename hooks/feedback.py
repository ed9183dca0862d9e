"""Feedback on cards, as clients send it: one entry or many, in the standard's spelling or in Epic's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hooks.problems import MalformedError, Problem
from hooks.wire import Json, encode_received

ACCEPTED, OVERRIDDEN = "accepted", "overridden"
COMMENT_ONLY = "comment only"
_OUTCOMES = (ACCEPTED, OVERRIDDEN)
_LONGEST_CARD = 200  # characters; ours are 36
_NATIVE_REASON = "com.epic.cdshooks.feedback.overrideReason"


def feedback_records(
    document: object, service: str, client: str, received: datetime
) -> tuple[list[Json], MalformedError | None]:
    """The entries to be recorded, and what is wrong with the first one that cannot be.

    An entry is known by its client and content, so that the same one sent again is recorded once.
    """
    records: list[Json] = []
    wrong: list[Problem] = []
    for place, entry in _entries(document):
        try:
            records.append(_record(entry, place, service, client, received))
        except MalformedError as problem:
            wrong.append(problem)
    if not wrong:
        return records, None
    others = f" ({len(records)} other entries were recorded)" if records else ""
    return records, MalformedError(wrong[0].field, wrong[0].expected + others)


def _entries(document: object) -> list[tuple[str, object]]:
    """Each entry with its place. One alone, without a list around it, is taken too."""
    if not isinstance(document, Mapping):
        raise MalformedError("body", "expected a JSON object")
    if "feedback" not in document and "card" in document:
        return [("body", document)]
    entries = document.get("feedback")
    if isinstance(entries, Mapping):
        return [("feedback", entries)]
    if not isinstance(entries, list) or not entries:
        raise MalformedError("feedback", "expected a list of entries, each with card and outcome")
    return [(f"feedback[{index}]", entry) for index, entry in enumerate(entries)]


def _record(entry: object, place: str, service: str, client: str, received: datetime) -> Json:
    if not isinstance(entry, Mapping):
        raise MalformedError(place, "expected an object")
    card, outcome = entry.get("card"), entry.get("outcome")
    if not isinstance(card, str) or not 0 < len(card.strip()) <= _LONGEST_CARD:
        raise MalformedError(f"{place}.card", f"expected the uuid of a card, at most {_LONGEST_CARD} characters")
    if outcome not in _OUTCOMES:
        raise MalformedError(f"{place}.outcome", f"expected {' or '.join(_OUTCOMES)}")
    at = _timestamp(entry.get("outcomeTimestamp"), f"{place}.outcomeTimestamp") or received
    content = {key: value for key, value in entry.items() if key != "card"}
    return {
        "record": "feedback",
        "id": _identity(entry, client, received),
        "received": received.astimezone(UTC).isoformat(),
        "at": at.astimezone(UTC).isoformat(),
        "client": client,
        "service": service,
        "card": card.strip().lower(),
        "outcome": outcome,
        "reason": _reason(entry) if outcome == OVERRIDDEN else None,
        # As text: it may hold numbers and characters that are to be kept as they came.
        "entry": encode_received(content),
    }


def _timestamp(raw: object, field: str) -> datetime | None:
    """RFC 3339; without an offset it is UTC, as the standard has it. A missing one is taken to be now."""
    if raw is None:
        return None
    try:
        stamp = datetime.fromisoformat(raw) if isinstance(raw, str) else None
        known = stamp and (stamp.replace(tzinfo=UTC) if stamp.tzinfo is None else stamp).astimezone(UTC)
    except (ValueError, OverflowError):
        known = None
    if known is None:
        raise MalformedError(field, "expected a date and time such as 2024-05-15T09:00:00Z")
    return known


def _identity(entry: Mapping[str, Any], client: str, received: datetime) -> str:
    """The same for the same entry sent again; without a time of its own only at once, later it is a second thought."""
    known = {"client": client, "entry": dict(sorted(entry.items()))}
    if entry.get("outcomeTimestamp") is None:
        known["minute"] = received.astimezone(UTC).isoformat(timespec="minutes")
    return hashlib.sha256(encode_received(known).encode()).hexdigest()


def _reason(entry: Mapping[str, Any]) -> str | None:
    """The code of the reason that was given: ours, the client's own, or that there was only a comment."""
    given = entry.get("overrideReason", entry.get("overrideReasons"))
    given = given[0] if isinstance(given, list) and given else given
    if isinstance(given, str) and given.strip():
        return COMMENT_ONLY
    if not isinstance(given, Mapping):
        return None
    # A coding, or one that stands without the member around it.
    reason = given.get("reason", given)
    code = reason.get("code") if isinstance(reason, Mapping) else None
    if isinstance(code, str) and code.strip():
        return code.strip()[:_LONGEST_CARD]
    commented = given.get("userComment") or entry.get("userComment")
    return _native_reason(given.get("extension")) or (COMMENT_ONLY if commented else None)


def _native_reason(extension: object) -> str | None:
    """A reason of the client's own list, which Epic sends as members of an extension."""
    members = extension.items() if isinstance(extension, Mapping) else ()
    parts = [
        f"{key.rpartition('.')[2]}={value}"
        for key, value in sorted(members)
        if str(key).startswith(_NATIVE_REASON) and isinstance(value, str | int)
    ]
    return " ".join(parts)[:_LONGEST_CARD] or None
