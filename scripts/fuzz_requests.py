"""Damage the bundled requests at random and report every answer that is a crash, or a rule that failed.

    .venv/bin/python scripts/fuzz_requests.py [--count 20000] [--seed 1]

Each round takes one bundled request and replaces, removes or repeats one to three of its members. An answer or a refusal
is right; anything else is printed with its seed and ends the run with status 1.
"""

from __future__ import annotations

import argparse
import random
import sys
import traceback
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from hooks import answer
from hooks.problems import Problem
from hooks.wire import decode, encode

_REQUESTS = Path(__file__).parent.parent / "fhir_fixtures" / "requests"
_NOW = datetime(2024, 9, 4, 9, tzinfo=UTC)
_EVALUATION = "org.lenalidomide-maintenance.evaluation"
_GARBAGE: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    10**40,
    Decimal("NaN"),
    Decimal("1e9999999"),
    "",
    " ",
    "0001-01-01",
    "9999-12-31T23:59:59-14:00",
    "2024-02-30",
    "https://[half/Patient/x",
    "\ud800<script>|*",
    "x" * 5000,
    [],
    {},
    [[]],
    [None],
    {"value": {}},
    {"coding": [{"system": [], "code": {}}]},
    {"reference": 7},
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    seeds = [document for path in sorted(_REQUESTS.rglob("*.json")) if isinstance(document := _read(path), dict)]
    faults = 0
    for round_number in range(options.count):
        chance = random.Random(f"{options.seed} {round_number}")
        request = deepcopy(chance.choice(seeds))
        for _ in range(chance.randint(1, 3)):
            _damage(request, chance)
        if fault := _fault(request):
            faults += 1
            print(f"round {round_number}: {fault}")
    print(f"{options.count} damaged requests, {faults} faults")
    return 1 if faults else 0


def _read(path: Path) -> Any:
    try:
        return decode(path.read_bytes())
    except Problem:
        return None


def _fault(request: dict[str, Any]) -> str:
    """What went wrong beyond a refusal; empty when nothing did."""
    try:
        response = answer(request, now=_NOW, explain=True)
        encode(response).encode()
    except Problem:
        return ""
    except Exception:  # noqa: BLE001 -- finding these is what the command is for
        return traceback.format_exc(limit=-2)
    drafts = response["extension"][_EVALUATION]["drafts"]
    failed = {item["id"] for draft in drafts for item in draft["findings"] if item["outcome"] == "failed"}
    return f"rules failed: {', '.join(sorted(failed))}" if failed else ""


def _damage(request: dict[str, Any], chance: random.Random) -> None:
    place = chance.choice(list(_containers(request)))
    key = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
    match chance.randrange(4):
        case 0:
            del place[key]
        case 1 if isinstance(place, list):
            place.append(deepcopy(place[key]))
        case _:
            place[key] = deepcopy(chance.choice(_GARBAGE))


def _containers(value: object) -> Iterator[Any]:
    """Every object and list that is not empty, at any depth."""
    if isinstance(value, dict | list) and value:
        yield value
        for child in value.values() if isinstance(value, dict) else value:
            yield from _containers(child)


if __name__ == "__main__":
    sys.exit(main())
