"""Which tokens were used: each is good for one call, whichever worker or machine it comes to."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from json import dumps
from math import ceil
from pathlib import Path
from threading import Lock
from time import time  # noqa: TID251 -- when a token expires is said by the clock on the wall
from typing import Protocol

from hooks.breaker import Breaker
from hooks.health import Counted, Health, one_line
from hooks.settings import SettingsError, Tokens

Clock = Callable[[], float]

_PART = "used tokens store"
# Seconds: the clocks of several machines that share a store are not quite the same.
_MARGIN = 60
_PURGED_EVERY = 60
_PATIENCE = 0.2
_PATIENCE_TO_OPEN = 2.0


class UsedTokens:
    """Remembers ``(issuer, token id)`` until it expires, in the worker's memory and in the store shared with others, if any.

    While the store cannot be reached the memory answers alone, which is counted and told to ``health``.
    """

    def __init__(
        self, store: _Store | None, health: Health, *, breaker: Breaker | None = None, clock: Clock = time
    ) -> None:
        self._store, self._health, self._clock = store, health, clock
        self._breaker = breaker or Breaker()
        self._memory = _Memory()

    def is_first_use(self, issuer: str, token_id: str, expires_at: float) -> bool:
        """Whether nobody asked of this token before. ``expires_at``: from when on it is refused anyway, in epoch seconds."""
        name = sha256(dumps([issuer, token_id]).encode()).hexdigest()
        until, now = expires_at + _MARGIN, self._clock()
        return self._memory.add(name, until, now) and self._is_new_to_others(name, until, now)

    def _is_new_to_others(self, name: str, until: float, now: float) -> bool:
        if self._store is None:
            return True
        if self._breaker.allows():
            try:
                is_new = self._store.add(name, until, now)
            except _StoreError as error:
                self._breaker.failed()
                self._health.fails(_PART, str(error))
            else:
                self._breaker.worked()
                self._health.works(_PART)
                return is_new
        self._health.count(Counted.TOKENS_IN_MEMORY)
        return True


def used_tokens(tokens: Tokens, folder: Path | None, health: Health, *, clock: Clock = time) -> UsedTokens:
    """Shared through Redis where it is configured, else through a file in the folder, else the worker's memory alone."""
    if tokens.redis_url is not None:
        return UsedTokens(_RedisStore(tokens.redis_url), health, clock=clock)
    return UsedTokens(_SqliteStore(folder / "used-tokens.sqlite") if folder else None, health, clock=clock)


class _StoreError(Exception):
    """The store cannot be asked; the message holds no secret."""


class _Store(Protocol):
    def add(self, name: str, until: float, now: float) -> bool:
        """Whether the name was not there; it is now. ``_StoreError`` where that cannot be told."""


class _Memory:
    def __init__(self) -> None:
        self._lock = Lock()
        self._until: dict[str, float] = {}
        self._next_purge = 0.0

    def add(self, name: str, until: float, now: float) -> bool:
        with self._lock:
            if now >= self._next_purge:
                self._until = {name: until for name, until in self._until.items() if until > now}
                self._next_purge = now + _PURGED_EVERY
            is_new = self._until.get(name, now) <= now
            if is_new:
                self._until[name] = until
            return is_new


class _SqliteStore:
    """One file for the workers of one machine."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._next_purge = 0.0

    def add(self, name: str, until: float, now: float) -> bool:
        if not self._lock.acquire(timeout=_PATIENCE):
            raise _StoreError(f"{self._file}: other requests are waiting for it")
        try:
            return self._add(name, until, now)
        except (OSError, sqlite3.Error) as error:
            # One that another process holds up for a while is kept: to open it anew takes longer than to ask it again.
            if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
                self._close()
            raise _StoreError(f"{self._file}: {one_line(error)}") from error
        finally:
            self._lock.release()

    def _add(self, name: str, until: float, now: float) -> bool:
        if self._connection is None:
            self._connection = _opened(self._file)
        if now >= self._next_purge:
            self._connection.execute("DELETE FROM used_tokens WHERE until <= ?", (now,))
            self._next_purge = now + _PURGED_EVERY
        # One statement decides, so that of several workers exactly one is the first.
        return (
            self._connection.execute(
                "INSERT INTO used_tokens (name, until) VALUES (:name, :until)"
                " ON CONFLICT (name) DO UPDATE SET until = :until WHERE used_tokens.until <= :now",
                {"name": name, "until": until, "now": now},
            ).rowcount
            == 1
        )

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


def _opened(file: Path) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True)
    # More patience than later: when all workers start at once, they make the file together.
    connection = sqlite3.connect(file, timeout=_PATIENCE_TO_OPEN, isolation_level=None, check_same_thread=False)
    try:
        # The mode belongs to the file: where this fails, another worker is just setting it.
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(
            "BEGIN IMMEDIATE;"
            "CREATE TABLE IF NOT EXISTS used_tokens (name TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;"
            "CREATE INDEX IF NOT EXISTS used_tokens_until ON used_tokens (until);"
            "COMMIT"
        )
        connection.execute(f"PRAGMA busy_timeout = {round(_PATIENCE * 1000)}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


class _RedisStore:
    """For the workers of several machines."""

    def __init__(self, url: str) -> None:
        # Only who uses it pays for it: it takes a tenth of a second at the start.
        from redis import Redis, RedisError  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415

        self._faults = (OSError, RedisError)
        # One try: a repeated SET would find what the first one, whose answer was lost, has left.
        try:
            self._redis = Redis.from_url(
                url,
                protocol=2,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=_PATIENCE,
                socket_connect_timeout=_PATIENCE,
                socket_keepalive=True,
            )
            # Without connecting: options of the URL that do not exist are found now and not at the first token.
            self._redis.connection_pool.make_connection()
        except (TypeError, ValueError):
            msg = "CDS_REDIS_URL cannot be read, expected redis:// or rediss://, reserved characters percent-encoded"
            raise SettingsError(msg) from None

    def add(self, name: str, until: float, now: float) -> bool:
        try:
            return bool(
                self._redis.set(f"lenalidomide-cds:used-token:{name}", "1", nx=True, ex=max(1, ceil(until - now)))
            )
        except self._faults as error:
            # The server's own words may repeat what was sent to it, a password among them.
            raise _StoreError(f"Redis: {type(error).__name__}") from None
