"""Records decisions and feedback without ever delaying or failing an answer: first the spool, then the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Event, Thread
from time import monotonic
from typing import Any

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from cds.faults import whereabouts
from hooks.decisions import Call, decision_record
from hooks.health import Counted, Health
from hooks.problems import MalformedError, UnrecordedError
from hooks.secrecy import Pseudonyms, Seal, key_of_this_folder
from hooks.settings import Storage
from hooks.spool import Spool, SpoolFullError
from hooks.store import Store, database_fault, entry

_DATABASE, _SPOOL, _RECORD = "database", "spool", "decision record"
_BATCH = 100  # records written at once: more would hold up answers, which share the interpreter
_PROBED_EVERY = 30.0  # seconds between looks at a database that has nothing to do
_PATIENCE = 15.0  # seconds for the last round at the end
_PAUSE = 1.0  # seconds between looks at the spool where nothing comes
_GATHER = 0.5  # seconds in which what comes together is written together
_ADOPTS_EVERY = 100.0  # seconds between looks for what workers that died have left
# What is wrong with the record itself: trying it again would only hold up the others.
_NEVER_TAKEN = (DataError, IntegrityError, MalformedError, KeyError, TypeError, ValueError)


class Recorder:
    """One worker's records. ``close`` writes what still waits, as far as the database answers.

    A database that has neither taken nor refused records for ``stalled_after`` seconds is told to ``health``.
    """

    def __init__(self, storage: Storage, health: Health, *, stalled_after: float = 60.0) -> None:
        self._stalled_after = stalled_after
        self._storage, self._health = storage, health
        with suppress(OSError):
            # A disk that cannot be written is told when the spool is opened.
            storage.make_folder()
        self._pseudonyms = Pseudonyms(storage.pseudonym_key or key_of_this_folder(storage.folder))
        self._seal = Seal(storage.request_keys) if storage.request_keys else None
        self._store = Store(storage.database_url)
        self._is_migrated = not storage.migrates
        self._spool: Spool | None = None
        self._open_spool()
        self._stopping, self._has_work = Event(), Event()
        self._round_began: float | None = None
        self._next_probe = self._next_adoption = 0.0
        self._thread = Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def decision(self, call: Call) -> None:
        """Keep a decision. Where it cannot be kept it is dropped, counted and alarmed; the answer leaves all the same."""
        try:
            record = decision_record(call, self._pseudonyms, self._seal)
            self._append([record], durably=False)
            self._health.works(_RECORD)
        except OSError as error:
            self._health.count(Counted.DECISIONS_DROPPED)
            self._health.fails(_SPOOL, _spool_fault(error))
        except Exception as error:  # noqa: BLE001 -- a record never fails an answer
            self._health.count(Counted.DECISIONS_DROPPED)
            self._health.fails(_RECORD, f"could not be made: {whereabouts(error)}")

    def feedback(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Keep feedback durably. ``UnrecordedError`` where that is not possible: the client may send it again."""
        try:
            self._append(records, durably=True)
        except OSError as error:
            self._health.count(Counted.FEEDBACK_NOT_RECORDED, by=len(records))
            self._health.fails(_SPOOL, _spool_fault(error))
            raise UnrecordedError("feedback", "could not be recorded; send it again later") from None

    @property
    def waiting(self) -> int | None:
        """How many records wait for the database; None where there is no spool."""
        self._tell_stall()
        return None if self._spool is None else self._spool.waiting

    @property
    def spool_bytes(self) -> int:
        """The size of what is kept for the database."""
        return 0 if self._spool is None else self._spool.bytes

    def close(self) -> None:
        """Write what still waits, if the database answers; the rest stays in the spool for the next worker."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._has_work.set()
        self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            # The database neither answers nor refuses. What is in the spool's file is taken over by the next worker.
            return
        self._store.close()
        if self._spool is not None:
            self._spool.close()

    def _append(self, records: Sequence[Mapping[str, Any]], *, durably: bool) -> None:
        if self._spool is None:
            msg = "the spool's folder cannot be written"
            raise OSError(msg)
        self._spool.append([entry(record) for record in records], durably=durably)
        self._has_work.set()

    def _run(self) -> None:
        while True:
            self._has_work.wait(_PAUSE)
            is_last = self._stopping.wait(_GATHER)
            self._has_work.clear()
            self._round_began = monotonic()
            try:
                self._round()
            except OSError as error:
                self._health.fails(_SPOOL, _spool_fault(error))
            except Exception as error:  # noqa: BLE001 -- nobody else would notice that this thread died
                self._health.fails("recorder", whereabouts(error))
            self._round_began = None
            if is_last:
                return

    def _tell_stall(self) -> None:
        """Told by who asks: the thread itself is the one that waits."""
        began = self._round_began
        if began is not None and monotonic() - began > self._stalled_after:
            self._health.fails(_DATABASE, f"has not answered for {monotonic() - began:.0f} seconds")

    def _round(self) -> None:
        if self._spool is None:
            self._open_spool()
        spool = self._spool
        if spool is None:
            return
        if monotonic() >= self._next_adoption:
            self._next_adoption = monotonic() + _ADOPTS_EVERY
            spool.adopt_orphans()
        # What comes meanwhile is written with what comes after it, in the next round.
        left = spool.waiting
        # One record is enough to see whether a database is back.
        while left > 0 and (entries := spool.oldest(1 if _DATABASE in self._health.degraded else _BATCH)):
            if not self._is_drained(spool, entries):
                # A database that is down is not asked again for each answer.
                self._stopping.wait(_PAUSE)
                return
            left -= len(entries)
        self._probe(spool)
        self._health.works(_SPOOL)
        self._health.works("recorder")

    def _probe(self, spool: Spool) -> None:
        """Look at the database while there is nothing to write, so that a fault shows before it is needed."""
        if monotonic() >= self._next_probe and not self._stopping.is_set():
            self._next_probe = monotonic() + (_PROBED_EVERY if self._is_drained(spool, ()) else _PAUSE)

    def _is_drained(self, spool: Spool, entries: Sequence[bytes]) -> bool:
        """Whether the entries are out of the spool; without any, whether they could be."""
        try:
            self._migrate()
            if entries:
                self._write(spool, entries)
            else:
                self._store.check()
        except SQLAlchemyError as error:
            self._health.fails(_DATABASE, database_fault(error))
            return False
        self._health.works(_DATABASE)
        return True

    def _write(self, spool: Spool, entries: Sequence[bytes]) -> None:
        """All at once; one by one where one of them is to blame."""
        try:
            self._store.write(entries)
        except _NEVER_TAKEN as error:
            if len(entries) > 1:
                for one in entries:
                    self._write(spool, [one])
                return
            spool.set_aside(type(error).__name__)
            self._health.count(Counted.RECORDS_REFUSED)
            self._health.fails("records", "the database refused some; they are kept beside the spool")
            return
        spool.remove(len(entries))
        self._health.count(Counted.RECORDS_WRITTEN, by=len(entries))

    def _migrate(self) -> None:
        if not self._is_migrated:
            # Alembic is of no use to a worker whose schema is current, and takes a while to import.
            from hooks.migrations import migrate  # noqa: PLC0415

            migrate(self._store.engine)
            self._is_migrated = True

    def _open_spool(self) -> None:
        folder = self._storage.folder / "spool"
        try:
            self._spool = Spool(folder, self._storage.spool_bytes)
        except OSError as error:
            self._health.fails(_SPOOL, f"cannot be opened in {folder}: {type(error).__name__}")


def _spool_fault(error: Exception) -> str:
    return "full" if isinstance(error, SpoolFullError) else f"cannot be used: {type(error).__name__}"
