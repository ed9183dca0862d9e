"""Worker processes: forked from one parent, replaced when they die, stopped gently."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from threading import Event, Thread
from time import monotonic, sleep
from types import TracebackType
from typing import Self

Work = Callable[[Event], None]
"""Runs in a worker until the event is set."""

CANNOT_START = 2
"""The exit code of a worker that would never start, however often it were tried: settings that cannot be used."""
_GRACE = 40.0  # seconds for a worker to finish its calls and write its records
_PAUSE = 1.0  # seconds until a worker that died is replaced
_log = logging.getLogger("lenalidomide_cds")


class Workers:
    """As many processes as asked for, all doing the same; they begin on entering and have ended on leaving.

    They are forked, so what the parent has loaded lies in memory once. A worker whose parent dies stops by itself.
    """

    def __init__(self, count: int, work: Work) -> None:
        self._count, self._work = count, work
        self._context = get_context("fork")
        self._running: list[BaseProcess] = []

    def __enter__(self) -> Self:
        self._running = [self._started() for _ in range(self._count)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._running:
            process.terminate()
        until = monotonic() + _GRACE
        for process in self._running:
            process.join(max(0.0, until - monotonic()))
            if process.is_alive():
                _log.error("worker %d did not stop in %.0f s, and was killed", process.pid, _GRACE)
                process.kill()

    def supervise(self) -> int:
        """Replace whoever dies, until interrupted; the exit status where a worker says that it can never start."""
        while True:
            wait([process.sentinel for process in self._running])
            if any(process.exitcode == CANNOT_START for process in self._running):
                return CANNOT_START
            sleep(_PAUSE)
            for index, process in enumerate(self._running):
                if not process.is_alive():
                    _log.error("worker %d died (exit code %s) and is replaced", process.pid, process.exitcode)
                    self._running[index] = self._started()

    def _started(self) -> BaseProcess:
        process = self._context.Process(target=_worker, args=(self._work,), name="worker")
        process.start()
        return process


def _worker(work: Work) -> None:
    stopping = Event()
    # Ctrl-C reaches the whole group; the parent says when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    Thread(target=_stop_with_parent, args=(stopping,), name="parent's end", daemon=True).start()
    work(stopping)


def _stop_with_parent(stopping: Event) -> None:
    parent = parent_process()
    with suppress(OSError):
        if parent is not None:
            wait([parent.sentinel])
    stopping.set()
