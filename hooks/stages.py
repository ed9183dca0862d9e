"""How long each stage of an answer took."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

Enter = Callable[[str], None]
"""Told the name of each stage as it begins."""


Stages = tuple[tuple[str, float], ...]
"""Each stage and its milliseconds, in the order in which they began."""


def untimed(_: str) -> None:
    """For an answer of which nobody asks how long it took."""


class Stopwatch:
    """Stages of one answer in the order in which they began; one ends where the next begins."""

    def __init__(self, first: str) -> None:
        self._began = [(first, perf_counter())]

    def enter(self, stage: str) -> None:
        """A stage begins."""
        self._began.append((stage, perf_counter()))

    def stop(self) -> Stages:
        """The last stage ends now."""
        ends = [*(began for _, began in self._began[1:]), perf_counter()]
        return tuple((stage, (end - began) * 1000) for (stage, began), end in zip(self._began, ends, strict=True))
