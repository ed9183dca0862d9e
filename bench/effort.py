"""How long is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Rounds of each pair that is compared, seconds of a round, calls of each kind in-process, requests to watch memory for."""

    rounds: int
    seconds: int
    calls: int
    requests: int


FULL = Effort(rounds=5, seconds=10, calls=1000, requests=100_000)
SHORT = Effort(rounds=2, seconds=2, calls=60, requests=2_000)
"""To see that all works; its figures are of little worth."""
