"""The HTTP exchange under way: what its log lines, its metrics and its trace tell of it. Nothing of a patient."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from cds.faults import whereabouts
from hooks.stages import Stages

_log = logging.getLogger("lenalidomide_cds")


class Fetch(Protocol):
    """A request to a FHIR server in a trace."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What tells the server of it."""

    def end(self, outcome: str) -> None:
        """It has ended; said once more, it is not heard."""


class Trace(Protocol):
    """The spans of an exchange."""

    id: str

    def fetch(self, kind: str, server: str) -> Fetch:
        """A request to a FHIR server begins, for resources of a kind."""

    def stages(self, stages: Stages) -> None:
        """Stages have passed, one after the other until now."""

    def end(self, exchange: Exchange, status: int) -> None:
        """The exchange has ended."""


class Tracing(Protocol):
    """Where traces are sent."""

    def begin(self, service: str, headers: Mapping[str, str]) -> Trace:
        """A hook call begins, in the trace that its headers name, if any."""

    def close(self) -> None:
        """Send what is left."""


@dataclass
class Exchange:
    """A request and its response; ``service`` is that of a hook call. What is not known, or not yet, is empty.

    Entered, it is the current one of this thread and of whoever takes over its context.
    """

    request_id: str = ""
    service: str = ""
    client: str = ""
    outcome: str = ""
    decision: str = ""
    protocol: str = ""
    rules: tuple[str, ...] = ()
    trace: Trace | None = None
    _before: Token[Exchange] | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        self._before = _CURRENT.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._before is not None
        _CURRENT.reset(self._before)


_CURRENT: ContextVar[Exchange] = ContextVar("_CURRENT")


def current() -> Exchange:
    """The exchange under way; where there is none, one that nobody looks at."""
    return _CURRENT.get(None) or Exchange()


class Harmless:
    """Around all that only observes: what goes wrong there is logged, and the exchange goes on."""

    def __enter__(self) -> None:
        """Nothing is prepared: it is entered several times in a call, and has to cost next to nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        _log.error("not observed: %s", whereabouts(error))
        return True


def begin_fetch(kind: str, server: str) -> Fetch:
    """A request to a FHIR server begins, on behalf of the exchange under way."""
    trace = current().trace
    return _UNTRACED if trace is None else trace.fetch(kind, server)


class _Untraced:
    headers: Mapping[str, str] = {}

    def end(self, outcome: str) -> None:
        """Nobody looks at it."""


_UNTRACED = _Untraced()
