"""Same requests, same bytes: whatever the process's hash seed, time zone and locale."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import simplejson

from tests.support.case_files import load_cases
from tests.support.fixtures import REQUESTS
from tests.support.request_builder import build_request

Json = dict[str, Any]

_NOW = "2024-09-04T09:00:00+00:00"
_COMMAND = "import sys; from hooks.cli import main; sys.exit(main())"
_REQUESTS = 500
_SEED = 20240904
_WRONG: tuple[Any, ...] = (None, "", "?", 0, -1, 0.5, True, [], {}, "2024-02-30", "10*9/L", ["x", {"y": None}])
_SURROUNDINGS = (
    {"PYTHONHASHSEED": "1", "TZ": "Pacific/Auckland", "LC_ALL": "C"},
    {"PYTHONHASHSEED": "4294967295", "TZ": "America/Los_Angeles", "LC_ALL": "tr_TR.UTF-8"},
)


@cache
def _varied_requests() -> tuple[str, ...]:
    """Every bundled request as it is, and varied ones up to the number: whole, shuffled, thinned out, damaged."""
    chance = random.Random(_SEED)
    bundled = [json.dumps(request) for request in _bundled()]
    cases = [simplejson.dumps(build_request(case), use_decimal=True) for _, case in load_cases()]
    pool = bundled + cases
    varied = [json.dumps(_varied(json.loads(chance.choice(pool)), chance)) for _ in range(_REQUESTS - len(bundled))]
    return (*bundled, *varied)


def _bundled() -> Iterator[Any]:
    """The bundled requests that are JSON at all, the odd and the invalid among them."""
    for path in sorted(REQUESTS.rglob("*.json")):
        try:
            yield json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            continue


def _varied(request: Any, chance: random.Random) -> Any:
    """A few random changes, each somewhere in the request; sometimes none."""
    for _ in range(chance.choice((0, 1, 1, 2, 5, 20))):
        containers = list(_containers(request))
        if containers:
            _change(chance.choice(containers), chance)
    return request


def _containers(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list) and value:
        yield value
        for child in value.values() if isinstance(value, dict) else value:
            yield from _containers(child)


def _change(container: Any, chance: random.Random) -> None:
    if isinstance(container, list) and chance.random() < 0.3:
        chance.shuffle(container)
        return
    key = chance.choice(list(container) if isinstance(container, dict) else range(len(container)))
    old = container[key]
    if chance.random() < 0.3:
        del container[key]
    elif isinstance(old, int | float) and not isinstance(old, bool):
        container[key] = old * chance.choice((-1, 0, 0.1, 0.5, 2, 10))
    else:
        container[key] = deepcopy(chance.choice(_WRONG))


def _evaluate(lines: tuple[str, ...], surroundings: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", _COMMAND, "evaluate", "--ndjson", "--now", _NOW],
        input="\n".join(lines).encode(),
        capture_output=True,
        check=False,
        env=os.environ | surroundings,
    )


def test_five_hundred_varied_requests_give_the_same_bytes_in_different_processes() -> None:
    one, other = (_evaluate(_varied_requests(), surroundings) for surroundings in _SURROUNDINGS)

    assert (one.stderr, other.stderr) == (b"", b"")
    assert len(one.stdout.splitlines()) == len(_varied_requests()) == _REQUESTS
    assert one.stdout == other.stdout


def test_the_varied_requests_are_answered_and_refused() -> None:
    answers = [json.loads(line) for line in _evaluate(_varied_requests(), {}).stdout.splitlines()]

    cards = [answer["cards"] for answer in answers if "cards" in answer]
    refused = [answer for answer in answers if answer.get("resourceType") == "OperationOutcome"]
    assert len(cards) + len(refused) == _REQUESTS
    assert len(cards) > _REQUESTS / 2
    assert any(cards)
    assert refused


def test_the_exit_status_is_2_when_a_request_was_refused_and_0_otherwise() -> None:
    good = json.dumps(build_request(load_cases()[0][1]), default=float)

    assert _evaluate((good, good), {}).returncode == 0
    assert _evaluate((good, '{"hook": "order-sign"}', good), {}).returncode == 2
    assert _evaluate((good, "not JSON"), {}).returncode == 2
