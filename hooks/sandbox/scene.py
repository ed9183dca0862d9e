"""What is on the screen: one request with its response, and what it rests on under any protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from cds import PROTOCOL_IDS
from cds.case import Case
from cds.snapshot import DraftOrders
from hooks.answering import Answer, answered
from hooks.clients import Client
from hooks.problems import MalformedError, Problem
from hooks.request_resources import RequestResources, read_resources
from hooks.wire import SERVICES, Json, read_request


@dataclass(frozen=True)
class Exchange:
    """A call and what came back, as texts.

    ``overridden`` gives by decision the reason it was overridden with, ``accepted`` the suggestions taken that add an order.
    """

    request: str
    response: str
    status: int
    stages: str = ""
    overridden: Mapping[str, str] = field(default_factory=dict)
    accepted: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Scene:
    """An exchange as read. What rests on its evaluation raises ``Problem`` where the request is refused.

    ``completed`` is the request with what the service fetched; ``fault`` is why the request's text is no request at all.
    """

    exchange: Exchange
    request: Mapping[str, Any]
    completed: Mapping[str, Any]
    response: Json
    client: Client
    now: datetime
    fault: Problem | None = None

    @cached_property
    def answer(self) -> Answer:
        """What the response rests on."""
        if self.fault is not None:
            raise self.fault
        return answered(self.completed, now=self.now, explain=True, client=self.client)

    @cached_property
    def resources(self) -> RequestResources:
        """The request's resources, and how they are read."""
        return read_resources(read_request(self.completed), self.client, self.now)

    @cached_property
    def answers(self) -> dict[str, Answer]:
        """The same patient and order under every protocol."""
        return {
            protocol: answered(self.completed, now=self.now, protocol=protocol, client=self.client)
            for protocol in PROTOCOL_IDS
        }

    @cached_property
    def case(self) -> Case:
        """The first order's case; without an order of ours the patient alone."""
        evaluation = self.answer.evaluation
        if evaluation.judgements:
            return evaluation.judgements[0].case
        return Case(self.answer.snapshot, DraftOrders(), None, evaluation.protocol, evaluation.now)

    @cached_property
    def is_refused(self) -> bool:
        """Whether the service would refuse the request."""
        try:
            return self.answer is None
        except Problem:
            return True

    @cached_property
    def cards(self) -> list[Json]:
        """The response's cards. Raises MalformedError where they are none."""
        cards = self.response.get("cards", [])
        if not isinstance(cards, list) or not all(_is_card(card) for card in cards):
            raise MalformedError("response", "expected the cards of a hook's response")
        return cards

    @cached_property
    def issue(self) -> Json | None:
        """What the response refuses the request for."""
        listed = self.response.get("issue")
        first = listed[0] if isinstance(listed, list) and listed else None
        return first if isinstance(first, dict) else None

    @property
    def hook(self) -> str:
        """The hook as the request names it."""
        return str(self.request.get("hook", ""))

    @property
    def service(self) -> str:
        """The endpoint for the request."""
        return service_for(self.request)


def _is_card(card: object) -> bool:
    suggestions = card.get("suggestions", []) if isinstance(card, dict) else None
    return isinstance(suggestions, list) and all(
        isinstance(one, dict)
        and isinstance(one.get("actions"), list)
        and all(isinstance(a, dict) for a in one["actions"])
        for one in suggestions
    )


def service_for(request: object) -> str:
    """The endpoint for a request; for one that names no hook of ours that of order signing, which then says so."""
    hook = request.get("hook") if isinstance(request, Mapping) else None
    return next((service for service, of in SERVICES.items() if of == hook), "lenalidomide-order-sign")
