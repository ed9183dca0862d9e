"""Every row of the project's conformance list (CDS Hooks 2.0.1, ballot of 3.0) that binds a service has a test of its name."""

from __future__ import annotations

import re
from pathlib import Path

_TESTS = Path(__file__).parent
_ROWS = range(1, 110)
_NAMED = re.compile(r"def test_((?:r\d+_)+)(?:to_r(\d+)_)?")

# Rows without a test of their own, and why.
_BIND_NO_SERVICE = {
    6: "advice to read another guide",
    9: "there are always services",
    18: "leave to answer with other statuses",
    23: "an optional member; rows 27 to 32 tell what is in it",
    36: "registration with the client's authorization server: the integrator's page",
    53: "leave to answer with other statuses",
    67: "no links are sent: row 79",
    91: "binds the client",
    105: "binds the client",
    106: "an agreement with the client",
    108: "the documents are tested by themselves",
    109: "binds the client",
}


def _tested() -> set[int]:
    rows: set[int] = set()
    for file in _TESTS.rglob("test_*.py"):
        for names, last in _NAMED.findall(file.read_text(encoding="utf-8")):
            numbers = [int(name[1:]) for name in names.split("_") if name]
            rows |= set(numbers) | (set(range(numbers[0], int(last) + 1)) if last else set())
    return rows


def test_every_row_that_binds_a_service_is_tested() -> None:
    assert sorted(set(_ROWS) - _tested() - _BIND_NO_SERVICE.keys()) == []


def test_rows_named_by_tests_exist() -> None:
    assert _tested() <= set(_ROWS)
