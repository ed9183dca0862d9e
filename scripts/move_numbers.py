#!/usr/bin/env python3
"""Moves every number of the protocol files one step each way and tells which moves no clinical case notices.

A step is one unit of the last printed digit (0.5 becomes 0.4 and 0.6); a dose level moves to the next capsule strength up
and down, and its days from 28 to 21 or back. A move is noticed when the loader refuses the files or when a case fails.
Exit status: 0 when every move is noticed, 1 when one is not, 2 when a case fails before anything is moved.

    scripts/move_numbers.py [--protocol revallo] [--parameter heme.anc_interrupt]
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from multiprocessing import Pool
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytest
import yaml

from cds import PROTOCOL_IDS, Protocol
from cds.level import Schedule
from cds.protocol import read_protocols
from cds.rules import RULES
from cds.strict_yaml import KnowledgeError
from hooks import answer
from tests.support.case import Case
from tests.support.case_files import PROTOCOLS, load_cases
from tests.support.outcome import assert_as_expected
from tests.support.request_builder import build_request

_CAPSULES = ("2.5", "5", "7.5", "10", "15", "20", "25")
_OTHER_DAYS = {"28": "21", "21": "28"}
_NUMBER = re.compile(r"\d+(\.\d+)?")
_LEVEL = re.compile(r"(?P<dose>\d+(\.\d+)?)/(?P<days>28|21|qod)")
_DAYS_PARAMETER = "renal.cap_schedule"
_WORDS = {"cite", "note", "basis", "unit"}
_REFUSED = "the loader"
_PROCESSES = 2


@dataclass(frozen=True)
class Place:
    """One number in a file: the parameter it belongs to, its path in it, and where its text stands."""

    file: str
    parameter: str
    path: str
    text: str
    start: int
    end: int

    @property
    def owner(self) -> str:
        """The protocol whose file it is, or ``common``."""
        return Path(self.file).parent.name or "common"


@dataclass(frozen=True)
class Move:
    """A place and what its number becomes."""

    place: Place
    new: str

    def __str__(self) -> str:
        return f"{self.place.file}: {self.place.path}: {self.place.text} -> {self.new}"


@dataclass(frozen=True)
class Prepared:
    """A case with its protocol and its request."""

    protocol: str
    case: Case
    request: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Folder and id."""
        return f"{self.protocol}/{self.case.id}"

    def concerns(self, rules: set[str]) -> bool:
        """Whether the case speaks of one of the rules."""
        return bool(rules & {self.case.rule, *self.case.expect.fires, *self.case.expect.silent})


def main() -> int:
    options = _parser().parse_args()
    failing = [prepared.name for prepared in _cases() if _fails(prepared, _unmoved())]
    if failing:
        print(f"These cases fail before any number is moved: {', '.join(failing)}", file=sys.stderr)
        return 2
    moves = [
        move
        for move in _moves()
        if options.protocol in {None, move.place.owner} and options.parameter in {None, move.place.parameter}
    ]
    with Pool(_PROCESSES) as pool:
        noticed_by = dict(zip(moves, pool.map(_noticed_by, moves, chunksize=1), strict=True))
    unnoticed = [move for move, noticed in noticed_by.items() if noticed is None]
    refused = Counter(noticed_by.values())[_REFUSED]
    print(
        f"{len(moves)} moves: {refused} refused by the loader, {len(moves) - refused - len(unnoticed)} noticed by a case."
    )
    print("\n".join(["No case notices:", *map(str, unnoticed)]) if unnoticed else "Every move is noticed.")
    return 1 if unnoticed else 0


def _parser() -> argparse.ArgumentParser:
    summary, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--protocol", choices=("common", *PROTOCOL_IDS), help="only the numbers of this file")
    parser.add_argument("--parameter", metavar="AREA.NAME", help="only the numbers of this parameter")
    return parser


@cache
def _cases() -> tuple[Prepared, ...]:
    return tuple(Prepared(protocol, case, build_request(case)) for protocol, case in load_cases())


@cache
def _unmoved() -> Mapping[str, Protocol]:
    return read_protocols(PROTOCOLS)


def _moves() -> Iterator[Move]:
    for file in (PROTOCOLS / "common.yaml", *sorted(PROTOCOLS.glob("*/protocol.yaml"))):
        # The pure parser: libyaml's positions count bytes.
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
        assert root is not None, file
        for place in _places(root, str(file.relative_to(PROTOCOLS)), ()):
            yield from (Move(place, new) for new in _one_step_away(place))


def _places(node: yaml.Node, file: str, path: tuple[str, ...]) -> Iterator[Place]:
    """The numbers below a node; what stands outside the areas (versions, dates, sources) is no clinical number."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value not in _WORDS and (path or isinstance(value, yaml.MappingNode)):
                yield from _places(value, file, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield from _places(child, file, (*path, str(index)))
    elif _NUMBER.fullmatch(node.value) or _LEVEL.fullmatch(node.value):
        area, parameter, *_ = path
        start, end = node.start_mark.index, node.end_mark.index
        yield Place(file, f"{area}.{parameter}", ".".join(path), node.value, start, end)


def _one_step_away(place: Place) -> Iterator[str]:
    level = _LEVEL.fullmatch(place.text)
    if level is not None:
        at = _CAPSULES.index(level["dose"])
        yield from (f"{dose}/{level['days']}" for dose in _CAPSULES[max(at - 1, 0) : at + 2] if dose != level["dose"])
        yield f"{level['dose']}/{_OTHER_DAYS.get(level['days'], Schedule.CONTINUOUS.value)}"
    elif place.parameter == _DAYS_PARAMETER:
        yield _OTHER_DAYS[place.text]
    else:
        number = Decimal(place.text)
        step = Decimal(1).scaleb(int(number.as_tuple().exponent))
        yield from (str(number - step), str(number + step))


def _noticed_by(move: Move) -> str | None:
    """The first case that fails after a move, or the loader; None when nobody notices."""
    with TemporaryDirectory() as folder:
        moved_folder = Path(folder) / PROTOCOLS.name
        shutil.copytree(PROTOCOLS, moved_folder, ignore=shutil.ignore_patterns("cases.yaml", "__pycache__"))
        file = moved_folder / move.place.file
        text = file.read_text(encoding="utf-8")
        file.write_text(text[: move.place.start] + move.new + text[move.place.end :], encoding="utf-8")
        try:
            moved = read_protocols(moved_folder)
        except KnowledgeError:
            return _REFUSED
    changed = {name for name, protocol in moved.items() if protocol != _unmoved()[name]}
    rules = {rule.id for rule in RULES if move.place.parameter in rule.cites}
    cases = sorted(
        (prepared for prepared in _cases() if prepared.protocol in changed),
        key=lambda prepared: not prepared.concerns(rules),
    )
    return next((prepared.name for prepared in cases if _fails(prepared, moved)), None)


def _fails(prepared: Prepared, protocols: Mapping[str, Protocol]) -> bool:
    case = prepared.case
    try:
        with patch("hooks.answering.load_protocols", lambda: protocols):
            response = answer(prepared.request, now=case.now, protocol=prepared.protocol, explain=True)
        assert_as_expected(prepared.name, case.expect, response)
    except (pytest.fail.Exception, Exception):  # noqa: BLE001 -- a crash is a failure of the case too
        return True
    return False


if __name__ == "__main__":
    sys.exit(main())
