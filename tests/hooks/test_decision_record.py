"""What is recorded of a decision, and that recording never delays or fails an answer."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from uuid import UUID

import pytest
from sqlalchemy import func, select

from hooks.decisions import digest
from hooks.secrecy import new_key
from hooks.spool import Spool
from hooks.store import CARD, DECISION, FEEDBACK, Decision
from tests.support.fixtures import INVALID, ODD, load
from tests.support.hospital import (
    ADVISED,
    IN_ORDER,
    Hospital,
    bundled,
    database_of_its_own,
    hospital,
    postgres_url,
    wait_for,
)

UNREACHABLE = "postgresql://nobody@127.0.0.1:9/none"


@pytest.fixture(params=["sqlite", "postgresql"])
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hospital]:
    """The service with each database it knows."""
    if request.param == "sqlite":
        with hospital(tmp_path) as running:
            yield running
        return
    server = postgres_url()
    if server is None:
        pytest.skip("TEST_POSTGRES_URL names no PostgreSQL server")
    with database_of_its_own(server) as url, hospital(tmp_path, url) as running:
        yield running


def recorded(running: Hospital, identifier: str) -> Decision:
    with running.store() as store:
        decision = store.decision(identifier)
    assert decision is not None
    return decision


def all_that_is_stored(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def test_an_answer_is_on_record_under_the_id_in_its_header(recording: Hospital) -> None:
    response = recording.post(ADVISED)
    decision = recorded(recording, response.headers["X-Decision-Id"])

    assert str(UUID(decision.id)) == decision.id
    assert decision.document["hook"] == "order-sign"
    assert decision.document["client"] == "open"
    assert decision.document["milliseconds"] > 0
    assert decision.document["answer_digest"] == digest(response.get_data(as_text=True))


def test_a_decision_is_found_by_a_card_it_showed(recording: Hospital) -> None:
    response = recording.post(ADVISED)
    (card,) = response.get_json()["cards"]

    assert recorded(recording, card["uuid"]).id == response.headers["X-Decision-Id"]


def test_the_record_holds_what_was_said_by_which_rules_and_protocol_and_on_which_facts(recording: Hospital) -> None:
    response = recording.post(ADVISED)
    document = recorded(recording, response.headers["X-Decision-Id"]).document
    (card,) = response.get_json()["cards"]

    assert (document["protocol"], document["protocol_version"].partition("+")[0]) == ("fda-label", "2023-03-24")
    assert document["protocol_digest"]
    assert document["software"].startswith("0.1.0+")
    assert [(one["summary"], one["rule"], one["indicator"]) for one in document["cards"]] == [
        (card["summary"], "vte.prophylaxis-missing", "warning")
    ]
    (draft,) = document["explanation"]["drafts"]
    assert "vte.prophylaxis-missing" in {finding["id"] for finding in draft["findings"]}
    facts = [item for finding in draft["findings"] for item in finding["evidence"]]
    assert any(item["value"] is not None and item["effective"] and item["reference"] for item in facts)


@pytest.mark.parametrize(
    ("request_file", "outcome"),
    [
        (ADVISED, "advice"),
        (IN_ORDER, "in order"),
        ("order-sign-missing-cbc", "could not check"),
        ("odd/text-only-other-drug", "not our drug"),
    ],
)
def test_the_record_tells_the_four_outcomes_apart(request_file: str, outcome: str, tmp_path: Path) -> None:
    with hospital(tmp_path) as running:
        identifier = running.post(bundled(request_file)).headers["X-Decision-Id"]
        assert recorded(running, identifier).document["outcome"] == outcome


def test_patients_are_recorded_under_a_pseudonym_only(tmp_path: Path) -> None:
    request = bundled(ADVISED)
    patient = request["context"]["patientId"]
    with hospital(tmp_path, request_keys=(new_key(),)) as running:
        first = recorded(running, running.post(request).headers["X-Decision-Id"]).document["patient"]
        again = recorded(running, running.post(ADVISED).headers["X-Decision-Id"]).document["patient"]

    assert first == again
    assert len(patient) > 5
    assert patient.encode() not in all_that_is_stored(tmp_path)


def test_other_patients_whose_data_came_by_mistake_are_not_named_either(tmp_path: Path) -> None:
    request = bundled("odd/another-patients-result", hookInstance="instance for pt-12345678 of another")
    with hospital(tmp_path) as running:
        document = recorded(running, running.post(request).headers["X-Decision-Id"]).document
    foreign = {"Patient/" + name for name in re.findall(r"Patient/([\w-]+)", json.dumps(request["prefetch"]))}
    assert len(foreign) > 1
    assert not any(name in json.dumps(document) for name in foreign)


@pytest.mark.parametrize(
    "patient", ["pt-12345678", 'pt-"quoted"', "pt-\\-back", "pt-Jürgen", "pt-\ud800-half", "summary"]
)
def test_an_id_is_replaced_in_every_text_however_it_is_written_in_json(patient: str, tmp_path: Path) -> None:
    request = bundled(ADVISED, hookInstance="for pt-to-be-replaced, twice pt-to-be-replaced")
    request["context"]["patientId"] = "pt-to-be-replaced"
    written = json.dumps(request).replace(bundled(ADVISED)["context"]["patientId"], "pt-to-be-replaced")
    request = json.loads(written.replace("pt-to-be-replaced", json.dumps(patient)[1:-1]))
    with hospital(tmp_path) as running:
        document = recorded(running, running.post(request).headers["X-Decision-Id"]).document

    assert document["hook_instance"] == f"for {document['patient']}, twice {document['patient']}"
    assert document["cards"][0]["summary"]


def test_an_id_that_could_be_part_of_a_date_is_replaced_only_where_it_is_a_reference(tmp_path: Path) -> None:
    request = bundled(ADVISED, hookInstance="2024 of Patient/2024")
    request["context"]["patientId"] = "2024"
    with hospital(tmp_path) as running:
        document = recorded(running, running.post(request).headers["X-Decision-Id"]).document

    assert document["hook_instance"] == f"2024 of Patient/{document['patient']}"


def test_another_key_gives_another_pseudonym(tmp_path: Path) -> None:
    pseudonyms = []
    for name, key in (("one", "k" * 32), ("two", "l" * 32)):
        with hospital(tmp_path / name, f"sqlite:///{tmp_path / name}.sqlite", pseudonym_key=key) as running:
            pseudonyms.append(recorded(running, running.post(ADVISED).headers["X-Decision-Id"]).document["patient"])

    assert len(set(pseudonyms)) == 2


def test_without_a_configured_key_one_is_made_and_kept(tmp_path: Path) -> None:
    pseudonyms = []
    for _ in range(2):
        with hospital(tmp_path, pseudonym_key=None) as running:
            pseudonyms.append(recorded(running, running.post(ADVISED).headers["X-Decision-Id"]).document["patient"])

    assert len(set(pseudonyms)) == 1
    assert (tmp_path / "pseudonym.key").stat().st_mode & 0o077 == 0


def test_a_folder_that_is_made_for_records_is_nobody_elses_business(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    with hospital(folder, f"sqlite:///{folder / 'own.sqlite'}"):
        assert folder.stat().st_mode & 0o077 == 0


def test_a_refused_request_is_no_decision(tmp_path: Path) -> None:
    with hospital(tmp_path) as running:
        response = running.post(load(INVALID / "missing-hook-instance.json"))
        assert response.status_code == 400
        assert "X-Decision-Id" not in response.headers
        running.post(ADVISED)
        with running.store() as store, store.reading() as connection:
            assert connection.execute(select(func.count()).select_from(DECISION)).scalar_one() == 1


def test_characters_that_a_database_refuses_are_recorded_all_the_same(recording: Hospital) -> None:
    request = bundled(ADVISED, hookInstance="nul \0 and half a \ud800 character")
    decision = recorded(recording, recording.post(request).headers["X-Decision-Id"])

    assert decision.document["hook_instance"] == "nul \0 and half a \ud800 character"


def test_odd_requests_are_recorded_too(recording: Hospital) -> None:
    answered = [recording.post(bundled(f"odd/{file.stem}")) for file in sorted(ODD.glob("*.json"))]
    identifiers = {response.headers["X-Decision-Id"] for response in answered if response.status_code == 200}
    with recording.store() as store:
        assert {decision.id for decision in store.decisions()} == identifiers
    assert recording.state()["degraded"] == {}


def test_while_the_database_is_down_answers_go_out_and_the_service_stays_ready(tmp_path: Path) -> None:
    with hospital(tmp_path, UNREACHABLE) as running:
        assert len(running.cards(ADVISED)) == 1
        assert running.feedback({"feedback": [{"card": "x", "outcome": "accepted"}]}).status_code == 200
        wait_for(lambda: "database" in running.state()["degraded"])
        assert running.state()["waiting"] == 2
        assert len(running.cards(ADVISED)) == 1


def test_a_database_that_is_not_there_shows_before_anything_is_to_be_recorded(tmp_path: Path) -> None:
    with hospital(tmp_path, UNREACHABLE) as running:
        wait_for(lambda: "database" in running.state()["degraded"])
        assert "refused" in running.state()["degraded"]["database"]
        assert running.state()["waiting"] == 0


def test_what_waited_for_the_database_is_written_by_the_next_worker(tmp_path: Path) -> None:
    with hospital(tmp_path, UNREACHABLE) as running:
        identifier = running.post(ADVISED).headers["X-Decision-Id"]
        running.feedback({"feedback": [{"card": "x", "outcome": "accepted"}]})
    with hospital(tmp_path) as running:
        wait_for(lambda: running.state()["counts"].get("records written") == 2)
        assert recorded(running, identifier).id == identifier


def test_a_killed_worker_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path\n"
        "from tests.support.hospital import *\n"
        f"with hospital(Path({str(tmp_path)!r}), {UNREACHABLE!r}) as running:\n"
        f"    print(running.post({ADVISED!r}).headers['X-Decision-Id'], flush=True)\n"
        "    running.feedback({'feedback': [{'card': 'x', 'outcome': 'accepted'}]})\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    root = Path(__file__).parents[2]
    killed = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False)
    assert killed.returncode == -9
    with hospital(tmp_path) as running:
        wait_for(lambda: running.state()["counts"].get("records written") == 2)
        assert recorded(running, killed.stdout.strip()).document["outcome"] == "advice"


def test_the_spool_of_a_worker_that_lives_is_left_alone(tmp_path: Path) -> None:
    with hospital(tmp_path, UNREACHABLE) as one:
        one.post(ADVISED)
        with hospital(tmp_path) as other:
            other.post(ADVISED)
            other.wait_until_recorded()
            assert other.state()["counts"]["records written"] == 1
        assert one.state()["waiting"] == 1


def test_at_the_spools_bound_decisions_are_dropped_counted_and_alarmed_and_answers_go_out(tmp_path: Path) -> None:
    with hospital(tmp_path, UNREACHABLE, spool_bytes=10) as running:
        assert len(running.cards(ADVISED)) == 1
        assert running.state()["counts"]["decisions dropped"] == 1
        assert running.state()["degraded"]["spool"] == "full"


def test_a_spool_with_garbage_holds_up_no_other(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "spool-0-damaged.lines").write_bytes(b"\xff\0 no record\n" * 3 + b"{")
    with hospital(tmp_path) as running:
        running.feedback({"feedback": [{"card": "after", "outcome": "accepted"}]})
        wait_for(lambda: running.state()["counts"].get("records written") == 1)
        wait_for(lambda: running.state()["counts"].get("records refused") == 4)
        assert "records" in running.state()["degraded"]


def test_feedback_that_cannot_be_kept_is_not_acknowledged(tmp_path: Path) -> None:
    with hospital(tmp_path, UNREACHABLE, spool_bytes=10) as running:
        response = running.feedback({"feedback": [{"card": "x", "outcome": "accepted"}]})
        assert response.status_code == 503
        assert response.get_json()["issue"][0]["code"] == "transient"


def test_feedback_is_on_the_disk_before_it_is_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forced: list[int] = []

    def force(descriptor: int) -> None:
        forced.append(os.fstat(descriptor).st_size)

    with hospital(tmp_path, UNREACHABLE) as running:
        monkeypatch.setattr(os, "fsync", force)
        running.post(ADVISED)
        assert forced == []
        assert running.feedback({"feedback": [{"card": "x", "outcome": "accepted"}]}).status_code == 200
        assert len(forced) == 1
        assert forced[0] > 0


def test_feedback_that_the_disk_does_not_confirm_is_not_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with hospital(tmp_path, UNREACHABLE) as running:
        monkeypatch.setattr(os, "fsync", refuse)
        assert running.feedback({"feedback": [{"card": "x", "outcome": "accepted"}]}).status_code == 503
        assert len(running.cards(ADVISED)) == 1
        assert "decisions dropped" not in running.state()["counts"]


def test_a_disk_that_is_slow_to_confirm_feedback_holds_up_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, confirmed = Event(), Event()

    def wait(_: int) -> None:
        asked.set()
        confirmed.wait()

    with hospital(tmp_path, UNREACHABLE) as running:
        monkeypatch.setattr(os, "fsync", wait)
        with ThreadPoolExecutor() as others:
            acknowledged = others.submit(running.feedback, {"feedback": [{"card": "x", "outcome": "accepted"}]})
            asked.wait()
            assert len(running.cards(ADVISED)) == 1
            assert not acknowledged.done()
            confirmed.set()
            assert acknowledged.result().status_code == 200


def test_without_a_disk_answers_go_out_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")
    with hospital(tmp_path) as running:
        assert len(running.cards(ADVISED)) == 1
        assert running.state()["counts"]["decisions dropped"] == 1
        assert "spool" in running.state()["degraded"]
        assert running.feedback({"feedback": [{"card": "x", "outcome": "accepted"}]}).status_code == 503


def test_a_record_that_no_database_takes_holds_up_no_other_and_is_kept(tmp_path: Path) -> None:
    with hospital(tmp_path, UNREACHABLE) as running:
        running.feedback({"feedback": [{"card": "before", "outcome": "accepted"}]})
    orphan = Spool(tmp_path / "spool", 10_000)
    orphan.append(['{"record": "of another planet"}'])
    orphan.close()
    with hospital(tmp_path) as running:
        running.feedback({"feedback": [{"card": "after", "outcome": "accepted"}]})
        wait_for(lambda: running.state()["counts"].get("records refused") == 1)
        with running.store() as store, store.reading() as connection:
            assert set(connection.execute(select(FEEDBACK.c.card)).scalars()) == {"before", "after"}
    assert b"of another planet" in all_that_is_stored(tmp_path / "spool")


def test_a_repeated_call_is_another_decision_with_the_same_card(tmp_path: Path) -> None:
    request = bundled(ADVISED)
    with hospital(tmp_path) as running:
        identifiers = {running.post(request).headers["X-Decision-Id"] for _ in range(2)}
        with running.store() as store, store.reading() as connection:
            rows = connection.execute(select(CARD.c.decision, CARD.c.uuid)).all()
    assert {row.decision for row in rows} == identifiers
    assert len({row.uuid for row in rows}) == 1
