"""Words by which free text looks like one of our tokens: a hint, never an identification."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cds.remembering import remembered


class Words:
    """The ``words`` of many entries; one pattern for all of them."""

    def __init__(self, entries: Mapping[str, Any]) -> None:
        self._tokens: dict[str, str] = {}
        for token, entry in entries.items():
            for word in entry.get("words", []):
                self._tokens.setdefault(str(word).casefold(), token)
        # Of words that begin at the same place the longest is meant.
        longest_first = sorted(self._tokens, key=len, reverse=True)
        self._pattern = re.compile(rf"\b(?:{'|'.join(re.escape(word) for word in longest_first)})\b", re.IGNORECASE)
        self._named = remembered(self._search)

    def named_in(self, text: str) -> str | None:
        """The token of the first word found in the text."""
        found = self._named(text)
        return found[0] if found else None

    def all_named_in(self, text: str) -> tuple[str, ...]:
        """The tokens of all words found in the text; a longer expression hides the words within it."""
        return self._named(text)

    def _search(self, text: str) -> tuple[str, ...]:
        return tuple(self._tokens[match[0].casefold()] for match in self._pattern.finditer(text))
