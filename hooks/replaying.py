"""Evaluating a recorded decision again: the same bytes, or what differs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import unified_diff
from typing import Any

from cds.protocol import Protocol
from hooks.answering import answered
from hooks.clients import Client
from hooks.decisions import client_of, digest, software_version
from hooks.for_reading import cards_as_text
from hooks.secrecy import Seal
from hooks.store import Decision
from hooks.wire import encode


class NotKeptError(Exception):
    """The request of a decision was not kept, so it cannot be evaluated again."""


@dataclass(frozen=True)
class Replay:
    """A decision evaluated again: what was recorded, what it would be now, and why it could be another."""

    recorded: str
    repeated: str
    reasons: tuple[str, ...]
    answer_digest: str

    @property
    def is_identical(self) -> bool:
        """Byte for byte what left at the decision."""
        return self.recorded == self.repeated and digest(self.recorded) == self.answer_digest

    def difference(self) -> Iterator[str]:
        """The difference as a person reads the cards; where these are equal, of the JSON."""
        texts = [_as_read(json.loads(text)) for text in (self.recorded, self.repeated)]
        if texts[0] == texts[1]:
            texts = [
                json.dumps(json.loads(text), indent=1, ensure_ascii=False) for text in (self.recorded, self.repeated)
            ]
        old, new = (text.splitlines() for text in texts)
        return unified_diff(old, new, "recorded", "replayed", lineterm="")


def replay(
    decision: Decision,
    seal: Seal | None,
    today: Client,
    *,
    protocol: str | None = None,
    protocols: Mapping[str, Protocol] | None = None,
) -> Replay:
    """Evaluate a decision again, with another protocol or other protocol files where given.

    ``today`` supplies the hospital's own codes. ``NotKeptError`` without a kept request, ``SealError`` without its key.
    """
    if decision.sealed is None:
        msg = "its request was not kept (CDS_REQUEST_KEYS was not set), so it cannot be evaluated again"
        raise NotKeptError(msg)
    if seal is None:
        msg = "CDS_REQUEST_KEYS is not set, so its request cannot be read"
        raise NotKeptError(msg)
    kept = seal.opened(decision.sealed)
    client = client_of(kept["client"], today)
    again = answered(
        kept["request"],
        now=datetime.fromisoformat(kept["now"]).astimezone(client.time_zone),
        protocol=protocol,
        explain=kept["explain"],
        service=decision.document["service"],
        client=client,
        protocols=protocols,
    )
    return Replay(
        kept["answer"],
        encode(again.response),
        tuple(_reasons(decision.document, again.evaluation.protocol, kept["answer"])),
        decision.document["answer_digest"],
    )


def _as_read(response: Mapping[str, Any]) -> str:
    return cards_as_text(dict(response)) if response["cards"] else "No card."


def _reasons(document: Mapping[str, Any], protocol: Protocol, recorded: str) -> Iterator[str]:
    """What is another today than at the decision."""
    if digest(recorded) != document["answer_digest"]:
        yield "the kept answer is not the one recorded"
    was = (document["protocol"], document["protocol_version"])
    if was != (protocol.id, protocol.full_version):
        yield f"protocol: was {' '.join(was)}, is {protocol.id} {protocol.full_version}"
    elif document["protocol_digest"] != protocol.digest:
        yield f"protocol: numbers of {protocol.id} {protocol.full_version} have changed"
    if document["software"] != software_version():
        yield f"software: was {document['software']}, is {software_version()}"
