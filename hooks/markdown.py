"""Text from findings as GitHub-Flavored Markdown: everything escaped, no raw HTML."""

from __future__ import annotations

import re
import unicodedata

_MARKUP = re.compile(r"[\\`*_{}\[\]#|~<>&]")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
# The character by which an address is known: it is looked for first, and what stands before it only then.
_ADDRESS = re.compile(
    r"[@:.](?:(?<=[\w.+-]@)|(?<=http:)|(?<=https:)|(?<=ftp:)|(?<=mailto:)|(?<=xmpp:)|(?<=www\.))", re.IGNORECASE
)
_TAG = re.compile(r"<(?![\d=])|(?<![\d\s<])>")
UNSEEN = "\N{ZERO WIDTH SPACE}"
"""What keeps an address from becoming a link."""
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn"}
# A list, or the line under a heading.
_LINE_START = re.compile(r"^(\d+(?=[.)])|(?=[-+=]))")
_SUMMARY_LIMIT = 139


def escaped(text: str) -> str:
    """One line of Markdown that shows the text literally."""
    line = _one_line(text)
    return _ADDRESS.sub(_unlinked, _LINE_START.sub(r"\1\\", _MARKUP.sub(_escape, line)))


def _escape(match: re.Match[str]) -> str:
    return _ENTITIES.get(match[0], f"\\{match[0]}")


def _one_line(text: str) -> str:
    """Without control and direction characters, which could hide or reorder what is shown."""
    if not text.isprintable():
        text = "".join(" " if unicodedata.category(character) in _INVISIBLE else character for character in text)
    return " ".join(text.split())


def _unlinked(match: re.Match[str]) -> str:
    """GFM makes a link of every address; one from a request must stay text.

    A backslash is not enough: several renderers look for addresses once escapes have been resolved.
    """
    return UNSEEN + match[0]


def headline(text: str) -> str:
    """A card's summary: plain text of one line and at most 139 characters, without anything a browser would take for a tag."""
    line = _one_line(text)
    if "<" in line or ">" in line:
        line = _TAG.sub("", line)
    if len(line) <= _SUMMARY_LIMIT:
        return line
    return line[: _SUMMARY_LIMIT - 1].rsplit(" ", 1)[0].rstrip(",;:") + "…"
