"""Panels as HTML: their templates, and how these print dates, numbers, facts and a card's Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from flask import Blueprint, render_template
from markdown_it import MarkdownIt
from markupsafe import Markup

from cds.level import plain
from cds.parameters import printed_unit
from cds.words import NAMES, on
from hooks.problems import Problem, UnsuitableError
from hooks.sandbox.panels import PANELS
from hooks.sandbox.scene import Scene

_LINE = re.compile(r"line \d+ column \d+")
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


def add_filters(pages: Blueprint) -> None:
    """Add what the templates print with."""
    for name, filtered in _FILTERS.items():
        pages.add_app_template_filter(filtered, name)


def drawn(name: str, scene: Scene) -> str:
    """A panel as HTML; where the request is refused, what the refusal says."""
    if name not in PANELS:
        raise UnsuitableError("panels", f"'{name[:40]}' is not one of {', '.join(PANELS)}")
    try:
        return render_template(f"sandbox/{name}.html", **PANELS[name](scene))
    except Problem as problem:
        return render_template("sandbox/refused.html", problem=problem)


def _as_html(text: str) -> Markup:
    """A card's Markdown. What looks like HTML in it stays text, and only links of the web are links."""
    return Markup(_MARKDOWN.render(text))  # noqa: S704 -- the renderer escapes all HTML of its source


def _plainly(value: object) -> str:
    return plain(value) if isinstance(value, Decimal) and value.is_finite() else str(value)


def _in_words(day: date | None) -> str:
    """With its year, whichever that is."""
    return "" if day is None else on(day, date.min)


def _line(told: str) -> str:
    """``line 3 column 2`` where a fault of the JSON names it."""
    found = _LINE.search(told)
    return found[0] if found else ""


def _named(token: str) -> str:
    return NAMES.get(token, token.replace("-", " "))


_FILTERS: Mapping[str, Callable[[Any], object]] = {
    "markdown": _as_html,
    "day": _in_words,
    "plain": _plainly,
    "unit": printed_unit,
    "fact": _named,
    "line": _line,
}
