"""A fault of the software as it may be logged."""

from __future__ import annotations

import traceback
from pathlib import Path

_FRAMES = 3


def whereabouts(error: Exception) -> str:
    """Kind and places of a fault, the innermost first, without its message: that may repeat what a record or a token says."""
    frames = reversed(traceback.extract_tb(error.__traceback__)[-_FRAMES:])
    places = "; ".join(f"in {frame.name}, {Path(frame.filename).name} line {frame.lineno}" for frame in frames)
    return f"{type(error).__name__} {places}".strip()
