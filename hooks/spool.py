"""The spool: what is to be recorded, on this worker's disk before the answer leaves, until the database has it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS refused (id INTEGER PRIMARY KEY, why TEXT NOT NULL, body TEXT NOT NULL);
"""
_PATTERN = "spool-*.sqlite"
_BESIDE = ("-wal", "-journal", "-shm")
_LEFT = "SELECT (SELECT count(*) FROM entry) + (SELECT count(*) FROM refused)"
_AT_ONCE = 50


class SpoolFullError(Exception):
    """The bound is reached: the entry was not kept."""


@dataclass(frozen=True)
class Entry:
    """One thing to be recorded: its number in the spool, its content, and the bytes it takes."""

    id: int
    body: dict[str, Any]
    bytes: int


class Spool:
    """One file that this worker alone holds; the file of a worker that died is taken over by whoever starts next.

    A held file is locked by SQLite itself, so a dead worker's is free. Raises ``sqlite3.Error`` where the disk fails.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._most = most_bytes
        self._lock = Lock()
        self._file = folder / f"spool-{uuid4()}.sqlite"
        self._connection = _held(self._file)
        self._bytes = 0

    def append(self, bodies: Sequence[Mapping[str, Any]], *, durably: bool = False) -> None:
        """Keep all entries or none: through the death of this process, and ``durably`` through that of the machine.

        ``SpoolFullError`` at the bound.
        """
        texts = [(json.dumps(body, ensure_ascii=True, separators=(",", ":")),) for body in bodies]
        size = _length(texts)
        with self._lock:
            if self._bytes + size > self._most:
                raise SpoolFullError
            self._insert(texts, durably=durably)
            self._bytes += size

    def oldest(self, most: int) -> list[Entry]:
        """The entries that have waited longest."""
        with self._lock:
            rows = self._connection.execute("SELECT id, body FROM entry ORDER BY id LIMIT ?", (most,)).fetchall()
        return [Entry(number, json.loads(text), len(text)) for number, text in rows]

    def remove(self, entries: Sequence[Entry]) -> None:
        """Forget entries that the database has."""
        with self._lock:
            with self._connection:
                self._connection.executemany("DELETE FROM entry WHERE id = ?", [(entry.id,) for entry in entries])
            # Only now are they gone: a full disk refuses deletions too.
            self._bytes -= sum(entry.bytes for entry in entries)

    def set_aside(self, entry: Entry, why: str) -> None:
        """Keep an entry that the database will never take, out of the way of the others; it still counts to the bound."""
        with self._lock, self._connection:
            self._connection.execute(
                "INSERT INTO refused (id, why, body) SELECT id, ?, body FROM entry WHERE id = ?", (why, entry.id)
            )
            self._connection.execute("DELETE FROM entry WHERE id = ?", (entry.id,))

    @property
    def waiting(self) -> int:
        """How many entries wait for the database."""
        with self._lock:
            return int(self._connection.execute("SELECT count(*) FROM entry").fetchone()[0])

    @property
    def refused(self) -> int:
        """How many entries the database would not take."""
        with self._lock:
            return int(self._connection.execute("SELECT count(*) FROM refused").fetchone()[0])

    def adopt_orphans(self) -> int:
        """Take over what workers that died have left in the folder; the number of entries taken."""
        adopted = 0
        for file in sorted(self._file.parent.glob(_PATTERN)):
            if file == self._file:
                continue
            # Its worker lives; or it is not a database any more, and stays where it is for someone to look at.
            with suppress(sqlite3.DatabaseError):
                adopted += self._adopt(file)
        return adopted

    def close(self) -> None:
        """Let go of the file; an empty one is removed. Whoever appends from now on is told that it is closed."""
        with self._lock:
            (left,) = self._connection.execute(_LEFT).fetchone()
            self._connection.close()
            if not left:
                _delete(self._file)

    def _adopt(self, file: Path) -> int:
        adopted = 0
        with closing(_held(file)) as orphan:
            while entries := orphan.execute("SELECT id, body FROM entry ORDER BY id LIMIT ?", (_AT_ONCE,)).fetchall():
                texts = [(text,) for _, text in entries]
                # Piece by piece, so that answers get in between; also beyond the bound, which the dead worker kept.
                with self._lock:
                    self._insert(texts, durably=True)
                    self._bytes += _length(texts)
                with orphan:
                    orphan.executemany("DELETE FROM entry WHERE id = ?", [(number,) for number, _ in entries])
                adopted += len(entries)
            is_empty = not orphan.execute("SELECT count(*) FROM refused").fetchone()[0]
        if is_empty:
            _delete(file)
        return adopted

    def _insert(self, texts: Sequence[tuple[str]], *, durably: bool) -> None:
        self._connection.execute(f"PRAGMA synchronous = {'FULL' if durably else 'NORMAL'}")
        with self._connection:
            self._connection.executemany("INSERT INTO entry (body) VALUES (?)", texts)


def _held(file: Path) -> sqlite3.Connection:
    """The file, locked for as long as the connection lives; OperationalError where another worker holds it."""
    connection = sqlite3.connect(file, timeout=0, check_same_thread=False)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_SCHEMA)
        with connection:
            # The lock is taken by the first write.
            connection.execute("DELETE FROM entry WHERE id < 0")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _length(texts: Sequence[tuple[str]]) -> int:
    return sum(len(text) for (text,) in texts)


def _delete(file: Path) -> None:
    for name in (file.name, *(file.name + suffix for suffix in _BESIDE)):
        with suppress(OSError):
            (file.parent / name).unlink(missing_ok=True)
