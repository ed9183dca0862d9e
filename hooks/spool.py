"""The spool: what is to be recorded, on this worker's disk before the answer leaves, until the database has it.

Two files take turns: entries are appended to one, a line each, while the other is read. Once the database has all that was
in it, it is emptied and they change places.
"""

from __future__ import annotations

import fcntl
import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from errno import ENOSPC
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import BinaryIO
from uuid import uuid4

_PATTERN = "spool-*.lines"
_REFUSED = "refused.lines"
_AT_ONCE = 500  # entries in memory


class SpoolFullError(OSError):
    """The bound is reached: the entry was not kept."""


class Spool:
    """What waits for the database. Any thread appends; one alone reads and removes. ``OSError`` where the disk fails.

    A file is locked for as long as its worker lives, so a dead worker's is free: whoever looks takes it over, and reads it
    from its beginning. An entry may so come to the database twice.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._most = folder, most_bytes
        self._lock = Lock()
        self._appended, self._spare = _two_made(folder)
        self._read: deque[_File] = deque()
        self._oldest: deque[bytes] = deque()
        self.bytes = 0
        """What counts to the bound: the size of all files, and what was set aside."""
        self.waiting = 0
        """How many entries wait for the database."""

    def append(self, entries: Sequence[str], *, durably: bool = False) -> None:
        """Keep all entries or none: through the death of this process, and ``durably`` through that of the machine.

        No entry has a line break. ``SpoolFullError`` at the bound.
        """
        lines = "".join(f"{entry}\n" for entry in entries).encode()
        with self._lock:
            if self.bytes + len(lines) > self._most:
                raise SpoolFullError
            self._appended.append(lines)
            self.bytes += len(lines)
            self.waiting += len(entries)
            # Forced under a descriptor of its own: a slow disk holds up no answer, and the file may be gone by then.
            descriptor = os.dup(self._appended.descriptor) if durably else None
        if descriptor is not None:
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def oldest(self, most: int) -> list[bytes]:
        """The entries that have waited longest: the same again until they are removed."""
        if not self._oldest:
            self._turn()
            self._read_on()
        return list(islice(self._oldest, most))

    def remove(self, count: int) -> None:
        """Forget the oldest entries: the database has them."""
        for _ in range(count):
            self._oldest.popleft()
        with self._lock:
            self.waiting -= count
        self._read_on()

    def set_aside(self, why: str) -> None:
        """Keep the oldest entry, which the database will never take, for a person to look at; it still counts to the bound."""
        line = b"%s\t%s\n" % (why.encode(), self._oldest[0])
        with (self._folder / _REFUSED).open("ab") as refused:
            refused.write(line)
        with self._lock:
            self.bytes += len(line)
        self.remove(1)

    def adopt_orphans(self) -> None:
        """Take over what workers that died have left in the folder."""
        own = {file.path for file in (self._appended, self._spare, *self._read) if file is not None}
        for path in sorted(set(self._folder.glob(_PATTERN)) - own):
            # One that cannot be read stays where it is.
            with suppress(OSError):
                self._adopt(path)

    def close(self) -> None:
        """Let go of the files; an empty one is removed. Whoever appends from now on is told that it is closed."""
        with self._lock:
            for file in (self._appended, self._spare, *self._read):
                if file is not None:
                    file.close(delete=not file.size)

    def _adopt(self, path: Path) -> None:
        file = _held(path, os.O_RDWR)
        if file is not None:
            count = file.count()
            self._read.append(file)
            with self._lock:
                self.bytes += file.size
                self.waiting += count

    def _turn(self) -> None:
        """Let be read what was appended so far."""
        with self._lock:
            if self._appended.size and self._spare is not None:
                self._read.append(self._appended)
                self._appended, self._spare = self._spare, None

    def _read_on(self) -> None:
        """Have the oldest entries in memory; a file of which there are none left is emptied at once."""
        while self._read and not self._oldest:
            self._oldest.extend(self._read[0].next(_AT_ONCE))
            if not self._oldest:
                self._empty(self._read[0])
                self._read.popleft()

    def _empty(self, file: _File) -> None:
        """Use it again, or remove it where there are two already."""
        size = file.size
        file.empty()
        with self._lock:
            # Only now: a disk that refuses to forget does not widen the bound.
            self.bytes -= size
            if self._spare is None:
                self._spare = file
                return
        file.close(delete=True)


class _File:
    """A file of lines, locked for as long as it is open."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self.descriptor = path, descriptor
        self.size = os.fstat(descriptor).st_size
        self._reader: BinaryIO | None = None

    def append(self, lines: bytes) -> None:
        """All of it, or nothing that would be read."""
        written = os.pwrite(self.descriptor, lines, self.size)
        if written < len(lines):
            # What comes next is written over the half that the disk still took.
            with suppress(OSError):
                os.ftruncate(self.descriptor, self.size)
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        self.size += written

    def next(self, most: int) -> list[bytes]:
        """The lines after those read before; one cut off by the death of its worker or machine is read as it stands."""
        if self._reader is None:
            self._reader = self._from_beginning()
        return [line.rstrip(b"\n") for line in islice(self._reader, most)]

    def count(self) -> int:
        """How many lines there are."""
        with self._from_beginning() as lines:
            return sum(1 for _ in lines)

    def empty(self) -> None:
        os.ftruncate(self.descriptor, 0)
        self.size = 0
        self._stop_reading()

    def close(self, *, delete: bool) -> None:
        self._stop_reading()
        if delete:
            # Before the lock is gone: whoever gets it then sees that nothing is left of the file.
            self.path.unlink(missing_ok=True)
        os.close(self.descriptor)
        # The number may soon be another file's.
        self.descriptor = -1

    def _from_beginning(self) -> BinaryIO:
        reader = os.fdopen(os.dup(self.descriptor), "rb")
        reader.seek(0)
        return reader

    def _stop_reading(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _two_made(folder: Path) -> tuple[_File, _File | None]:
    """Both at once: on a full disk, when there is most to be read, a second one could not be made."""
    first = _made(folder)
    try:
        second = _made(folder)
        _force_names(folder)
    except OSError:
        first.close(delete=True)
        raise
    return first, second


def _made(folder: Path) -> _File:
    """A new file. Whoever looks for orphans may be faster than its lock: then another one."""
    while True:
        file = _held(folder / f"spool-{uuid4()}.lines", os.O_RDWR | os.O_CREAT | os.O_EXCL)
        if file is not None:
            return file


def _held(path: Path, flags: int) -> _File | None:
    """The file, locked; None where another worker holds it, or has just emptied and removed it."""
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file = _File(path, descriptor)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise
    if os.fstat(descriptor).st_nlink == 0:
        os.close(descriptor)
        return None
    return file


def _force_names(folder: Path) -> None:
    """Force the names of new files to the disk: what is forced later would otherwise stand under no name."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
