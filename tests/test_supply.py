"""What others supply: no licence and no known vulnerability goes unnoticed, and no silence passes for an audit."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_VENDOR = "hooks/sandbox/static/vendor"
_READ_BY_LICENCES = (
    "scripts/licences.py",
    "scripts/licences.yaml",
    "docs/licences.md",
    "requirements.lock",
    f"{_VENDOR}/uplot.cdx.json",
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The files that the two scripts read, to be changed."""
    for name in (*_READ_BY_LICENCES, "scripts/audit"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_ROOT / name, tmp_path / name)
    return tmp_path


def _change(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def _check_licences(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(tree / "scripts" / "licences.py"), "--check"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_all_licences_are_allowed_and_their_page_is_current(tree: Path) -> None:
    checked = _check_licences(tree)

    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (
            "scripts/licences.yaml",
            "  LGPL-3.0-only:",
            "  LGPL-3.0-or-later:",
            "psycopg: LGPL-3.0-only is not allowed",
        ),
        ("scripts/licences.yaml", "  jinja2:", "  flask:", "jinja2: names no SPDX licence"),
        (
            "scripts/licences.yaml",
            "  jinja2:",
            "  flask:",
            "flask: is stated in licences.yaml, but its metadata say it too",
        ),
        (
            "scripts/licences.yaml",
            "  jinja2:",
            "  jinja3:",
            "jinja3: is stated in licences.yaml, but not in the lock file",
        ),
        ("scripts/licences.yaml", "  libpq:", "  libqp:", "libpq: names no SPDX licence"),
        ("requirements.lock", "flask==", "not-installed-here==", "not-installed-here: names no SPDX licence"),
        (f"{_VENDOR}/uplot.cdx.json", '"MIT"', '"GPL-3.0-only"', "uPlot: GPL-3.0-only is not allowed"),
        ("docs/licences.md", "| uPlot |", "| µPlot |", "docs/licences.md is not current"),
    ],
)
def test_what_is_wrong_with_a_licence_is_named(tree: Path, file: str, old: str, new: str, said: str) -> None:
    _change(tree / file, old, new)

    checked = _check_licences(tree)

    assert checked.returncode == 1
    assert re.search(f"^{said}", checked.stdout, re.MULTILINE), checked.stdout + checked.stderr


def test_the_release_of_uplot_that_is_told_is_the_one_that_is_here() -> None:
    (told,) = json.loads((_ROOT / _VENDOR / "uplot.cdx.json").read_text(encoding="utf-8"))["components"]
    script = (_ROOT / _VENDOR / "uPlot.iife.min.js").read_text(encoding="utf-8")

    assert f"uPlot (v{told['version']})" in script.partition("\n")[0]


@pytest.fixture
def audit(tree: Path) -> Path:
    """The audit, with a stand-in for pip-audit: what it tells of the known vulnerability and of the lock file are two files."""
    program = tree / ".venv" / "bin" / "pip-audit"
    program.parent.mkdir(parents=True)
    program.write_text(
        '#!/bin/sh\ncase "$*" in *requirements.lock*) cat lock; exit $(cat status);; esac\ncat control\nexit 1\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    return tree


@pytest.mark.parametrize(
    ("control", "lock", "status", "ends", "said"),
    [
        ("CVE-2019-10906", "No known vulnerabilities found", 0, 0, "No known vulnerabilities found"),
        ("CVE-2019-10906", "flask 3.1.3 CVE-2030-1", 1, 1, "flask 3.1.3 CVE-2030-1"),
        ("not found on PyPI", "No known vulnerabilities found", 0, 0, "NOT AUDITED"),
        ("", "Traceback", 1, 0, "NOT AUDITED"),
    ],
)
def test_only_where_a_known_vulnerability_is_told_silence_counts(
    audit: Path, control: str, lock: str, status: int, ends: int, said: str
) -> None:
    for name, content in (("control", control), ("lock", lock), ("status", str(status))):
        (audit / name).write_text(content, encoding="utf-8")

    ended = subprocess.run([str(audit / "scripts" / "audit")], capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stdout[: len(said)]) == (ends, said)
