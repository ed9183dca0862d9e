"""The documents keep up with the product: nothing that exists is missing from them, and nothing in them is untrue."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cds import PROTOCOL_IDS
from cds.rules import RULES
from cds.snapshot import Supply
from cds.terminology import load_terminology
from hooks import configuration, problems
from hooks.cli import main
from hooks.discovery import discovery
from hooks.members import NAMES, SECRETS, Members, as_written, variable

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
WRITTEN = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted(DOCS.glob("*.md"))]
PAGES = [*WRITTEN, *sorted((DOCS / "catalogue").glob("*.md"))]
INTEGRATOR = (DOCS / "integrator.md").read_text(encoding="utf-8")
OPERATOR = (DOCS / "operator.md").read_text(encoding="utf-8")
PHARMACIST = (DOCS / "pharmacist.md").read_text(encoding="utf-8")
BUNDLED_REQUESTS = "fhir_fixtures/requests"

_DEFAULTS_IN_WORDS = {
    "data": "`~/.local/state/lenalidomide-cds`",
    "database_url": "SQLite in `CDS_DATA`",
    "pseudonym_key": "made in `CDS_DATA` in open mode",
}
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_OWN_COMMAND = "lenalidomide-cds"


def _help(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    return capsys.readouterr().out


def _commands(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return re.findall(r"^    ([a-z]+)\b", _help(capsys), re.MULTILINE)


def _prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def _anchors(page: Path) -> set[str]:
    """Anchors as GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.casefold()).replace(" ", "-") for heading in headings}


def _examples() -> list[tuple[str, list[str]]]:
    """Every ``$ lenalidomide-cds`` line of the documents with the lines printed under it."""
    found: list[tuple[str, list[str]]] = []
    for page in WRITTEN:
        for language, block in _FENCE.findall(page.read_text(encoding="utf-8")):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:] if language == "console" else ():
                command, *printed = part.splitlines()
                if command.startswith(_OWN_COMMAND):
                    found.append((command, printed))
    return found


def _setting_row(name: str) -> str:
    """The beginning of a setting's row: a secret stands in the file only by way of another."""
    file = f"{name}_file" if name in SECRETS else name
    variables = f"`{variable(name)}`" + (f", `{variable(file)}`" if name in SECRETS else "")
    return f"| `{file}` | {variables} | {_DEFAULTS_IN_WORDS.get(name) or _default(name)} | "


def _default(name: str) -> str:
    default = as_written(Members.model_fields[name].default)
    return default if default == "none" else f"`{default}`"


def test_every_setting_has_a_row_with_its_member_variable_and_default() -> None:
    rows = [_setting_row(name) for name in NAMES if name.removesuffix("_file") not in SECRETS or name in SECRETS]

    assert [row for row in rows if f"\n{row}" not in OPERATOR] == []
    assert len(re.findall(r"^\| `[a-z_]+` \| `(?:CDS_|DATABASE_URL)", OPERATOR, re.MULTILINE)) == len(rows)


def test_every_documented_setting_exists() -> None:
    mentioned = {name for page in WRITTEN for name in re.findall(r"\bCDS_[A-Z_]+\b", page.read_text(encoding="utf-8"))}

    assert mentioned - {variable(name) for name in NAMES} == {configuration.FILE}


def test_the_file_of_settings_that_is_shown_is_one(tmp_path: Path) -> None:
    (shown,) = [block for language, block in _FENCE.findall(OPERATOR) if language == "yaml" and "public_url" in block]
    file = tmp_path / "config.yaml"
    file.write_text(shown, encoding="utf-8")

    read = configuration.read_configuration(str(file))

    assert read.problems == []
    assert read.members.public_url == ("https://cds.hospital.example",)


def test_every_command_has_a_row_for_integrators(capsys: pytest.CaptureFixture[str]) -> None:
    commands = _commands(capsys)

    assert commands
    assert [name for name in commands if not re.search(rf"^\| `{name}` \|", INTEGRATOR, re.MULTILINE)] == []


def test_every_option_of_every_command_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    options = {
        option for command in _commands(capsys) for option in re.findall(r"--[a-z-]+", _help(capsys, command))
    } - {"--help"}

    assert [option for option in sorted(options) if f"`{option}" not in INTEGRATOR + OPERATOR] == []


