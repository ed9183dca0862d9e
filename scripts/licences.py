"""Writes docs/licences.md: under which licences the software of others comes. ``--check`` only says whether it is current.

Exit status 1 when something that the service runs with, or that lies inside one of its wheels, comes under a licence that
``licences.yaml`` does not allow, or names none.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import yaml
from license_expression import LicenseWithExceptionSymbol, get_spdx_licensing

_ROOT = Path(__file__).parents[1]
_PAGE = _ROOT / "docs" / "licences.md"
_LOCK = _ROOT / "requirements.lock"
_VENDORED = _ROOT / "hooks" / "sandbox" / "static" / "vendor" / "uplot.cdx.json"
_PINNED = re.compile(r"^([\w.-]+)==([^ ;\\]+)", re.MULTILINE)
_SHARED_LIBRARY = re.compile(r"(\w+)-[0-9a-f]+\.so\b.*")
_spdx = get_spdx_licensing()

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """Software of others; ``licence`` is an SPDX expression, empty where none is named, and ``seen`` is where it is."""

    name: str
    version: str
    licence: str
    seen: str = ""


def main() -> int:
    known = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    pinned = _PINNED.findall(_LOCK.read_text(encoding="utf-8"))
    packages = [_package(name, version, known["stated"]) for name, version in pinned]
    inside = [part for name, _ in pinned for part in _inside(name, known["inside"])]
    vendored = list(_listed(_VENDORED.read_text(encoding="utf-8"), known["inside"]))
    problems = list(_refused([*packages, *inside, *vendored], known["allowed"]))
    problems += _needless(dict(pinned), known["stated"])
    page = _page(packages, vendored, known)
    if "--check" not in sys.argv:
        _PAGE.write_text(page, encoding="utf-8")
    elif _PAGE.read_text(encoding="utf-8") != page:
        problems.append(f"docs/{_PAGE.name} is not current: scripts/{Path(__file__).name} writes it")
    print(
        "\n".join(problems)
        or f"{len(packages)} packages, {len(inside)} parts inside them, {len(vendored)} vendored: allowed"
    )
    return 1 if problems else 0


def _package(name: str, version: str, stated: Json) -> Part:
    if name in stated:
        return Part(name, version, stated[name]["licence"], stated[name]["seen"])
    return Part(name, version, _own_licence(name), "its metadata")


def _own_licence(name: str) -> str:
    """What a package says itself, in the words of SPDX."""
    try:
        metadata = distribution(name).metadata
    except PackageNotFoundError:
        return ""
    said = (metadata[field] for field in ("License-Expression", "License") if field in metadata)
    return next((text for text in said if not _spdx.validate(text).errors), "")


def _inside(name: str, known: Json) -> Iterator[Part]:
    """What a wheel lists of its parts (PEP 770), and the shared libraries that were put into it."""
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return
    for file in files:
        library = _SHARED_LIBRARY.fullmatch(file.name)
        if file.parent.name == "sboms":
            yield from (part for part in _listed(file.read_text(encoding="utf-8"), known) if part.name != name)
        elif file.parent.name.endswith(".libs") and library is not None:
            yield Part(library[1], "", known.get(library[1], {}).get("licence", ""), name)


def _listed(document: str, known: Json) -> Iterator[Part]:
    """The components of a CycloneDX document."""
    for component in json.loads(document)["components"]:
        name = component["name"].replace("_", "-") if "pypi" in component.get("purl", "") else component["name"]
        said = [one.get("expression") or one["license"].get("id", "") for one in component.get("licenses", [])]
        licence = " AND ".join(filter(None, said)) or known.get(name, {}).get("licence", "")
        yield Part(name, component["version"], licence)


def _refused(parts: Iterable[Part], allowed: Json) -> Iterator[str]:
    for part in parts:
        if not part.licence:
            yield f"{part.name}: names no SPDX licence; read it, and state it in licences.yaml"
        elif not _is_allowed(part.licence, allowed):
            yield f"{part.name}: {part.licence} is not allowed by licences.yaml"


def _is_allowed(licence: str, allowed: Json) -> bool:
    """Whether an expression can be met with allowed licences alone; an exception only permits more."""
    parsed = _spdx.parse(licence, validate=True)
    truth = {True: _spdx.TRUE, False: _spdx.FALSE}
    values = {symbol: truth[_key(symbol) in allowed] for symbol in parsed.symbols}
    return bool(parsed.subs(values, simplify=True) == _spdx.TRUE)


def _key(symbol: Any) -> str:
    plain = symbol.license_symbol if isinstance(symbol, LicenseWithExceptionSymbol) else symbol
    return str(plain.key)


def _needless(pinned: Json, stated: Json) -> Iterator[str]:
    for name in stated:
        if name not in pinned:
            yield f"{name}: is stated in licences.yaml, but not in the lock file"
        elif _own_licence(name):
            yield f"{name}: is stated in licences.yaml, but its metadata say it too"


def _page(packages: Iterable[Part], vendored: Iterable[Part], known: Json) -> str:
    inside = ((name, one["what"], one["licence"]) for name, one in known["inside"].items())
    return _TEXT.format(
        packages=_table(
            "package | version | licence | seen in", ((p.name, p.version, p.licence, p.seen) for p in packages)
        ),
        vendored=_table("files | version | licence", ((p.name, p.version, p.licence) for p in vendored)),
        inside=_table("library | of | licence", inside),
        allowed=_table("licence | why", known["allowed"].items()),
    )


_TEXT = """\
# Licences of others' software

Written by `scripts/licences.py` from the lock file, the packages' own metadata and `scripts/licences.yaml`. Terminologies have
owners too: see [NOTICE](../NOTICE).

## Packages the service runs with

{packages}

## In this repository

{vendored}

## Inside the packages

Wheels list what they were compiled from; the licences named there are checked to be among those allowed. These libraries are
listed without one, or lie in a wheel without being listed:

{inside}

## Allowed

{allowed}
"""


def _table(header: str, rows: Iterable[Iterable[str]]) -> str:
    columns = header.split(" | ")
    lines = (columns, ["---"] * len(columns), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
