"""Commands on what was recorded: replay, report, migrate, and a key for keeping requests."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, tzinfo

from sqlalchemy.exc import SQLAlchemyError

from cds.protocol import read_protocols
from hooks.configuration import hospital_client, storage
from hooks.migrations import migrate
from hooks.overrides import override_report
from hooks.problems import Problem
from hooks.replaying import NotKeptError, Replay, replay
from hooks.secrecy import Pseudonyms, Seal, existing_key, new_key
from hooks.settings import CommandError, Storage
from hooks.store import Decision, Store, database_fault, shown_url
from hooks.tables import as_csv, as_text
from hooks.wire import encode

_IDENTICAL, _DIFFERENT = 0, 1
_HEADS = ("decision", "at", "client", "hook", "patient", "protocol", "outcome", "rules")
_PERCENT = 100


def replay_decision(options: argparse.Namespace) -> int:
    """Evaluate a decision again: 0 for the same bytes, 1 for a difference."""
    place = storage(options.config)
    with _store(place) as store:
        decision = store.decision(options.id)
    if decision is None:
        msg = f"no decision and no card '{options.id}' is on record in {shown_url(place.database_url)}"
        raise CommandError(msg)
    print("\n".join(_heading(decision)))
    try:
        again = replay(
            decision,
            _seal(place),
            hospital_client(options.config),
            protocol=options.protocol,
            protocols=None if options.protocols is None else read_protocols(options.protocols),
        )
    except (NotKeptError, Problem) as error:
        raise CommandError(str(error)) from None
    print("\n".join(_outcome(again)))
    return _IDENTICAL if again.is_identical else _DIFFERENT


def _heading(decision: Decision) -> Iterator[str]:
    document = decision.document
    yield f"Decision {decision.id} of {decision.at.isoformat(timespec='seconds')}"
    yield f"  {document['hook']} of client {document['client']}, patient {document['patient']}, {document['outcome']}"
    yield f"  {document['protocol']} {document['protocol_version']}, software {document['software']}"
    for card in document["cards"]:
        yield f"  {card['indicator'].upper()}  {card['summary']}  [{card['rule']}]"


def _outcome(again: Replay) -> Iterator[str]:
    yield from again.reasons
    if again.is_identical:
        yield f"The answer is byte-identical ({len(again.recorded.encode())} bytes)."
    else:
        yield "The answer differs:"
        yield from again.difference()


def report_overrides(options: argparse.Namespace) -> int:
    """Print the override report."""
    zone = hospital_client(options.config).time_zone
    with _store(storage(options.config)) as store:
        report = override_report(
            store,
            since=_start(options.since, zone),
            until=_start(options.until, zone),
            zone=zone,
            rate=options.above / _PERCENT,
            at_least=options.at_least,
        )
    match options.format:
        case "json":
            print(encode(report.as_json()))
        case "csv":
            print(report.as_csv())
        case _:
            print(report.as_text())
    return 0


def report_decisions(options: argparse.Namespace) -> int:
    """Print which decisions were made."""
    zone, place = hospital_client(options.config).time_zone, storage(options.config)
    with _store(place) as store:
        decisions = store.decisions(
            since=_start(options.since, zone),
            until=_start(options.until, zone),
            client=options.client,
            patient=_pseudonym(options, place),
        )
    rows = [_row(decision, zone) for decision in decisions]
    match options.format:
        case "json":
            print(encode({"decisions": [dict(zip(_HEADS, row, strict=True)) for row in rows]}))
        case "csv":
            print(as_csv(_HEADS, rows))
        case _:
            print(as_text(_HEADS, rows))
    return 0


def _row(decision: Decision, zone: tzinfo) -> tuple[object, ...]:
    document = decision.document
    rules = ", ".join(card["rule"] for card in document["cards"])
    at = decision.at.astimezone(zone).isoformat(timespec="seconds")
    columns = (document[name] for name in ("client", "hook", "patient", "protocol", "outcome"))
    return (decision.id, at, *columns, rules)


def migrate_database(options: argparse.Namespace) -> int:
    """Bring the database to the schema of this version."""
    place = storage(options.config)
    place.make_folder()
    with _store(place) as store:
        is_ours = migrate(store.engine)
    schema = "the schema of this version" if is_ours else "the schema of a later version, which this one can use"
    print(f"{shown_url(place.database_url)} has {schema}.")
    return 0


def print_new_key(_options: argparse.Namespace) -> int:
    """Print a key for keeping requests."""
    print(new_key())
    return 0


@contextmanager
def _store(place: Storage) -> Iterator[Store]:
    """The database, with what goes wrong in one sentence."""
    try:
        store = Store(place.database_url)
        yield store
    except SQLAlchemyError as error:
        msg = f"{shown_url(place.database_url)} cannot be used ({database_fault(error)}); is it there, and migrated?"
        raise CommandError(msg) from None
    store.close()


def _seal(place: Storage) -> Seal | None:
    return Seal(place.request_keys) if place.request_keys else None


def _pseudonym(options: argparse.Namespace, place: Storage) -> str | None:
    """A patient's name in the records; never by a key made for the question."""
    if options.patient is None:
        return None
    if options.client is None:
        msg = "--patient needs --client: clients know patients by ids of their own"
        raise CommandError(msg)
    key = place.pseudonym_key or existing_key(place.folder)
    if key is None:
        msg = f"CDS_PSEUDONYM_KEY is not set, and there is no key in {place.folder}: patients are recorded under it"
        raise CommandError(msg)
    return Pseudonyms(key).of(options.client, options.patient.removeprefix("Patient/"))


def _start(day: date | None, zone: tzinfo) -> datetime | None:
    """The first instant of a day in the organisation's zone."""
    return None if day is None else datetime.combine(day, time(), zone)