def test_every_script_has_a_row_for_contributors_or_stands_in_the_readme() -> None:
    written = "".join((ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/contributor.md"))

    assert [
        path.name for path in sorted((ROOT / "scripts").glob("[a-z]*")) if f"scripts/{path.name}" not in written
    ] == []


def test_every_documented_command_exists(capsys: pytest.CaptureFixture[str]) -> None:
    written = "\n".join(page.read_text(encoding="utf-8") for page in WRITTEN)
    called = set(re.findall(rf"(?:\$ (?:\w+=\S+ )*|\.venv/bin/){_OWN_COMMAND} (\w+)", written))

    assert called
    assert called - set(_commands(capsys)) == set()


@pytest.mark.parametrize("protocol", PROTOCOL_IDS)
def test_every_protocol_has_a_page_and_a_row_for_pharmacists(protocol: str) -> None:
    assert (DOCS / "catalogue" / f"{protocol}.md").is_file()
    assert re.search(rf"^\| `{protocol}`.*\(catalogue/{protocol}\.md\)", PHARMACIST, re.MULTILINE)


def test_every_prefetch_key_has_a_row_for_integrators() -> None:
    keys = {key for service in discovery(load_terminology())["services"] for key in service["prefetch"]}

    assert keys
    assert [key for key in sorted(keys) if f"| `{key}` |" not in INTEGRATOR] == []


@pytest.mark.parametrize("supply", [supply for supply in Supply if not supply.proves_absence])
def test_every_phrase_for_missing_data_has_a_row_for_integrators(supply: Supply) -> None:
    assert re.search(rf'^\|.*\| "{supply.value}" \|$', INTEGRATOR, re.MULTILINE)


def test_every_service_is_documented_with_its_hook() -> None:
    services = discovery(load_terminology())["services"]

    assert [one["id"] for one in services if f"| `{one['id']}` | `{one['hook']}` |" not in INTEGRATOR] == []


def test_the_rules_documented_for_integrators_are_those_that_run() -> None:
    areas = "|".join(sorted({rule.id.partition(".")[0] for rule in RULES}))

    assert set(re.findall(rf"`((?:{areas})\.[a-z0-9-]+)`", INTEGRATOR)) == {rule.id for rule in RULES}


def test_every_status_of_a_refusal_has_a_row_for_integrators() -> None:
    statuses = {problem.status for problem in problems.Problem.__subclasses__()}

    assert {int(status) for status in re.findall(r"^\| (\d{3}) \|", INTEGRATOR, re.MULTILINE)} == statuses


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(_prose(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)

    assert broken == []


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_every_file_named_in_a_document_exists(page: Path) -> None:
    named = re.findall(
        r"(?<![\w./-])(?:bench|cds|hooks|fhir_fixtures|tests|scripts|deploy|\.ci)/[\w./-]*\w",
        page.read_text(encoding="utf-8"),
    )

    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(("command", "printed"), _examples(), ids=lambda part: part if isinstance(part, str) else "")
def test_every_example_prints_what_its_document_shows(
    command: str, printed: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)

    main(shlex.split(command)[1:])

    output = capsys.readouterr().out.splitlines()
    shown = [re.compile(".*".join(map(re.escape, line.split("…")))) for line in printed]
    assert [line.pattern for line in shown if not any(line.fullmatch(one) for one in output)] == []


@pytest.mark.parametrize(
    ("page", "request_name"),
    [("README.md", "order-select-renal-decline"), ("docs/prescriber.md", "order-sign-first-neutropenia")],
)
def test_the_card_shown_in_a_document_is_the_card_that_is_printed(
    page: str, request_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cards = [
        block for language, block in _FENCE.findall((ROOT / page).read_text(encoding="utf-8")) if "  Source: " in block
    ]

    main(["evaluate", "--cards", str(ROOT / BUNDLED_REQUESTS / f"{request_name}.json")])

    output = capsys.readouterr().out.splitlines()
    assert len(cards) == 1
    assert [line for line in cards[0].splitlines() if line not in output] == []
