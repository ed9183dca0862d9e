"""How a line of the log looks: one JSON object for machines, text for people. None holds anything of a patient."""

from __future__ import annotations

import json
import logging
import threading
from datetime import UTC, datetime
from typing import Any

from cds.faults import whereabouts
from hooks.exchange import current
from hooks.settings import JSON, Logging

_encode = json.JSONEncoder(default=str).encode
_log = logging.getLogger("lenalidomide_cds")


def set_up_logging(settings: Logging) -> None:
    """Log to standard error: our own lines from the level that is set, of the libraries' only the warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(settings.format))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    _log.setLevel(settings.level)
    logging.captureWarnings(capture=True)
    # Python's own words about a fault repeat its message, which may hold anything.
    logging.raiseExceptions = False
    threading.excepthook = _log_end_of_thread


def formatter(form: str) -> logging.Formatter:
    """How lines are written in JSON, or in text."""
    return _Json() if form == JSON else _Text()


class _Line(logging.Formatter):
    def told(self, record: logging.LogRecord) -> dict[str, Any]:
        """What a line says beside its message: of an exception its kind and its places, never its words."""
        exchange = current()
        fault = record.exc_info[1] if record.exc_info else None
        told = {
            "request_id": exchange.request_id,
            "trace_id": "" if exchange.trace is None else exchange.trace.id,
            "fault": "" if not isinstance(fault, Exception) else whereabouts(fault),
            # Given by ``extra={"fields": {…}}``.
            **getattr(record, "fields", {}),
        }
        return {name: value for name, value in told.items() if value != ""}

    def time(self, record: logging.LogRecord) -> str:
        """RFC 3339, in UTC."""
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class _Json(_Line):
    def format(self, record: logging.LogRecord) -> str:
        named = {
            "time": self.time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        return _encode(named | self.told(record))


class _Text(_Line):
    def format(self, record: logging.LogRecord) -> str:
        told = (f"{name}={value}" for name, value in self.told(record).items())
        return " ".join((self.time(record), record.levelname, record.getMessage(), *told))


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    if isinstance(ended.exc_value, Exception):
        _log.critical("a thread ended: %s", whereabouts(ended.exc_value))
