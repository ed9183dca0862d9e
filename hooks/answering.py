"""Request JSON to response JSON. Pure: no HTTP, no I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cds import evaluate, load_protocols
from cds.evaluation import Evaluation
from cds.fhir import Found, current_trials, read_drafts, read_snapshot
from cds.protocol import Protocol
from cds.snapshot import LENALIDOMIDE, PatientSnapshot, Unread
from hooks.card_profile import fitted
from hooks.cards import Request, cards_for
from hooks.clients import ANY_CLIENT, Client
from hooks.explanation import explanation
from hooks.problems import MalformedError, UnobtainableError, UnsuitableError
from hooks.request_resources import read_resources
from hooks.stages import Enter, untimed
from hooks.wire import EXTENSION, PATIENT_VIEW, SERVICES, HookRequest, Json, read_request


@dataclass(frozen=True)
class Answer:
    """A response and what it rests on.

    ``faults`` are for the log: the rules that failed, each with the place of its fault and no patient data.
    """

    response: Json
    request: HookRequest
    snapshot: PatientSnapshot
    evaluation: Evaluation
    explanation: Callable[[], Json]

    @property
    def faults(self) -> tuple[str, ...]:
        """The rules that could not be evaluated."""
        findings = (finding for judgement in self.evaluation.judgements for finding in judgement.findings)
        return tuple(
            f"rule {finding.id} could not be evaluated: {finding.fault}" for finding in findings if finding.fault
        )


def answer(
    request: Mapping[str, Any],
    *,
    now: datetime,
    protocol: str | None = None,
    explain: bool = False,
    client: Client = ANY_CLIENT,
) -> Json:
    """The CDS Hooks response to a request.

    ``now`` is aware, in the organisation's zone. ``protocol`` wins over everything the request and the client say; ``client``
    is what is configured for the caller. Raises ``hooks.problems.Problem`` when the request is refused.
    """
    return answered(request, now=now, protocol=protocol, explain=explain, client=client).response


def answered(  # noqa: PLR0913 -- all but the request are named, and most have a default
    request: Mapping[str, Any],
    *,
    now: datetime,
    protocol: str | None = None,
    explain: bool = False,
    service: str | None = None,
    client: Client = ANY_CLIENT,
    protocols: Mapping[str, Protocol] | None = None,
    enter: Enter = untimed,
) -> Answer:
    """``answer`` with what it rests on.

    ``service`` is the id of the endpoint called, where there is one; ``protocols`` are others than this version's own;
    ``enter`` is told of the stages "read", "judge" and "cards".
    """
    enter("read")
    try:
        called = read_request(request)
        _check_hook(called, service)
        return _answer(called, now, protocol, client, protocols or load_protocols(), enter, explain=explain)
    except RecursionError:
        raise MalformedError("", "the body is nested too deeply") from None


def _answer(
    request: HookRequest,
    now: datetime,
    protocol: str | None,
    client: Client,
    protocols: Mapping[str, Protocol],
    enter: Enter,
    *,
    explain: bool,
) -> Answer:
    resources = read_resources(request, client, now)
    supplied, drafts, reading = resources.supplied, resources.drafts, resources.reading
    chosen, note = _choose_protocol(
        request, protocol, client.protocol, protocols, current_trials((*supplied.found, *drafts), reading.patient)
    )
    _check_selections(request, drafts)
    orders, unresolved = read_drafts(drafts, request.selections, reading)
    asked = [draft for draft in unresolved if request.selections is None or draft in request.selections]
    if asked and not any(order.drug.token == LENALIDOMIDE for order in orders.orders):
        raise UnobtainableError(
            "context.draftOrders", f"the Medication of {asked[0]} was not supplied, so its drug is not known"
        )
    history = [item for item in supplied.found if item.resource.get("resourceType") != "Medication"]
    unknown = tuple(
        Unread(reference, "its Medication was not supplied, so its drug is not known") for reference in unresolved
    )
    snapshot = read_snapshot(history, supplied.supply, reading, (*supplied.unread, *resources.refused, *note, *unknown))
    enter("judge")
    evaluation = evaluate(snapshot, None if request.hook == PATIENT_VIEW else orders, chosen, now)
    enter("cards")
    by_reference = {
        f"{item.resource.get('resourceType')}/{item.resource.get('id')}": item.resource
        for item in drafts
        if item.resource.get("id")
    }
    shown = client.shown_at[request.hook]
    cards = cards_for(
        evaluation, Request(request.hook_instance, request.patient_id, by_reference, shown, supplied.shortfalls)
    )
    response: Json = {"cards": [fitted(card, client.card_profile) for card in cards]}

    def explained() -> Json:
        return explanation(evaluation, shown, supplied)

    if explain:
        response["extension"] = {f"{EXTENSION}.evaluation": explained()}
    return Answer(response, request, snapshot, evaluation, explained)


def _check_hook(request: HookRequest, service: str | None) -> None:
    hooks = SERVICES.values() if service is None else [SERVICES[service]]
    if request.hook not in hooks:
        raise UnsuitableError("hook", f"is '{request.hook[:40]}', expected {' or '.join(hooks)}")


def _check_selections(request: HookRequest, drafts: Sequence[Found]) -> None:
    drawn = sorted(f"{item.resource.get('resourceType')}/{item.resource.get('id')}" for item in drafts)
    missing = sorted(selection for selection in request.selections or () if selection not in drawn)
    if missing:
        known = f"; there are {', '.join(drawn)[:200]}" if drawn else ", which is empty"
        raise UnsuitableError(
            "context.selections", f"'{missing[0][:80]}' is not an entry of context.draftOrders{known}"
        )


def _choose_protocol(
    request: HookRequest,
    explicit: str | None,
    default: str,
    protocols: Mapping[str, Protocol],
    trials: frozenset[str],
) -> tuple[Protocol, tuple[Unread, ...]]:
    """The protocol by precedence: argument, request, the patient's trial, default; and a note where trials compete."""
    for field, wanted in (("protocol", explicit), (f"extension.{EXTENSION}.protocol", request.protocol)):
        if wanted is not None:
            if wanted not in protocols:
                raise UnsuitableError(
                    field, f"'{wanted[:40]}' is not a protocol; expected one of {', '.join(protocols)}"
                )
            return protocols[wanted], ()
    matching = [protocol for protocol in protocols.values() if trials & set(protocol.trials)]
    if len(matching) == 1:
        return matching[0], ()
    competing = " and ".join(protocol.id for protocol in matching)
    note = (Unread("ResearchSubject", f"the patient is in two trials ({competing}); the default protocol was used"),)
    return protocols[default], note if matching else ()
