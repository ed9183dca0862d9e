"""What every change keeps: short files, a core without clock, chance or environment, and rules that cases prove."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cds.rules import RULES
from hooks import answer
from tests.support.case import Case
from tests.support.case_files import load_cases
from tests.support.request_builder import build_request

_ROOT = Path(__file__).parents[1]
_MOST_LINES = 400
_FORBIDDEN_IN_CORE = {"os", "time", "random", "secrets", "locale", "getpass", "platform"}
_RULE_ID = re.compile(r"(dosing|renal|heme|teratogenicity|vte|interaction|monitoring|eligibility|supply)\.[a-z0-9-]+")
_CLOCK = {"now", "today", "utcnow"}

# The public rule ids, by area: they stand in logs, feedback statistics and cards.
_CATALOGUE = {
    "dosing": """start-dose max-dose induction-schedule schedule-mismatch frequency nonstandard-dose level-unknown
        escalation-eligible escalation-premature revallo-escalation re-escalation duration-stop nonheme-g3 treatment-gap
        missed-dose""",
    "renal": "cap decline dialysis-timing unknown implausible weight-sensitivity conflict",
    "heme": """start-criteria anc-interrupt plt-interrupt anc-watch plt-watch resume-level gcsf floor revallo-lowest-dose
        day1-delay wait-next-cycle""",
    "teratogenicity": """pregnant positive-test lactation frp test-initial test-ongoing contraception male-counselling
        rems-enrolment""",
    "vte": """active-event recent-60d impede saved imwg prophylaxis-missing prophylaxis-contraindicated
        anticoag-thrombocytopenia duplicate-antithrombotic""",
    "interaction": """digoxin warfarin esa estrogen dexamethasone statin pd1 melphalan duplicate-imid
        duplicate-lenalidomide""",
    "monitoring": "cbc-due unit-unknown creatinine-due lft-due hepatotoxicity tsh hbv-screen spm",
    "eligibility": """indication transplant start-window age hypersensitivity hepatitis hiv progression refractory
        plasma-cell-leukemia prior-cancer revallo-renal revallo-hepatic revallo-cardiopulmonary revallo-exposure cardiac gvhd
        lactose""",
    "supply": "days refills rx-validity early-fill quantity-mismatch",
}
_RULE_IDS = frozenset(f"{area}.{name}" for area, names in _CATALOGUE.items() for name in names.split())

# A case always writes an order; these speak only where none is being written.
_WITHOUT_ORDER = {"dosing.missed-dose", "monitoring.creatinine-due"}
_CASES = [case for _, case in load_cases()]


def _python_files(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (_ROOT / folder).rglob("*.py"))


def test_no_python_file_is_longer_than_can_be_read_in_one_go() -> None:
    lengths = {
        str(file.relative_to(_ROOT)): len(file.read_text(encoding="utf-8").splitlines())
        for file in _python_files("bench", "cds", "hooks", "fhir_fixtures", "scripts", "tests")
    }

    assert {name: lines for name, lines in lengths.items() if lines > _MOST_LINES} == {}


@pytest.mark.parametrize("file", _python_files("cds"), ids=lambda file: str(file.relative_to(_ROOT)))
def test_the_core_knows_no_clock_no_chance_and_no_environment(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))

    assert [*_forbidden_imports(tree), *_clock_readings(tree)] == []


def _forbidden_imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (
                f"line {node.lineno}: {name}" for name in modules if name.partition(".")[0] in _FORBIDDEN_IN_CORE
            )


def _clock_readings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in _CLOCK:
            owner = ast.unparse(node.value).rpartition(".")[2]
            if owner in {"datetime", "date"}:
                yield f"line {node.lineno}: {owner}.{node.attr}"


def test_every_rule_has_a_public_id_of_its_own() -> None:
    ids = [rule.id for rule in RULES]

    assert len(_RULE_IDS) == 92
    assert sorted(ids) == sorted(set(ids))
    assert set(ids) == _RULE_IDS


def test_the_tables_of_cards_name_only_rules_that_exist() -> None:
    named = {
        node.value
        for file in (_ROOT / "hooks").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _RULE_ID.fullmatch(node.value)
    }
    assert named
    assert named <= {rule.id for rule in RULES}


def test_cases_name_only_rules_of_the_catalogue() -> None:
    named = {
        (case.id, rule)
        for case in _CASES
        for rule in (*case.expect.fires, *case.expect.silent, *case.expect.unknown, *_subject(case))
    }

    assert [(case, rule) for case, rule in sorted(named) if rule not in _RULE_IDS] == []


def _subject(case: Case) -> tuple[str, ...]:
    """The rule a case is about, where it is not about one of the numbered traps."""
    return () if case.rule.startswith("trap-") else (case.rule,)


@pytest.mark.parametrize("rule", sorted({rule.id for rule in RULES} - _WITHOUT_ORDER))
def test_a_rule_fires_in_one_case_and_is_silent_in_another(rule: str) -> None:
    assert [case.id for case in _CASES if rule in case.expect.fires] != []
    assert [case.id for case in _CASES if rule in case.expect.silent] != []


def test_the_rules_for_a_visit_without_an_order_fire_there() -> None:
    case = next(case for case in _CASES if case.history)
    request = build_request(case)
    visit = {
        **request,
        "hook": "patient-view",
        "context": {"userId": "Practitioner/1", "patientId": request["context"]["patientId"]},
        "prefetch": {
            **request["prefetch"],
            "observations": {"resourceType": "Bundle", "type": "searchset", "total": 0},
        },
    }

    response = answer(visit, now=case.now, explain=True)

    (entry,) = response["extension"]["org.lenalidomide-maintenance.evaluation"]["drafts"]
    assert {finding["id"] for finding in entry["findings"]} >= _WITHOUT_ORDER
