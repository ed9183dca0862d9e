"""A recorded decision is evaluated again: byte for byte the same, or the difference and why."""

from __future__ import annotations

import json
import shutil
import sqlite3
from importlib.resources import files
from pathlib import Path

import pytest

from cds.findings import Indicator
from hooks.cli import main
from hooks.clients import Client
from hooks.secrecy import new_key
from hooks.shown import SHOWN_AT
from tests.support.fixtures import ODD, REQUESTS, load
from tests.support.hospital import ADVISED, KEY, bundled, hospital

OLD_KEY, KEY_NOW = new_key(), new_key()


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_DATA", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'records.sqlite'}")
    monkeypatch.setenv("CDS_PSEUDONYM_KEY", KEY)
    monkeypatch.setenv("CDS_REQUEST_KEYS", KEY_NOW)


def decided(folder: Path, request: str, client: Client | None = None, keys: tuple[str, ...] = (KEY_NOW,)) -> str:
    """The id of a decision on a bundled request."""
    asked = bundled(request)
    with hospital(folder, client=client, request_keys=keys) as running:
        response = running.post(asked, f"lenalidomide-{asked['hook']}")
        assert response.status_code == 200
        running.wait_until_recorded()
    return response.headers["X-Decision-Id"]


def test_every_bundled_request_is_answered_with_the_same_bytes_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with hospital(tmp_path, request_keys=(KEY_NOW,)) as running:
        answers = [
            running.http.post(f"/cds-services/lenalidomide-{load(file)['hook']}", data=file.read_bytes())
            for file in sorted([*REQUESTS.glob("*.json"), *ODD.glob("*.json")])
        ]
        running.wait_until_recorded()
    identifiers = [response.headers["X-Decision-Id"] for response in answers if response.status_code == 200]
    assert len(identifiers) > 40
    for identifier in identifiers:
        assert main(["replay", identifier]) == 0
        assert "byte-identical" in capsys.readouterr().out


def test_a_replay_tells_what_was_decided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    identifier = decided(tmp_path, ADVISED)
    main(["replay", identifier])
    output = capsys.readouterr().out
    assert f"Decision {identifier}" in output
    assert "WARNING  No thrombosis prophylaxis on record  [vte.prophylaxis-missing]" in output
    assert "order-sign of client open" in output


def test_another_protocol_shows_the_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    identifier = decided(tmp_path, ADVISED)
    assert main(["replay", identifier, "--protocol", "ema-smpc"]) == 1
    output = capsys.readouterr().out
    assert "protocol: was fda-label" in output
    assert "-▲ WARNING  No thrombosis prophylaxis on record" in output
    assert "+No card." in output


def test_another_protocol_folder_shows_what_its_numbers_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    identifier = decided(tmp_path, ADVISED)
    folder = tmp_path / "protocols"
    with_numbers = Path(str(files("cds") / "protocols"))
    shutil.copytree(with_numbers, folder)
    assert main(["replay", identifier, "--protocols", str(folder)]) == 0
    common = folder / "common.yaml"
    text = common.read_text(encoding="utf-8")
    assert "81" in text
    common.write_text(text.replace("81", "100"), encoding="utf-8")
    capsys.readouterr()

    assert main(["replay", identifier, "--protocols", str(folder)]) == 1
    output = capsys.readouterr().out
    assert "numbers of fda-label" in output
    assert "have changed" in output
    assert "-  Aspirin 81 mg daily" in output
    assert "+  Aspirin 100 mg daily" in output


def test_a_replay_takes_the_client_as_it_was_configured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    only_critical = {hook: type(shown)(Indicator.CRITICAL, frozenset()) for hook, shown in SHOWN_AT.items()}
    client = Client("ward", protocol="ema-smpc", card_profile="epic", shown_at=only_critical)
    assert main(["replay", decided(tmp_path, "order-select-renal-decline", client)]) == 0
    assert "byte-identical" in capsys.readouterr().out


