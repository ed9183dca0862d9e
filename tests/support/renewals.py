"""Ordinary, correct renewals: the patients for whom silence is the right answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cds import strict_yaml
from tests.support.case import Case, without_typing
from tests.support.case_files import merge

_FILE = Path(__file__).parents[1] / "ordinary_renewals.yaml"


def ordinary_renewals() -> Iterator[tuple[str, Case]]:
    """Each patient under each of its protocols, as the order is signed."""
    problems: list[str] = []
    content = without_typing(strict_yaml.load(_FILE, problems))
    if problems:
        raise ValueError("\n".join(problems))
    for raw in content["cases"]:
        told = {
            "title": raw["id"].replace("-", " "),
            "rule": "dosing.start-dose",
            "expect": {"action": None},
        }
        patient = {key: value for key, value in raw.items() if key != "protocols"}
        case = Case.model_validate(merge(content["baseline"], content["histories"], {**told, **patient}))
        for protocol in raw["protocols"]:
            yield protocol, case
