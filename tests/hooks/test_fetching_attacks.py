"""Nobody who names a server, a page or a redirect gets the token: it goes to configured servers at their addresses alone."""

from __future__ import annotations

import logging

import pytest

from hooks.health import Counted
from tests.support.fetching import TOKEN, Hospital, failures, not_checked
from tests.support.fhir_server import FhirServerProcess

NOT_CONFIGURED = "the FHIR server is not one configured for this client"
NOT_CALLED = "the FHIR server is at an address that may not be called"
NAMED = {
    "metadata service": "http://169.254.169.254/latest/meta-data",
    "metadata service over IPv6": "http://[fd00:ec2::254]/latest",
    "IPv6 form": "http://[::ffff:127.0.0.1]:{port}/{path}",
    "IPv6 loopback": "http://[::1]:{port}/{path}",
    "decimal form": "http://2130706433:{port}/{path}",
    "octal form": "http://0177.0.0.1:{port}/{path}",
    "hexadecimal form": "http://0x7f.1:{port}/{path}",
    "short form": "http://127.1:{port}/{path}",
    "trailing dot": "http://127.0.0.1.:{port}/{path}",
    "name instead of address": "http://localhost:{port}/{path}",
    "userinfo": "http://user:secret@127.0.0.1:{port}/{path}",
    "configured host as userinfo": "http://127.0.0.1:{port}@127.0.0.1:{elsewhere}/{path}",
    "backslash": "http://127.0.0.1:{port}\\@127.0.0.1:{elsewhere}/{path}",
    "other port": "http://127.0.0.1:{elsewhere}/{path}",
    "no port": "http://127.0.0.1/{path}",
    "other scheme": "https://127.0.0.1:{port}/{path}",
    "no scheme": "//127.0.0.1:{port}/{path}",
    "dots in the path": "http://127.0.0.1:{port}/{path}/../other",
    "encoded dots": "http://127.0.0.1:{port}/{path}/%2e%2e/other",
    "longer path": "http://127.0.0.1:{port}/{path}x",
    "longer host": "http://127.0.0.1.evil.example:{port}/{path}",
    "query": "http://127.0.0.1:{port}/{path}?x=",
    "fragment": "http://127.0.0.1:{port}/{path}#",
    "line break": "http://127.0.0.1:{port}/{path}\r\nHost: evil",
    "file": "file:///etc/passwd",
    "not a URL": "http://[",
}


@pytest.mark.parametrize("url", NAMED.values(), ids=NAMED)
def test_a_server_that_is_not_configured_is_not_called(
    fhir_server: FhirServerProcess, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    hospital = Hospital(fhir_server)
    path = hospital.base.split("/", 3)[3]
    named = url.format(port=fhir_server.port, elsewhere=fhir_server.elsewhere, path=path)

    completed = hospital.completed(fhirServer=named)

    assert fhir_server.requests(hospital.name) == []
    assert set(failures(completed).values()) == {"forbidden"}
    assert f"Medication orders: not retrieved ({NOT_CONFIGURED})" in not_checked(completed)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "secret" not in caplog.text
    assert "\n" not in caplog.records[0].getMessage()
    assert hospital.health.counted == {(Counted.FHIR_FETCHES, ("not_configured",)): len(failures(completed))}


@pytest.mark.parametrize("form", ["HTTP://127.0.0.1:{port}/{path}", "http://127.0.0.1:{port}/{path}/"])
def test_another_spelling_of_the_configured_server_is_that_server(fhir_server: FhirServerProcess, form: str) -> None:
    hospital = Hospital(fhir_server)
    path = hospital.base.split("/", 3)[3]
    completed = hospital.completed(fhirServer=form.format(port=fhir_server.port, path=path))
    assert failures(completed) == {}


class Elsewhere(Hospital):
    """A hospital whose server is configured by a name, and found at a private address."""

    @property
    def base(self) -> str:
        return super().base.replace("127.0.0.1", "localhost")


def test_a_configured_name_that_leads_to_a_private_address_is_not_sent_anything(
    fhir_server: FhirServerProcess, caplog: pytest.LogCaptureFixture
) -> None:
    hospital = Elsewhere(fhir_server, private=False)
    completed = hospital.completed()
    assert fhir_server.requests(hospital.name) == []
    assert f"Medication orders: not retrieved ({NOT_CALLED})" in not_checked(completed)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert hospital.health.degraded == {}


def test_a_configured_name_may_lead_to_a_private_address_where_that_is_configured_too(
    fhir_server: FhirServerProcess,
) -> None:
    assert failures(Elsewhere(fhir_server, private=True).completed()) == {}


def test_an_address_that_is_configured_itself_is_called(fhir_server: FhirServerProcess) -> None:
    assert failures(Hospital(fhir_server, private=False).completed()) == {}


@pytest.mark.parametrize("behaviour", ["redirect-metadata", "redirect-elsewhere", "redirect-here"])
def test_a_redirect_is_not_followed(fhir_server: FhirServerProcess, behaviour: str) -> None:
    hospital = Hospital(fhir_server, behaviour)
    completed = hospital.completed()
    assert {one["port"] for one in fhir_server.requests(hospital.name)} == {fhir_server.port}
    assert not any("well@" in one["path"] for one in fhir_server.requests(hospital.name))
    assert "Medication orders: not retrieved (answered with a redirect)" in not_checked(completed)


@pytest.mark.parametrize("behaviour", ["next-elsewhere", "next-userinfo", "next-other-scheme"])
def test_a_next_page_elsewhere_is_not_read(
    fhir_server: FhirServerProcess, behaviour: str, caplog: pytest.LogCaptureFixture
) -> None:
    hospital = Hospital(fhir_server, behaviour)
    hospital.completed()
    requests = fhir_server.requests(hospital.name)
    assert {one["port"] for one in requests} == {fhir_server.port}
    assert not any("_page" in one["path"] for one in requests)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_next_page_elsewhere_in_prefetch_is_not_read(fhir_server: FhirServerProcess) -> None:
    hospital = Hospital(fhir_server)
    link = f"http://127.0.0.1:{fhir_server.elsewhere}/well@/{hospital.name}/Condition"
    bundle = {"resourceType": "Bundle", "entry": [], "link": [{"relation": "next", "url": link}]}
    completed = hospital.completed(prefetch={"conditions": bundle})
    assert {one["port"] for one in fhir_server.requests(hospital.name)} == {fhir_server.port}
    assert "Diagnoses: not retrieved (the next page is on another server)" in not_checked(completed)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_the_environment_names_no_proxy(
    fhir_server: FhirServerProcess, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, f"http://127.0.0.1:{fhir_server.elsewhere}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    hospital = Hospital(fhir_server)
    assert failures(hospital.completed()) == {}
    assert {one["port"] for one in fhir_server.requests(hospital.name)} == {fhir_server.port}


def test_credentials_of_the_environment_are_not_sent(
    fhir_server: FhirServerProcess, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    hospital = Hospital(fhir_server)
    hospital.completed()
    assert {one["authorization"] for one in fhir_server.requests(hospital.name)} == {f"Bearer {TOKEN}"}


def test_a_log_at_every_level_holds_no_query(fhir_server: FhirServerProcess, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        Hospital(fhir_server).completed()
    assert caplog.records == []
