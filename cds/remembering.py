"""What was made of a short text is kept: codes, units, dates, names and ways of dosing are the same in every request."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar, TypeVarTuple, Unpack

_Rest = TypeVarTuple("_Rest")
_Answer = TypeVar("_Answer")

_MOST = 2048
_LONGEST = 200  # what is longer is not kept, so that nobody can fill the memory with it


def remembered(read: Callable[[str, Unpack[_Rest]], _Answer]) -> Callable[[str, Unpack[_Rest]], _Answer]:
    """A pure function of a text that remembers its latest answers; what it raises is raised anew."""
    kept = lru_cache(maxsize=_MOST)(read)

    @wraps(read)
    def answer(text: str, *rest: *_Rest) -> _Answer:
        return kept(text, *rest) if len(text) <= _LONGEST else read(text, *rest)

    return answer


def spotting(pattern: str) -> Callable[[str], bool]:
    """Whether a text holds a pattern, in letters of either case."""
    compiled = re.compile(pattern, re.IGNORECASE)
    return remembered(lambda text: compiled.search(text) is not None)
