"""Watches every line that is logged while the tests run, ours and the libraries', at every level: none may name a patient."""

from __future__ import annotations

import logging

from hooks.logs import formatter
from hooks.settings import JSON
from tests.support.patients import words_of_patients_in


class LogWatch(logging.Handler):
    """Keeps what the service would write of each record, until it is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(formatter(JSON))
        self._lines: list[str] = []

    def start(self) -> None:
        """Listen to everything, also after a test has set up a log of its own."""
        root = logging.getLogger()
        if self not in root.handlers:
            root.addHandler(self)
        root.setLevel(logging.DEBUG)
        logging.getLogger("lenalidomide_cds").setLevel(logging.NOTSET)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line; one that cannot be made is not written by the service either."""
        try:
            self._lines.append(self.format(record))
        except (TypeError, ValueError):
            return

    def leaks(self) -> list[str]:
        """The lines since the last look that name a patient."""
        lines, self._lines = self._lines, []
        if not words_of_patients_in("\n".join(lines)):
            return []
        return [line for line in lines if words_of_patients_in(line)]
