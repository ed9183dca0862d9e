"""What a line of the log looks like, what stands in it, and what never does."""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from hooks.app import create_app
from hooks.logs import set_up_logging
from hooks.service_settings import service_settings
from hooks.settings import Logging, Settings, SettingsError
from tests.support.fetching import Hospital as Ward
from tests.support.fhir_server import FhirServerProcess
from tests.support.hospital import ADVISED, ORDER_SIGN, bundled

Json = dict[str, Any]
ENDPOINT = f"/cds-services/{ORDER_SIGN}"


class Log:
    """What was written to standard error."""

    def __init__(self) -> None:
        self._written = StringIO()

    def set_up(self, settings: Logging) -> None:
        logging.getLogger().handlers[:] = []
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(sys, "stderr", self._written)
            set_up_logging(settings)

    @property
    def text(self) -> str:
        return self._written.getvalue()

    @property
    def lines(self) -> list[Json]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """Set up as ``serve`` does it; what pytest itself has set up is put back."""
    monkeypatch.setattr(logging, "raiseExceptions", logging.raiseExceptions)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    root, ours = logging.getLogger(), logging.getLogger("lenalidomide_cds")
    handlers, level, our_level = root.handlers[:], root.level, ours.level
    log = Log()
    log.set_up(Logging())
    yield log
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(our_level)


def test_a_hook_call_is_one_line_with_what_was_called_by_whom_and_what_came_of_it(log: Log) -> None:
    http = create_app(Settings()).test_client()
    response = http.post(ENDPOINT, json=bundled(ADVISED), headers={"X-Request-Id": "r-1"})
    (line,) = log.lines
    assert line.pop("time").endswith("+00:00")
    assert 0 < line.pop("milliseconds") < 60_000
    assert line == {
        "level": "INFO",
        "logger": "lenalidomide_cds",
        "message": "hook call",
        "request_id": "r-1",
        "service": ORDER_SIGN,
        "status": 200,
        "outcome": "advice",
        "client": "open",
        "decision": response.headers["X-Decision-Id"],
    }


def test_a_refused_call_tells_what_was_wrong_and_both_lines_name_the_request(log: Log) -> None:
    create_app(Settings()).test_client().post(ENDPOINT, json={}, headers={"X-Request-Id": "r-2"})
    refusal, call = log.lines
    assert refusal["message"] == "refused a call of /cds-services/<name>: 400 hook"
    assert (call["status"], call["outcome"]) == (400, "refused")
    assert {refusal["request_id"], call["request_id"]} == {"r-2"}


def test_a_line_of_a_thread_that_fetches_names_the_request_too(log: Log, fhir_server: FhirServerProcess) -> None:
    ward = Ward(fhir_server)
    http = create_app(Settings(ward.client)).test_client()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("hooks.fhir_client.next_link", lambda _: int("Edda Marsh"))
        http.post(ENDPOINT, json=json.loads(json.dumps(ward.request(), default=str)), headers={"X-Request-Id": "r-3"})
    faults = [line for line in log.lines if line["message"].startswith("fetching failed: ValueError")]
    assert faults
    assert {line["request_id"] for line in faults} == {"r-3"}
    assert "Marsh" not in log.text


def test_outside_of_a_request_a_line_names_none(log: Log) -> None:
    logging.getLogger("lenalidomide_cds").warning("works again: %s", "database")
    assert log.lines[0].keys() == {"time", "level", "logger", "message"}


def test_of_an_exception_its_kind_and_place_are_written_and_never_its_message(log: Log) -> None:
    for name in ("lenalidomide_cds", "some.library"):
        try:
            int("Edda Marsh")
        except ValueError:
            logging.getLogger(name).exception("it failed")
    assert [line["fault"].partition(",")[0] for line in log.lines] == [
        "ValueError in test_of_an_exception_its_kind_and_place_are_written_and_never_its_message"
    ] * 2
    assert "Marsh" not in log.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_does_not_tell_its_message_either(log: Log) -> None:
    thread = threading.Thread(target=int, args=("Edda Marsh",))
    thread.start()
    thread.join()
    (line,) = log.lines
    assert (line["level"], line["message"].partition(":")[0]) == ("CRITICAL", "a thread ended")
    assert "Marsh" not in log.text


def test_a_line_that_cannot_be_made_is_left_out_rather_than_shown_as_python_does(log: Log) -> None:
    logging.getLogger("some.library").error("%d results", "Edda Marsh")
    assert log.text == ""


def test_libraries_are_heard_from_warnings_on_and_in_the_same_form(log: Log) -> None:
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("beware")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("soon gone", DeprecationWarning, stacklevel=1)
    assert [(line["logger"], line["level"]) for line in log.lines] == [
        ("some.library", "WARNING"),
        ("py.warnings", "WARNING"),
    ]


def test_a_message_of_several_lines_is_still_one_line(log: Log) -> None:
    logging.getLogger("some.library").warning("one\ntwo\u2028three")
    assert len(log.text.splitlines()) == 1


def test_for_people_a_line_is_text_with_the_same_members(log: Log) -> None:
    log.set_up(Logging("text"))
    create_app(Settings()).test_client().post(ENDPOINT, json={}, headers={"X-Request-Id": "r-4"})
    refusal, call = log.text.splitlines()
    assert refusal.endswith(" INFO refused a call of /cds-services/<name>: 400 hook request_id=r-4")
    assert f" INFO hook call request_id=r-4 service={ORDER_SIGN} status=400 outcome=refused milliseconds=" in call


def test_our_own_level_can_be_set(log: Log) -> None:
    log.set_up(Logging(level="WARNING"))
    create_app(Settings()).test_client().post(ENDPOINT, json={})
    assert log.text == ""


@pytest.mark.parametrize(("terminal", "form"), [([True], "text"), ([], "json")])
def test_by_default_a_terminal_gets_text_and_everything_else_json(
    terminal: list[bool], form: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CDS_DATA", str(tmp_path))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: bool(terminal))
    assert service_settings().logging == Logging(form, "INFO")
    monkeypatch.setenv("CDS_LOG_FORMAT", "json")
    monkeypatch.setenv("CDS_LOG_LEVEL", "ERROR")
    assert service_settings().logging == Logging("json", "ERROR")


@pytest.mark.parametrize("setting", ["CDS_LOG_FORMAT", "CDS_LOG_LEVEL"])
def test_a_form_or_a_level_that_there_is_not_stops_the_start(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(setting, "loud")
    with pytest.raises(SettingsError, match=f"{setting} is 'loud'"):
        service_settings()
