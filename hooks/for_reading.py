"""Cards as plain text, as a person reads them on a terminal."""

from __future__ import annotations

import html
import re
from textwrap import indent

from hooks.markdown import UNSEEN
from hooks.wire import EXTENSION, Json

_RULE = "─" * 78
_MARKS = {"critical": "■ CRITICAL", "warning": "▲ WARNING", "info": "● INFO"}


def cards_as_text(response: Json) -> str:
    """All cards of a response; a sentence where there is none."""
    cards = response.get("cards", [])
    if not cards:
        judged = response.get("extension", {}).get(f"{EXTENSION}.evaluation", {}).get("drafts")
        return "No card: the order is in order." if judged else "No card: no lenalidomide order to judge."
    return "\n".join(_card(card) for card in cards)


def _card(card: Json) -> str:
    lines = [_RULE, f"{_MARKS[card['indicator']]}  {card['summary']}", ""]
    lines += [indent(_plain(card.get("detail", "")), "  "), ""]
    lines += [f"  [ {suggestion['label']} ]" for suggestion in card.get("suggestions", [])]
    reasons = " · ".join(reason["display"] for reason in card.get("overrideReasons", []))
    lines += [f"  Override: {reasons}", f"  Source: {card['source']['label']}", _RULE]
    return "\n".join(lines)


def _plain(markdown: str) -> str:
    text = re.sub(r"(?<!\\)\*\*?", "", markdown).replace(UNSEEN, "")
    return html.unescape(re.sub(r"\\(.)", r"\1", text)).replace("\n\n", "\n")
