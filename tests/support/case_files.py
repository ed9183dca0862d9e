"""Reads the clinical cases beside the protocols: strictly, and all problems of all files at once.

A file ``cases-*.yaml`` holds cases that several protocols share; it names them under ``protocols``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cds import PROTOCOL_IDS, strict_yaml
from tests.support.case import Case, without_typing

PROTOCOLS = Path(__file__).parents[2] / "cds" / "protocols"
_FILE_KEYS = {"baseline", "histories", "cases", "protocols"}
_MERGED_BY_KEY = ("patient", "labs")
_NOT_IN_BASELINE = {"id", "title", "rule", "expect", "drafts"}


class CaseFileError(Exception):
    """What is wrong with the case files, one line per problem: ``file: case: what``."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))


def load_cases(protocols: Path = PROTOCOLS) -> list[tuple[str, Case]]:
    """Every case with the id of its protocol, in the order of the files."""
    problems: list[str] = []
    cases = [
        (file.parent.name, case)
        for file in sorted(protocols.glob("*/cases.yaml"))
        for case in _cases_of(file, problems)
    ]
    for file in sorted(protocols.glob("cases-*.yaml")):
        shared, meant = list(_cases_of(file, problems)), _protocols_of(file)
        if not meant or not set(meant) <= set(PROTOCOL_IDS):
            problems.append(f"{file.name}: protocols: expected some of {', '.join(PROTOCOL_IDS)}")
        cases += [(protocol, case) for protocol in meant for case in shared]
    if problems:
        raise CaseFileError(problems)
    return cases


def _protocols_of(file: Path) -> list[str]:
    """The protocols for which a file of shared cases is meant."""
    listed: list[str] = strict_yaml.load(file, []).get("protocols", [])
    return listed


def _cases_of(file: Path, problems: list[str]) -> Iterator[Case]:
    name = f"{file.parent.name}/{file.name}".removeprefix("protocols/")
    unreadable: list[str] = []
    content = without_typing(strict_yaml.load(file, unreadable))
    if not isinstance(content, dict) or not isinstance(content.get("cases"), list):
        problems.extend([*unreadable, f"{name}: needs a list of cases"])
        return
    ids = [str(raw.get("id", f"case {number}")) for number, raw in enumerate(content["cases"], 1)]
    problems.extend(re.sub(r"cases\[(\d+)\]", lambda found: ids[int(found[1])], problem) for problem in unreadable)
    baseline, histories = content.get("baseline", {}), content.get("histories", {})
    problems.extend(f"{name}: {key}: unknown key" for key in sorted(content.keys() - _FILE_KEYS))
    problems.extend(f"{name}: baseline: {key}: belongs to a case" for key in sorted(_NOT_IN_BASELINE & baseline.keys()))
    problems.extend(f"{name}: {case_id}: id stands twice" for case_id, count in Counter(ids).items() if count > 1)
    for case_id, raw in zip(ids, content["cases"], strict=True):
        try:
            yield Case.model_validate(merge(baseline, histories, raw))
        except ValidationError as error:
            problems.extend(f"{name}: {case_id}: {_path(one['loc'])}: {one['msg']}" for one in error.errors())
        except ValueError as error:
            problems.append(f"{name}: {case_id}: {error}")


def merge(baseline: Mapping[str, Any], histories: Mapping[str, Any], case: Mapping[str, Any]) -> dict[str, Any]:
    """The whole case: patient, labs and drafts merged by key into the baseline's, every other key replaced."""
    if "draft" in case and "drafts" in case:
        raise ValueError("draft and drafts exclude each other")
    merged = {**baseline, **case}
    for key in _MERGED_BY_KEY:
        merged[key] = {**baseline.get(key, {}), **case.get(key, {})}
    merged["labs"] = {
        token: [_with_unit(reading, baseline.get("labs", {}).get(token)) for reading in readings]
        for token, readings in merged["labs"].items()
    }
    merged.pop("draft", None)
    drafts = case.get("drafts", [case.get("draft", {})])
    merged["drafts"] = [{**baseline.get("draft", {}), **draft} for draft in drafts]
    history = merged.get("history", [])
    if isinstance(history, str):
        if history not in histories:
            raise ValueError(f"history: no history is named '{history}'")
        merged["history"] = histories[history]
    return merged


def _with_unit(reading: Mapping[str, Any], baseline: list[Mapping[str, Any]] | None) -> dict[str, Any]:
    """A reading that does not mention its unit has the baseline's unit of that token."""
    takes_over = baseline and "unit" in baseline[0] and "value" in reading and "unit" not in reading
    return {**reading, "unit": baseline[0]["unit"]} if baseline and takes_over else dict(reading)


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(step) for step in location) or "case"
