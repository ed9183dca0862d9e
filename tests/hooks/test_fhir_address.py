"""Which addresses may be called with an access token, and which words of a request may stand in a URL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.clients import FhirServer
from hooks.fhir_address import configured_server, id_in_url, may_be_called, medication_url, next_page

EHR = FhirServer("https://ehr.example/fhir/r4")
PAGE = "https://ehr.example/fhir/r4/Observation?patient=Patient/1"


@pytest.mark.parametrize(
    "url",
    [
        "https://ehr.example/fhir/r4",
        "https://ehr.example/fhir/r4/",
        "https://EHR.Example/fhir/r4",
        "HTTPS://ehr.example/fhir/r4",
        "https://ehr.example:443/fhir/r4",
    ],
)
def test_case_default_port_and_closing_slash_do_not_make_another_server(url: str) -> None:
    assert configured_server(url, [EHR]) is EHR


@pytest.mark.parametrize(
    "url",
    [
        "http://ehr.example/fhir/r4",
        "https://ehr.example:8443/fhir/r4",
        "https://ehr.example./fhir/r4",
        "https://user@ehr.example/fhir/r4",
        "https://ehr.example@evil.example/fhir/r4",
        "https://ehr.example\\@evil.example/fhir/r4",
        "https://ehr.example.evil.example/fhir/r4",
        "https://ehr.example/fhir/R4",
        "https://ehr.example/fhir",
        "https://ehr.example/fhir/r4/../other",
        "https://ehr.example/fhir/x/../r4",
        "https://ehr.example/fhir/r4/%2e%2e/other",
        "https://ehr.example/fhir/r4?x=1",
        "https://ehr.example/fhir/r4?",
        "https://ehr.example/fhir/r4#",
        "https://ehr.example/fhir/r4\n",
        " https://ehr.example/fhir/r4",
        "https://еhr.example/fhir/r4",  # noqa: RUF001 -- a Cyrillic letter
        "//ehr.example/fhir/r4",
        "ftp://ehr.example/fhir/r4",
        "https://[ehr/fhir/r4",
        "https://ehr.example:port/fhir/r4",
        "",
    ],
)
def test_whatever_else_differs_makes_another_server(url: str) -> None:
    assert configured_server(url, [EHR]) is None


PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "127.0.0.1",
    "127.1.2.3",
    "100.64.0.1",
    "::1",
    "fd00::1",
    "fec0::1",
    "::ffff:10.0.0.1",
    "::10.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::a00:1",
    "2002:a00:1::1",
]
NEVER = [
    "169.254.169.254",
    "169.254.1.1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "fd20:ce::254",
    "100.100.100.200",
    "192.0.0.192",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "ff02::1",
]


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("peer", PUBLIC)
def test_a_public_address_may_be_called(peer: str, private: bool) -> None:  # noqa: FBT001 -- a case's column
    assert may_be_called(peer, FhirServer("https://ehr.example/fhir", private=private))


@pytest.mark.parametrize("peer", PRIVATE)
def test_a_private_address_may_be_called_only_where_the_server_is_said_to_be_private(peer: str) -> None:
    assert not may_be_called(peer, FhirServer("https://ehr.example/fhir"))
    assert may_be_called(peer, FhirServer("https://ehr.example/fhir", private=True))


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("peer", NEVER)
def test_metadata_services_and_link_local_addresses_are_never_called_by_name(peer: str, private: bool) -> None:  # noqa: FBT001 -- as above
    assert not may_be_called(peer, FhirServer("https://ehr.example/fhir", private=private))


@pytest.mark.parametrize(
    ("url", "peer"),
    [
        ("https://10.0.0.1/fhir", "10.0.0.1"),
        ("https://169.254.7.7/fhir", "169.254.7.7"),
        ("https://[FD00:0::1]:8443/fhir", "fd00::1"),
    ],
)
def test_an_address_that_the_operator_wrote_may_be_called(url: str, peer: str) -> None:
    assert may_be_called(peer, FhirServer(url))


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_is_judged_the_same_in_every_ipv6_form(number: int) -> None:
    plain = ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))
    forms = [
        f"::ffff:{plain}",
        f"64:ff9b::{number >> 16:x}:{number & 0xFFFF:x}",
        f"2002:{number >> 16:x}:{number & 0xFFFF:x}::",
    ]
    for server in (EHR, FhirServer(EHR.url, private=True)):
        assert {may_be_called(form, server) for form in forms} == {may_be_called(plain, server)}


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("https://ehr.example/fhir/r4?page=2", "https://ehr.example/fhir/r4?page=2"),
        ("https://EHR.example:443/pages/2", "https://EHR.example:443/pages/2"),
        ("?page=2", "https://ehr.example/fhir/r4/Observation?page=2"),
        ("/pages/2", "https://ehr.example/pages/2"),
        ("Observation?page=2", "https://ehr.example/fhir/r4/Observation?page=2"),
    ],
)
def test_a_next_page_on_the_same_server_is_followed(link: str, url: str) -> None:
    assert next_page(link, PAGE, EHR) == url


@pytest.mark.parametrize(
    "link",
    [
        "http://ehr.example/fhir/r4?page=2",
        "https://ehr.example:8443/fhir/r4?page=2",
        "https://ehr.example.evil.example/fhir/r4",
        "https://user:secret@ehr.example/fhir/r4?page=2",
        "https://ehr.example@evil.example/",
        "//evil.example/fhir",
        "\\\\evil.example/fhir",
        "https:\\\\evil.example/fhir",
        "https://[evil",
        "javascript:alert(1)",
        "\thttps://evil.example",
        "",
        None,
        7,
        {},
    ],
)
def test_a_next_page_anywhere_else_is_not(link: object) -> None:
    assert next_page(link, PAGE, EHR) is None


@pytest.mark.parametrize(
    "reference",
    [
        "Medication/m-1",
        "https://ehr.example/fhir/r4/Medication/m-1",
        "https://EHR.example/fhir/r4/Medication/m-1/_history/3",
    ],
)
def test_a_medication_on_the_server_is_read(reference: str) -> None:
    assert medication_url(reference, EHR) == "https://ehr.example/fhir/r4/Medication/m-1"


@pytest.mark.parametrize(
    "reference",
    [
        "https://evil.example/fhir/r4/Medication/m-1",
        "https://ehr.example/other/Medication/m-1",
        "urn:uuid:0c1a",
        "#contained",
        "m-1",
        "Substance/m-1",
        "Medication/",
        "Medication/..",
        "Medication/../Patient/1",
        "Medication/m-1?_format=x",
        "Medication?name=x",
        "",
    ],
)
def test_any_other_reference_is_not(reference: str) -> None:
    assert medication_url(reference, EHR) is None


@pytest.mark.parametrize("identifier", ["1", "pt-1", "eq081-VQEgP8drUUqCWzHfw3", "a.b_c~d", "x" * 255, "..."[:1] + "a"])
def test_an_id_stands_in_a_url_as_it_is(identifier: str) -> None:
    assert id_in_url(identifier) == identifier


@given(st.text())
def test_nothing_in_an_id_can_mean_more_than_an_id(identifier: str) -> None:
    assert (id_in_url(identifier) or "").isascii()
    assert not set(id_in_url(identifier) or "") & set("/?#&|,$\\%:;=+ \n")
    assert id_in_url(identifier) not in {"", ".", ".."}


@pytest.mark.parametrize(
    "identifier", ["", ".", "..", "../x", "a?b", "a#b", "a&b", "a|b", "a,b", "a/b", "a%2Fb", "a b", "x" * 256]
)
def test_an_id_that_could_mean_more_is_not_asked_for(identifier: str) -> None:
    assert id_in_url(identifier) is None
