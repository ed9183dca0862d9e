"""Text from findings as GitHub-Flavored Markdown: everything escaped, no raw HTML."""

from __future__ import annotations

import re

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~<>&])")
_LINE_START = re.compile(r"^(\s*)([-=]|\d+[.)])")
_SUMMARY_LIMIT = 139


def escaped(text: str) -> str:
    """One line of Markdown that shows the text literally."""
    line = " ".join(text.split())
    return _LINE_START.sub(r"\1\\\2", _MARKUP.sub(_escape, line))


def _escape(match: re.Match[str]) -> str:
    return (
        {"<": "&lt;", ">": "&gt;", "&": "&amp;"}.get(match[1], f"\\{match[1]}") if match[1] not in "()+!" else match[1]
    )


def headline(text: str) -> str:
    """A card's summary: plain text of one line and at most 139 characters, without anything a browser would take for a tag."""
    line = re.sub(r"<(?![\d=])|(?<![\d\s<])>", "", " ".join(text.split()))
    if len(line) <= _SUMMARY_LIMIT:
        return line
    return line[: _SUMMARY_LIMIT - 1].rsplit(" ", 1)[0].rstrip(",;:") + "…"
