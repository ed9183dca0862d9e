"""The folder in which the workers of one service keep their metrics, so that any of them can answer for all."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from itertools import count
from pathlib import Path
from tempfile import mkdtemp

from prometheus_client import CollectorRegistry, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

_SETTING = "PROMETHEUS_MULTIPROC_DIR"
_FOLDER, _UNFINISHED, _PLACE = "metrics-", ".metrics-", "worker-"
_KINDS = ("counter", "histogram", "gauge_livesum", "gauge_livemax")
_FILE_SIZE = 512 * 1024  # bytes: more than all values of all labels take
_log = logging.getLogger("lenalidomide_cds")


@contextmanager
def shared_folder(parent: Path) -> Iterator[Path | None]:
    """A fresh folder for the workers started meanwhile; None where none can be made, and each answers for itself.

    What a service that was killed has left behind is removed.
    """
    try:
        for left in parent.glob(f"{_FOLDER}*"):
            with _held(left) as is_free:
                if is_free:
                    shutil.rmtree(left, ignore_errors=True)
        unfinished = Path(mkdtemp(prefix=_UNFINISHED, dir=parent))
    except OSError as error:
        _log.error("workers cannot share their metrics in %s: %s", parent, error.strerror)
        yield None
        return
    # Held before it has the name under which another service would look whether it was left behind.
    with _held(unfinished):
        folder = unfinished.rename(parent / unfinished.name[1:])
        os.environ[_SETTING] = str(folder)  # noqa: TID251 -- prometheus_client knows no other way to be told
        try:
            yield folder
        finally:
            os.environ.pop(_SETTING, None)  # noqa: TID251 -- as above
            shutil.rmtree(folder, ignore_errors=True)


class WorkerFiles:
    """This worker's files in the folder, under the lowest number that no living worker has. Raises OSError.

    By number and not by process: who takes the place of a worker that died goes on with its counters. So there are as many
    files as workers, however often one is replaced.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number, self._place = _taken(folder)
        # What the worker before said of itself is over.
        mark_process_dead(self._number, str(folder))
        for kind in _KINDS:
            # A process that writes to a mapped file is killed where the disk is full: the space is taken now.
            with (folder / f"{kind}_{self._number}.db").open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, _FILE_SIZE)
        values.ValueClass = values.MultiProcessValue(lambda: self._number)

    def of_all(self) -> CollectorRegistry:
        """The metrics of all workers; of one that died what it counted, and not what it said of itself."""
        for place in self._folder.glob(f"{_PLACE}*"):
            number = int(place.name.removeprefix(_PLACE))
            if number != self._number:
                with _held(place) as is_free:
                    if is_free:
                        mark_process_dead(number, str(self._folder))
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._folder))
        return registry

    def close(self) -> None:
        """Leave the place to another worker."""
        os.close(self._place)


def keep_in_memory() -> None:
    """Share nothing from now on, whatever the environment said when prometheus_client was imported."""
    values.ValueClass = values.MutexValue


def _taken(folder: Path) -> tuple[int, int]:
    """The number, and the descriptor that holds its place until it is closed or the process ends."""
    for number in count():
        place = os.open(folder / f"{_PLACE}{number}", os.O_RDONLY | os.O_CREAT, 0o600)
        if _is_held(place):
            return number, place
        os.close(place)
    raise AssertionError


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Whether nobody else holds it; then it is held by us until the end."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield _is_held(descriptor)
    finally:
        os.close(descriptor)


def _is_held(descriptor: int) -> bool:
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return False
    return True
