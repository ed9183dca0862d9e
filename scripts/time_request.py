#!/usr/bin/env python3
"""Times the bundled request in-process, JSON text to JSON text, on one core: median and 99th percentile of each stage.

scripts/time_request.py [--rounds 500] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
from datetime import UTC
from importlib.resources import files
from statistics import median, quantiles
from time import perf_counter_ns

from hooks import answer
from hooks.circumstances import NOW, parse_now, told
from hooks.wire import decode, encode

_REQUEST = "order-select-renal-decline.json"
_STAGES = ("decode", "answer", "encode", "whole")
_WARM_UP = 20
_MILLISECOND = 1_000_000
_LINES_OF_PROFILE = 15


def main() -> None:
    options = _parser().parse_args()
    body = (files("fhir_fixtures") / "requests" / _REQUEST).read_bytes()
    for _ in range(_WARM_UP):
        _stamps(body)
    if options.profile:
        _profile(body, options.rounds)
        return
    rounds = [_stamps(body) for _ in range(options.rounds)]
    print(f"{_REQUEST}: {len(body) / 1000:.0f} kB, {options.rounds} rounds, milliseconds")
    print(f"{'':8}{'median':>8}{'p99':>8}")
    for index, stage in enumerate(_STAGES):
        times = [one[index] / _MILLISECOND for one in rounds]
        print(f"{stage:8}{median(times):8.2f}{quantiles(times, n=100)[-1]:8.2f}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--profile", action="store_true", help="say instead where the time goes, by function")
    return parser


def _stamps(body: bytes) -> tuple[int, ...]:
    """Nanoseconds of decoding, answering, encoding, and of all three."""
    begun = perf_counter_ns()
    request = decode(body)
    decoded = perf_counter_ns()
    named = told(request, NOW)
    assert named is not None, f"{_REQUEST} names no now"
    response = answer(request, now=parse_now(named, UTC))
    answered = perf_counter_ns()
    encode(response)
    encoded = perf_counter_ns()
    return decoded - begun, answered - decoded, encoded - answered, encoded - begun


def _profile(body: bytes, rounds: int) -> None:
    with cProfile.Profile() as profile:
        for _ in range(rounds):
            _stamps(body)
    pstats.Stats(profile).strip_dirs().sort_stats("tottime").print_stats(_LINES_OF_PROFILE)


if __name__ == "__main__":
    main()
