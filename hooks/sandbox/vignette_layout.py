"""YAML in the style of the case files: a flow mapping on one line where it fits, decimals and dates without quotes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import yaml

_WIDTH = 120
_SPACE = "\0"


def list_entry(stated: dict[str, Any]) -> str:
    """A mapping as one entry of a list, each key from a line of its own."""
    written = "\n".join(line for key, value in stated.items() for line in _lines(f"{key}: ", value, "  "))
    return f"- {written.removeprefix('  ')}\n"


def comment(words: str) -> str:
    """A comment of one or more lines."""
    return textwrap.fill(words, _WIDTH, initial_indent="# ", subsequent_indent="#   ") + "\n"


def _lines(prefix: str, value: Any, indent: str) -> Iterator[str]:
    """A value after ``key: `` or ``- ``: on one line, else filled, else its members one below the other."""
    whole = f"{indent}{prefix}{_flow(value)}"
    members = value.values() if isinstance(value, dict) else value
    if len(whole) <= _WIDTH:
        yield whole
    elif not isinstance(value, dict | list):
        yield textwrap.fill(whole, _WIDTH, subsequent_indent=f"{indent}  ")
    elif not any(isinstance(member, dict | list) for member in members):
        yield _filled(f"{indent}{prefix}", value)
    else:
        yield f"{indent}{prefix}".rstrip()
        if isinstance(value, dict):
            for key, member in value.items():
                yield from _lines(f"{key}: ", member, f"{indent}  ")
        else:
            for member in value:
                yield from _lines("- ", member, indent)


def _filled(start: str, value: dict[str, Any] | list[Any]) -> str:
    """A flow collection over several lines, broken between its members only."""
    opening, *parts, closing = _parts(value)
    inside = ", ".join(part.replace(" ", _SPACE) for part in parts)
    filled = textwrap.fill(
        f"{opening}{inside}{closing}",
        _WIDTH,
        initial_indent=start,
        subsequent_indent=" " * (len(start) + 1),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return filled.replace(_SPACE, " ")


def _flow(value: Any) -> str:
    match value:
        case dict() | list():
            opening, *parts, closing = _parts(value)
            return f"{opening}{', '.join(parts)}{closing}"
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case Decimal():
            return format(value, "f")
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case str():
            return _text(value)
        case _:
            return str(value)


def _parts(value: dict[str, Any] | list[Any]) -> list[str]:
    """The brackets of a flow collection, and between them its members."""
    if isinstance(value, dict):
        return ["{", *(f"{_text(key)}: {_flow(member)}" for key, member in value.items()), "}"]
    return ["[", *(_flow(member) for member in value), "]"]


@lru_cache(maxsize=1024)
def _text(words: str) -> str:
    """Words with quotes where YAML would take them for something else."""
    written: str = yaml.safe_dump([words], default_flow_style=True, width=math.inf, allow_unicode=True)
    return written.strip()[1:-1]
