"""``config check`` shows what a service would start with and where it comes from, or everything that would stop it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hooks.cli import main
from hooks.members import NAMES


def _rows(output: str) -> dict[str, tuple[str, str]]:
    """Source and value of every setting."""
    rows = [line.split(maxsplit=2) for line in output.partition("\n\n")[0].splitlines()[1:]]
    return {name: (source, value) for name, source, value in rows}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CDS_DATA", str(tmp_path / "data"))
    return tmp_path


def test_without_any_setting_it_shows_the_defaults_of_open_mode(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "check"]) == 0
    output = capsys.readouterr().out
    rows = _rows(output)
    assert tuple(rows) == NAMES
    assert rows["data"] == ("environment", str(folder / "data"))
    assert {name for name, (source, _) in rows.items() if source != "default"} == {"data"}
    assert (rows["threads"], rows["database_url"], rows["clients"]) == (
        ("default", "32"),
        ("default", "not set"),
        ("default", "none"),
    )
    assert "open mode" in output
    assert output.splitlines()[-1] == "ok"


def test_it_shows_where_each_setting_comes_from_and_who_may_call(
    folder: Path, production: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "config.yaml"
    file.write_text("threads: 4\nexplain: 1\nprotocol: ema-smpc\nrequest_keys_file: keys\n", encoding="utf-8")
    (folder / "keys").write_text("0123456789012345678901234567890123456789012=", encoding="utf-8")
    production.setenv("CDS_THREADS", "6")
    assert main(["config", "check", "--config", str(file)]) == 0
    output = capsys.readouterr().out
    rows = _rows(output)
    assert rows["threads"] == ("environment", "6")
    assert rows["explain"] == ("file", "1")
    assert rows["public_url"] == ("environment", "https://cds.example")
    assert rows["pseudonym_key"] == ("environment", "set")
    assert rows["request_keys"] == ("file", "set")
    assert rows["request_keys_file"] == ("file", str(folder / "keys"))
    assert output.splitlines()[-3:] == [
        "client  issuer               protocol",
        "ehr     https://ehr.example  ema-smpc",
        "ok",
    ]


def test_it_says_everything_that_would_stop_the_start_and_nothing_else(
    production: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"CDS_THREADS": "0", "CDS_PUBLIC_URL": "", "CDS_MIGRAT": "1"}.items():
        production.setenv(name, value)
    assert main(["config", "check"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "CDS_MIGRAT is not known, did you mean CDS_MIGRATE?",
        "CDS_THREADS is '0', expected a whole number of threads, at least 1",
        "CDS_PUBLIC_URL is missing, expected the https URL under which clients call: their tokens name it",
    ]
    assert main(["serve"]) == 2
    assert capsys.readouterr().err == printed.err


def test_it_leaves_nothing_behind(folder: Path) -> None:
    assert main(["config", "check"]) == 0
    assert list(folder.iterdir()) == []
