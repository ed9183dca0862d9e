"""The resources of a request, and how they are read: the same for an answer and for what is fetched before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cds.fhir import Found, Medications, PatientIdentity, Reading
from cds.snapshot import Unread
from cds.terminology import load_terminology
from hooks.clients import Client
from hooks.prefetch import Supplied, read_prefetch
from hooks.wire import HookRequest


@dataclass(frozen=True)
class RequestResources:
    """Prefetch and drafts of one request; ``refused`` are entries of the drafts without a resource."""

    supplied: Supplied
    drafts: tuple[Found, ...]
    refused: tuple[Unread, ...]
    reading: Reading


def read_resources(request: HookRequest, client: Client, now: datetime) -> RequestResources:
    """All resources of a request, and how they are read for its client."""
    terminology = client.terminology or load_terminology()
    supplied = read_prefetch(request.prefetch, terminology)
    drafts, refused = _draft_entries(request.draft_orders)
    everything = (*supplied.found, *drafts)
    reading = Reading(
        PatientIdentity(request.patient_id, everything, request.fhir_server),
        Medications(everything),
        terminology,
        now,
        terminology.programme.with_local(client.programme),
    )
    return RequestResources(supplied, drafts, refused, reading)


def _draft_entries(entries: Sequence[Any]) -> tuple[tuple[Found, ...], tuple[Unread, ...]]:
    found, refused = [], []
    for index, entry in enumerate(entries):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict):
            url = entry.get("fullUrl")
            found.append(Found(resource, url if isinstance(url, str) else ""))
        else:
            refused.append(Unread(f"context.draftOrders.entry[{index}]", "holds no resource"))
    return tuple(found), tuple(refused)
