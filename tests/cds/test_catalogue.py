"""The pages a clinician signs: current, and never with other numbers under the same version."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds import PROTOCOL_IDS, load_protocols
from cds.catalogue import check_catalogue, write_catalogue
from cds.rules import RULES
from cds.strict_yaml import KnowledgeError


def test_a_page_is_written_for_every_protocol_and_is_then_current(tmp_path: Path) -> None:
    write_catalogue(tmp_path)
    assert sorted(page.stem for page in tmp_path.iterdir()) == sorted(PROTOCOL_IDS)
    assert check_catalogue(tmp_path) == []


def test_a_page_holds_every_number_and_every_rule_of_its_protocol(tmp_path: Path) -> None:
    write_catalogue(tmp_path)
    for protocol in load_protocols().values():
        page = (tmp_path / f"{protocol.id}.md").read_text(encoding="utf-8")
        missing = [path for path, _ in protocol.parameters() if f"`{path}`" not in page]
        missing += [rule.id for rule in RULES if rule.applies(protocol) and f"### {rule.id}\n" not in page]
        assert missing == []


@pytest.mark.parametrize("change", ["missing", "superfluous", "not current"])
def test_a_page_that_does_not_fit_the_knowledge_is_named(tmp_path: Path, change: str) -> None:
    write_catalogue(tmp_path)
    page = tmp_path / "mskcc.md"
    match change:
        case "missing":
            page.unlink()
        case "superfluous":
            page = tmp_path / "other.md"
            page.write_text("", encoding="utf-8")
        case _:
            page.write_text(page.read_text(encoding="utf-8") + "more", encoding="utf-8")
    assert check_catalogue(tmp_path) == [f"{page}: {change}"]


def test_numbers_that_changed_under_the_same_version_are_refused(tmp_path: Path) -> None:
    write_catalogue(tmp_path)
    page = tmp_path / "mskcc.md"
    signed = page.read_text(encoding="utf-8").replace(load_protocols()["mskcc"].digest, "0123456789ab")
    page.write_text(signed, encoding="utf-8")
    with pytest.raises(KnowledgeError, match=r"mskcc.*add 1 to its revision"):
        write_catalogue(tmp_path)


def test_another_version_may_have_other_numbers(tmp_path: Path) -> None:
    write_catalogue(tmp_path)
    page, protocol = tmp_path / "mskcc.md", load_protocols()["mskcc"]
    older = page.read_text(encoding="utf-8").replace(protocol.digest, "0123456789ab")
    page.write_text(older.replace(protocol.full_version, "S1+0"), encoding="utf-8")
    write_catalogue(tmp_path)
    assert check_catalogue(tmp_path) == []
