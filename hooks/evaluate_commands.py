"""Commands that need no server and keep nothing: evaluate, discovery, lint, catalogue."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import datetime, tzinfo
from pathlib import Path

from cds.catalogue import check_catalogue, write_catalogue
from cds.terminology import load_terminology
from hooks.answering import answer
from hooks.circumstances import NOW, as_told, parse_now, told
from hooks.clients import Client
from hooks.configuration import hospital_client
from hooks.discovery import discovery
from hooks.for_reading import cards_as_text
from hooks.prefetch import templates
from hooks.problems import MalformedError, Problem, operation_outcome
from hooks.wire import decode, encode


def evaluate(options: argparse.Namespace) -> int:
    """Answer requests from files or standard input."""
    client = hospital_client(options.config)
    refused = False
    for text in _request_texts(options):
        try:
            print(_answered(text, options, client))
        except Problem as problem:
            refused = True
            print(encode(operation_outcome(problem)))
    return 2 if refused else 0


def print_discovery(options: argparse.Namespace) -> int:
    """Print the discovery document, or its prefetch queries one a line."""
    terminology = hospital_client(options.config).terminology or load_terminology()
    if options.templates:
        for key, query in templates(terminology).items():
            print(f"{key}\t{query}")
        return 0
    print(encode(discovery(terminology)))
    return 0


def lint(options: argparse.Namespace) -> int:
    """Say what is not valid FHIR R4."""
    # The models take a second to import, and no other command needs them.
    from hooks.lint import lint_file  # noqa: PLC0415

    complaints = [complaint for name in options.files for complaint in lint_file(Path(name))]
    print("\n".join(complaints) if complaints else "Valid FHIR R4 as far as this check goes.")
    return 2 if complaints else 0


def catalogue(options: argparse.Namespace) -> int:
    """Write the catalogue pages, or compare them."""
    if not options.check:
        write_catalogue(options.folder)
        return 0
    stale = check_catalogue(options.folder)
    print("\n".join(stale) if stale else "The catalogue pages are current.")
    return 2 if stale else 0


def _request_texts(options: argparse.Namespace) -> Iterator[bytes]:
    sources = [Path(name).read_bytes() for name in options.files] or [sys.stdin.buffer.read()]
    for source in sources:
        yield from (line for line in source.splitlines() if line.strip()) if options.ndjson else (source,)


def _answered(text: bytes, options: argparse.Namespace, client: Client) -> str:
    document = decode(text)
    if not isinstance(document, dict):
        raise MalformedError("body", "expected a JSON object")
    response = answer(
        document,
        now=_now(document, options.now, client.time_zone),
        protocol=options.protocol,
        explain=True,
        client=as_told(document, client),
    )
    return cards_as_text(response) if options.cards else encode(response)


def _now(document: dict[str, object], named: str | None, zone: tzinfo) -> datetime:
    """The command line's now, else the request's, else the clock's."""
    if named is not None:
        return parse_now(named, zone, "--now")
    own = told(document, NOW)
    return parse_now(own, zone) if own is not None else datetime.now(zone)