def test_a_request_that_was_not_kept_is_told_but_not_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    identifier = decided(tmp_path, ADVISED, keys=())
    assert main(["replay", identifier]) == 2
    output = capsys.readouterr()
    assert "No thrombosis prophylaxis on record" in output.out
    assert "was not kept" in output.err


def test_a_changed_key_still_opens_what_the_old_one_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    identifier = decided(tmp_path, ADVISED, keys=(OLD_KEY,))
    assert main(["replay", identifier]) == 2
    assert "no key of CDS_REQUEST_KEYS opens" in capsys.readouterr().err
    monkeypatch.setenv("CDS_REQUEST_KEYS", f"{KEY_NOW},{OLD_KEY}")
    assert main(["replay", identifier]) == 0


def test_a_key_that_is_none_stops_the_command_and_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    identifier = decided(tmp_path, ADVISED)
    monkeypatch.setenv("CDS_REQUEST_KEYS", "secret")
    assert main(["replay", identifier]) == 2
    error = capsys.readouterr().err
    assert "CDS_REQUEST_KEYS" in error
    assert "secret" not in error


def test_an_id_that_is_not_on_record_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decided(tmp_path, ADVISED)
    assert main(["replay", "no-such-id"]) == 2
    assert "no decision and no card 'no-such-id'" in capsys.readouterr().err


def test_the_request_is_not_readable_where_it_is_stored(tmp_path: Path) -> None:
    decided(tmp_path, ADVISED)
    stored = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    # A short text may stand on two pages of the file.
    with sqlite3.connect(tmp_path / "records.sqlite") as database:
        assert "MedicationRequest/draft" in database.execute("SELECT document FROM decision").fetchone()[0]
    assert b"doseAndRate" not in stored
    assert b"prefetch" not in stored


def test_decisions_are_listed_newest_first_and_by_patient(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = decided(tmp_path, ADVISED), decided(tmp_path, "order-sign-first-neutropenia")
    main(["report", "decisions", "--format", "json"])
    listed = json.loads(capsys.readouterr().out)["decisions"]
    assert [one["decision"] for one in listed] == [second, first]

    patient = bundled(ADVISED)["context"]["patientId"]
    main(["report", "decisions", "--patient", f"Patient/{patient}", "--client", "open", "--format", "json"])
    found = [one["decision"] for one in json.loads(capsys.readouterr().out)["decisions"]]
    assert first in found
    main(["report", "decisions", "--patient", patient, "--client", "another", "--format", "json"])
    assert json.loads(capsys.readouterr().out)["decisions"] == []


def test_a_patient_is_never_looked_for_where_that_could_find_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    decided(tmp_path, ADVISED)
    assert main(["report", "decisions", "--patient", "x"]) == 2
    assert "--patient needs --client" in capsys.readouterr().err
    monkeypatch.delenv("CDS_PSEUDONYM_KEY")
    assert main(["report", "decisions", "--patient", "x", "--client", "open"]) == 2
    assert "CDS_PSEUDONYM_KEY is not set" in capsys.readouterr().err
    assert not (tmp_path / "pseudonym.key").exists()


def test_an_answer_that_is_not_the_recorded_one_is_never_called_identical(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = decided(tmp_path, ADVISED), decided(tmp_path, "order-sign-first-neutropenia")
    with sqlite3.connect(tmp_path / "records.sqlite") as database:
        database.execute(
            "UPDATE decision SET sealed = (SELECT sealed FROM decision WHERE id = ?) WHERE id = ?", (other, one)
        )
    assert main(["replay", one]) == 1
    assert "the kept answer is not the one recorded" in capsys.readouterr().out


def test_decisions_of_a_day_are_those_of_the_organisations_day(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decided(tmp_path, ADVISED)
    main(["report", "decisions", "--since", "2100-01-01", "--format", "csv"])
    assert capsys.readouterr().out.splitlines() == ["decision,at,client,hook,patient,protocol,outcome,rules"]
    main(["report", "decisions", "--until", "2100-01-01", "--format", "csv"])
    assert len(capsys.readouterr().out.splitlines()) == 2
