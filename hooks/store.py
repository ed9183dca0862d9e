"""The database of decisions and feedback: SQLite or PostgreSQL, append-only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    URL,
    Column,
    DateTime,
    Dialect,
    Engine,
    Float,
    ForeignKey,
    Index,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    create_engine,
    event,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.exc import ArgumentError, OperationalError, ProgrammingError, SQLAlchemyError

from hooks.health import one_line
from hooks.settings import CommandError
from hooks.wire import decode, encode_received

_SQLITE = "sqlite"
_POSTGRESQL = {"postgres", "postgresql", "postgresql+psycopg"}
_WAIT = 5  # seconds for a connection or a lock
_LONGEST_STATEMENT = 30_000  # milliseconds


class Instant(TypeDecorator[datetime]):
    """An aware time, in UTC; SQLite forgets zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 -- SQLAlchemy's
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 -- as above
        return None if value is None else (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))


METADATA = MetaData()
DECISION = Table(
    "decision",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("at", Instant, nullable=False),
    Column("client", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("hook", Text, nullable=False),
    Column("hook_instance", Text, nullable=False),
    Column("patient", String(32), nullable=False),
    Column("protocol", Text, nullable=False),
    Column("protocol_version", Text, nullable=False),
    Column("protocol_digest", Text, nullable=False),
    Column("software", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("milliseconds", Float, nullable=False),
    Column("answer_digest", String(64), nullable=False),
    Column("document", Text, nullable=False),
    Column("sealed", Text),
    Index("decision_at", "at"),
    Index("decision_patient", "patient"),
)
CARD = Table(
    "card",
    METADATA,
    Column("decision", String(36), ForeignKey("decision.id"), primary_key=True),
    Column("uuid", String(36), primary_key=True),
    Column("advice", String(36), nullable=False),
    Column("rule", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("indicator", Text, nullable=False),
    Index("card_uuid", "uuid"),
    Index("card_advice", "advice"),
)
FEEDBACK = Table(
    "feedback",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("received", Instant, nullable=False),
    Column("at", Instant, nullable=False),
    Column("client", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("card", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text),
    Column("document", Text, nullable=False),
    Index("feedback_card", "card"),
)
_NAMES = {table: tuple(table.columns.keys()) for table in (DECISION, CARD, FEEDBACK)}


class StoreError(CommandError):
    """A database that cannot be named or reached, in words without secrets."""


@dataclass(frozen=True)
class Decision:
    """One decision as recorded; ``document`` is its content as JSON, ``sealed`` the encrypted request where it was kept."""

    id: str
    at: datetime
    document: Mapping[str, Any]
    sealed: str | None


class Store:
    """Decisions and feedback in one database. Writing the same again changes nothing."""

    def __init__(self, url: str) -> None:
        """``StoreError`` where the URL cannot be used; no connection is made yet."""
        self.engine = _engine(_url(url))

    def write(self, entries: Sequence[bytes]) -> None:
        """All records, as ``entry`` made them; or none where the database fails."""
        rows: dict[Table, list[dict[str, Any]]] = {table: [] for table in METADATA.sorted_tables}
        for text in entries:
            for table, row in _rows(text):
                rows[table].append(row)
        with self.engine.begin() as connection:
            for table, of_table in rows.items():
                if of_table:
                    connection.execute(self._insert(table), of_table)

    def check(self) -> None:
        """Raise as ``write`` would where the database, or its schema, is not there."""
        with self.reading() as connection:
            for table in METADATA.sorted_tables:
                connection.execute(select(table).limit(0))

    def decision(self, identifier: str) -> Decision | None:
        """The decision of an id, or the latest one that showed a card of this uuid."""
        shown = select(CARD.c.decision).where(CARD.c.uuid == identifier)
        query = (
            select(DECISION.c.id, DECISION.c.at, DECISION.c.document, DECISION.c.sealed)
            .where((DECISION.c.id == identifier) | DECISION.c.id.in_(shown))
            .order_by(DECISION.c.at.desc())
            .limit(1)
        )
        with self.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else Decision(row.id, row.at, json.loads(row.document), row.sealed)

    def decisions(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        client: str | None = None,
        patient: str | None = None,
    ) -> list[Decision]:
        """Decisions from ``since`` until before ``until``, newest first; of one client or patient's pseudonym, where given."""
        query = select(DECISION.c.id, DECISION.c.at, DECISION.c.document).order_by(DECISION.c.at.desc(), DECISION.c.id)
        query = query.where(DECISION.c.at >= since) if since is not None else query
        query = query.where(DECISION.c.at < until) if until is not None else query
        query = query.where(DECISION.c.client == client) if client is not None else query
        query = query.where(DECISION.c.patient == patient) if patient is not None else query
        with self.reading() as connection:
            return [Decision(row.id, row.at, json.loads(row.document), None) for row in connection.execute(query)]

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read from."""
        with self.engine.connect() as connection:
            yield connection

    def close(self) -> None:
        self.engine.dispose()

    def _insert(self, table: Table) -> Any:
        insert = sqlite.insert if self.engine.dialect.name == _SQLITE else postgresql.insert
        return insert(table).on_conflict_do_nothing()


def shown_url(url: str) -> str:
    """A database's URL without secrets: its options may hold some too. ``StoreError`` where it cannot be used."""
    return _url(url).set(query={}).render_as_string(hide_password=True)


def database_fault(error: SQLAlchemyError) -> str:
    """What went wrong, in the driver's words where these hold no data: about the connection and the schema."""
    original = getattr(error, "orig", None) or error
    told = isinstance(error, OperationalError | ProgrammingError)
    return f"{type(original).__name__}: {one_line(str(original).splitlines()[0])}" if told else type(original).__name__


def entry(record: Mapping[str, Any]) -> str:
    """A record as one line of text: its document, which is stored as it stands; before it the sealed request, if any."""
    document = encode_received({name: value for name, value in record.items() if name != "sealed"})
    sealed = record.get("sealed")
    # What is cut off at its end is so never taken for whole.
    return document if sealed is None else f"{sealed}\t{document}"


def _rows(text: bytes) -> Iterator[tuple[Table, dict[str, Any]]]:
    """The rows of one entry by table."""
    sealed, _, document = text.decode().rpartition("\t")
    record = decode(document)
    if record["record"] == "feedback":
        times = {"at": _instant(record["at"]), "received": _instant(record["received"])}
        yield FEEDBACK, {**_columns(FEEDBACK, record), **times, "document": document}
        return
    yield (
        DECISION,
        {
            **_columns(DECISION, record),
            "at": _instant(record["at"]),
            "milliseconds": float(record["milliseconds"]),
            "document": document,
            "sealed": sealed or None,
        },
    )
    for card in {card["uuid"]: card for card in record["cards"]}.values():
        yield CARD, {**_columns(CARD, card), "decision": record["id"]}


def _columns(table: Table, record: Mapping[str, Any]) -> dict[str, Any]:
    """The members that are columns, without what no database keeps in a text."""
    return {name: _clean(record[name]) for name in _NAMES[table] if name in record}


def _clean(value: Any) -> Any:
    if not isinstance(value, str) or value.isprintable():
        return value
    return value.encode("utf-8", "replace").decode().replace("\0", "�")


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _url(text: str) -> URL:
    """What is wrong with a URL is told without a part of it: any part may be a piece of a misplaced password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = None
    if url is not None and url.drivername in _POSTGRESQL and "@" not in (url.host or ""):
        return url.set(drivername="postgresql+psycopg")
    if url is not None and url.drivername == _SQLITE and not (url.host or url.username):
        return url
    msg = (
        "DATABASE_URL cannot be read, expected postgresql://user:password@host/database or sqlite:////folder/file, "
        "reserved characters percent-encoded"
    )
    raise StoreError(msg)


def _engine(url: URL) -> Engine:
    if url.drivername != _SQLITE:
        # A connection that the server closed is noticed before it is used; a statement that hangs ends.
        # One that has silently gone is given up by the network's own means.
        options = {
            "connect_timeout": _WAIT,
            "options": f"-c statement_timeout={_LONGEST_STATEMENT}",
            "tcp_user_timeout": _WAIT * 1000,
            "keepalives_idle": _WAIT,
            "keepalives_interval": _WAIT,
            "keepalives_count": 2,
        }
        return create_engine(url, pool_pre_ping=True, pool_size=2, max_overflow=2, connect_args=options)
    engine = create_engine(url, connect_args={"timeout": _WAIT})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")

    return engine
