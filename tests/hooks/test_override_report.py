"""The override report: what a committee is told of shown, accepted and overridden advice."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest

from hooks.cli import main
from hooks.clients import Client
from hooks.store import entry
from tests.support.fixtures import Json
from tests.support.hospital import ADVISED, Hospital, bundled, database_of_its_own, hospital, postgres_url

RULE = "vte.prophylaxis-missing"


@pytest.fixture(params=["sqlite", "postgresql"])
def running(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hospital]:
    monkeypatch.setenv("CDS_DATA", str(tmp_path))
    if request.param == "sqlite":
        with hospital(tmp_path) as one:
            monkeypatch.setenv("DATABASE_URL", one.storage.database_url)
            yield one
        return
    server = postgres_url()
    if server is None:
        pytest.skip("TEST_POSTGRES_URL names no PostgreSQL server")
    with database_of_its_own(server) as url, hospital(tmp_path, url) as one:
        monkeypatch.setenv("DATABASE_URL", url)
        yield one


def report(running: Hospital, capsys: pytest.CaptureFixture[str], *options: str) -> Json:
    text = printed(running, capsys, "--format", "json", *options)
    told: Json = json.loads(text)
    return told


def printed(running: Hospital, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    running.wait_until_recorded()
    capsys.readouterr()
    assert main(["report", "overrides", *options]) == 0
    return capsys.readouterr().out


def of_draft(number: int, hook: str = "order-sign") -> Json:
    """The advised order as another order of the same patient, at order-sign or before."""
    request = deepcopy(bundled(ADVISED, hook=hook))
    (entry,) = request["context"]["draftOrders"]["entry"]
    entry["resource"]["id"] = f"draft-{number}"
    if hook == "order-select":
        request["context"]["selections"] = [f"MedicationRequest/draft-{number}"]
    return request


def shown(running: Hospital, number: int, hook: str = "order-sign") -> str:
    """The uuid of the card shown for an order."""
    (card,) = running.cards(of_draft(number, hook), f"lenalidomide-{hook}")
    return str(card["uuid"])


def override(
    running: Hospital, card: str, code: str | None = "taken-already", at: str = "2026-11-20T10:00:00Z"
) -> None:
    entry: Json = {"card": card, "outcome": "overridden", "outcomeTimestamp": at}
    if code is not None:
        entry["overrideReason"] = {"reason": {"code": code}}
    assert running.feedback({"feedback": [entry]}).status_code == 200


def accept(running: Hospital, card: str, at: str = "2026-11-20T10:00:00Z") -> None:
    entry = {"card": card, "outcome": "accepted", "acceptedSuggestions": [{"id": "x"}], "outcomeTimestamp": at}
    assert running.feedback({"feedback": [entry]}).status_code == 200


def test_each_rule_is_told_with_what_was_shown_accepted_and_overridden_and_why(
    running: Hospital, capsys: pytest.CaptureFixture[str]
) -> None:
    cards = [shown(running, number) for number in range(5)]
    accept(running, cards[0])
    override(running, cards[1])
    override(running, cards[2], "bleeding-risk")
    override(running, cards[3], None)
    (line,) = report(running, capsys)["lines"]
    assert {key: line[key] for key in ("rule", "protocol", "shown", "accepted", "overridden", "override_rate")} == {
        "rule": RULE,
        "protocol": "fda-label",
        "shown": 5,
        "accepted": 1,
        "overridden": 3,
        "override_rate": 0.75,
    }
    assert line["reasons"] == {"bleeding-risk": 1, "no reason given": 1, "taken-already": 1}


def test_advice_shown_at_order_select_and_again_at_order_sign_counts_once(
    running: Hospital, capsys: pytest.CaptureFixture[str]
) -> None:
    at_select, at_sign = shown(running, 1, "order-select"), shown(running, 1)
    assert at_select != at_sign
    (line,) = report(running, capsys)["lines"]
    assert line["shown"] == 1


def test_two_hospitals_with_the_same_ids_are_told_apart(
    running: Hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accept(running, shown(running, 1))
    with hospital(tmp_path / "other", running.storage.database_url, Client("another")) as other:
        override(other, shown(other, 1))
        other.wait_until_recorded()
    (line,) = report(running, capsys)["lines"]
    assert (line["shown"], line["accepted"], line["overridden"]) == (2, 1, 1)


def test_an_order_id_used_again_in_another_month_is_another_prescription(
    running: Hospital, capsys: pytest.CaptureFixture[str]
) -> None:
    card = shown(running, 1)
    override(running, card)
    with running.store() as store:
        (decision,) = store.decisions()
        earlier = {**decision.document, "id": "earlier", "at": "2026-01-15T12:00:00Z"}
        store.write([entry(earlier).encode()])
    lines = report(running, capsys)["lines"]
    assert [line["shown"] for line in lines] == [1, 1]
    assert lines[0]["month"] == "2026-01"


def test_the_last_word_on_the_same_advice_counts(running: Hospital, capsys: pytest.CaptureFixture[str]) -> None:
    at_select, at_sign = shown(running, 1, "order-select"), shown(running, 1)
    accept(running, at_sign, at="2026-11-20T10:05:00Z")
    override(running, at_select, at="2026-11-20T10:00:00Z")
    (line,) = report(running, capsys)["lines"]
    assert (line["shown"], line["accepted"], line["overridden"], line["reasons"]) == (1, 1, 0, {})


def test_a_rule_overridden_too_often_is_named_once_there_are_enough_answers(
    running: Hospital, capsys: pytest.CaptureFixture[str]
) -> None:
    cards = [shown(running, number) for number in range(4)]
    for card in cards[:3]:
        override(running, card)
    accept(running, cards[3])
    named = {
        options: [line["rule"] for line in report(running, capsys, *options)["overridden_too_often"]]
        for options in (
            (),
            ("--at-least", "4"),
            ("--at-least", "5"),
            ("--at-least", "4", "--above", "74"),
            ("--at-least", "4", "--above", "75"),
        )
    }
    assert list(named.values()) == [[], [RULE], [], [RULE], []]
    text = printed(running, capsys, "--at-least", "4")
    assert f"Overridden too often: {RULE} (fda-label), 3 of 4 answers" in text


def test_feedback_on_unknown_cards_is_counted(running: Hospital, capsys: pytest.CaptureFixture[str]) -> None:
    override(running, shown(running, 1))
    override(running, "of nobody")
    assert report(running, capsys)["feedback_on_unknown_cards"] == 1
    assert "Feedback on cards that are not on record: 1" in printed(running, capsys)
    assert report(running, capsys, "--since", "2100-01-01")["feedback_on_unknown_cards"] == 0


def test_another_clients_feedback_on_a_card_is_not_the_answer_to_it(
    running: Hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = shown(running, 1)
    with hospital(tmp_path / "other", running.storage.database_url, Client("another")) as other:
        override(other, card)
        other.wait_until_recorded()
    told = report(running, capsys)
    assert told["lines"][0]["overridden"] == 0
    assert told["feedback_on_unknown_cards"] == 1


def test_protocols_and_months_have_lines_of_their_own(running: Hospital, capsys: pytest.CaptureFixture[str]) -> None:
    shown(running, 1)
    request = of_draft(2)
    request["extension"]["org.lenalidomide-maintenance.protocol"] = "weill-cornell"
    running.post(request)
    lines = report(running, capsys)["lines"]
    assert {line["protocol"] for line in lines} == {"fda-label", "weill-cornell"}
    assert all(len(line["month"]) == 7 for line in lines)


def test_only_advice_first_shown_in_the_span_counts(running: Hospital, capsys: pytest.CaptureFixture[str]) -> None:
    shown(running, 1)
    assert report(running, capsys, "--since", "2100-01-01")["lines"] == []
    assert report(running, capsys, "--until", "2020-01-01")["lines"] == []
    assert len(report(running, capsys, "--since", "2020-01-01", "--until", "2100-01-01")["lines"]) == 1


def test_as_csv_it_can_be_opened_by_a_spreadsheet_without_running_anything(
    running: Hospital, capsys: pytest.CaptureFixture[str]
) -> None:
    override(running, shown(running, 1), "=HYPERLINK(1)")
    heads, row = csv.reader(io.StringIO(printed(running, capsys, "--format", "csv")))
    assert heads == ["month", "rule", "protocol", "shown", "accepted", "overridden", "override rate", "reasons"]
    assert row[1:7] == [RULE, "fda-label", "1", "0", "1", "100%"]
    assert row[7] == "'=HYPERLINK(1): 1"


def test_a_database_that_is_not_there_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CDS_DATA", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", "postgresql://clerk:hidden@127.0.0.1:9/none")
    assert main(["report", "overrides"]) == 2
    error = capsys.readouterr().err
    assert "cannot be used" in error
    assert "hidden" not in error


def test_a_reason_from_outside_forges_no_line_and_moves_no_cursor(
    running: Hospital, capsys: pytest.CaptureFixture[str]
) -> None:
    override(running, shown(running, 1), "x\n2026-10  forged  \x1b[2J")
    lines = printed(running, capsys).splitlines()
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("percent", ["101", "-1", "half"])
def test_a_rate_that_is_none_is_refused(percent: str) -> None:
    with pytest.raises(SystemExit):
        main(["report", "overrides", "--above", percent])
