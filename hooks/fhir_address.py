"""Which addresses may be called with a client's access token: configured FHIR servers, and nothing that hides behind them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from hooks.clients import FhirServer

_PORTS = {"http": 80, "https": 443}
_UNUSUAL = re.compile(r"[\s\\\x00-\x20\x7f-\U0010ffff]")
# Nothing that a path, a query or a FHIR search reads as more than an id, and room for ids longer than FHIR's 64.
_ID = re.compile(r"(?!\.+$)[A-Za-z0-9._~-]{1,255}")
# Cloud machines give out credentials here (Amazon, Alibaba, Google, Oracle); link-local ones are refused as such.
_METADATA = {ip_address(text) for text in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192")}
_CARRIER_GRADE = ip_network("100.64.0.0/10")
# Networks whose addresses carry an IPv4 address in their last 32 bits: mapped, compatible, and NAT64 (RFC 6052, RFC 8215).
_CARRYING = [ip_network(text) for text in ("::ffff:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48")]
_LOW_32_BITS = 0xFFFFFFFF

Address = IPv4Address | IPv6Address


class _Place(NamedTuple):
    scheme: str
    host: str
    port: int
    path: str


def configured_server(url: str, servers: Iterable[FhirServer]) -> FhirServer | None:
    """The configured server that a request's ``fhirServer`` names; case, default port and a closing slash do not matter."""
    place = _place(url)
    return None if place is None else next((server for server in servers if _place(server.url) == place), None)


def next_page(link: object, page: str, server: FhirServer) -> str | None:
    """The absolute URL of a ``next`` link found on a page, None where it leaves the server's origin."""
    if not isinstance(link, str) or not link or _UNUSUAL.search(link):
        return None
    try:
        url = urljoin(page, link)
    except ValueError:
        return None
    there, ours = _split(url), _split(server.url)
    if there is None or ours is None or there[:3] != ours[:3]:
        return None
    return url


def medication_url(reference: str, server: FhirServer) -> str | None:
    """Where a Medication is read that is referred to relatively or on this server; None for every other reference."""
    head, named, identifier = reference.split("/_history/", 1)[0].rpartition("Medication/")
    if not named or not _ID.fullmatch(identifier) or (head and configured_server(head, [server]) is None):
        return None
    return f"{server.url}/Medication/{quote(identifier, safe='')}"


def id_in_url(identifier: str) -> str | None:
    """An id as a URL holds it; None for one that could mean more than an id there."""
    return quote(identifier, safe="") if _ID.fullmatch(identifier) else None


def may_be_called(peer: str, server: FhirServer) -> bool:
    """Whether the address at the other end of a connection may be a configured server's."""
    address = ip_address(peer.partition("%")[0])
    return address == _literal(server) or all(_may(one, private=server.private) for one in _meant_by(address))


def _literal(server: FhirServer) -> Address | None:
    """The address that an operator wrote instead of a host's name."""
    split = _split(server.url)
    try:
        return None if split is None else ip_address(split.host)
    except ValueError:
        return None


def _may(address: Address, *, private: bool) -> bool:
    if address in _METADATA or address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    within = isinstance(address, IPv6Address) and address.is_site_local
    is_public = address.is_global and not within and address not in _CARRIER_GRADE
    return is_public or private


def _meant_by(address: Address) -> Iterator[Address]:
    """The address, or the IPv4 addresses to which a network would deliver it."""
    if isinstance(address, IPv4Address):
        yield address
    elif any(address in network for network in _CARRYING) and int(address) > 1:
        yield IPv4Address(int(address) & _LOW_32_BITS)
    elif address.sixtofour is not None:
        yield address.sixtofour
    elif address.teredo is not None:
        yield from address.teredo
    else:
        yield address


def _place(url: str) -> _Place | None:
    """A base URL as it is compared. Dots, escapes and the like are not resolved: they make it another one."""
    split = _split(url)
    if split is None or "?" in url or "#" in url:
        return None
    return split._replace(path=split.path.rstrip("/"))


def _split(url: str) -> _Place | None:
    """Scheme, host, port and path; None with credentials, unusual characters, or nothing to call."""
    if _UNUSUAL.search(url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    return _Place(parts.scheme, parts.hostname, _PORTS[parts.scheme] if port is None else port, parts.path)
