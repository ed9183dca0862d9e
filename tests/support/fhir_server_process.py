"""The process behind ``tests/support/fhir_server.py``: one FHIR server at three ports, the last of them with TLS."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import struct
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Json = dict[str, Any]
_REQUESTS = Path(__file__).parents[2] / "fhir_fixtures" / "requests"
_METADATA = "http://169.254.169.254/latest/meta-data/"
_LONGEST_WAIT = 20.0
_USUAL_ARGUMENTS = 3  # the program, certificate, key


class _State:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.requests: list[Json] = []
        self.tries: Counter[str] = Counter()
        self.released: defaultdict[str, threading.Event] = defaultdict(threading.Event)
        self.elsewhere = 0
        self.resources = _resources()


def _resources() -> list[Json]:
    """Those of a file that the command line names; else all resources of the bundled requests."""
    if len(sys.argv) > _USUAL_ARGUMENTS:
        given: list[Json] = json.loads(Path(sys.argv[_USUAL_ARGUMENTS]).read_text(encoding="utf-8"))
        return given
    found = []
    for file in sorted(_REQUESTS.glob("*.json")):
        for value in json.loads(file.read_text(encoding="utf-8"))["prefetch"].values():
            if value is not None:
                found += [entry["resource"] for entry in value.get("entry", [])] if "entry" in value else [value]
    return [one for one in found if one["resourceType"] != "Bundle"] + [_medication("lenalidomide", "602910")]


def _medication(identifier: str, code: str) -> Json:
    coding = {"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": code}
    return {"resourceType": "Medication", "id": identifier, "code": {"coding": [coding]}}


_STATE: _State


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- as it is called there
        pass

    def do_GET(self) -> None:
        first, name, rest = ([*self.path.lstrip("/").split("/", 2), "", ""])[:3]
        if first == "control":
            self._control(name, rest)
            return
        with _STATE.lock:
            _STATE.tries[self.path] += 1
            _STATE.requests.append(
                {
                    "port": self.connection.getsockname()[1],
                    "path": self.path,
                    "authorization": self.headers.get("Authorization"),
                    "cookie": self.headers.get("Cookie"),
                    "traceparent": self.headers.get("traceparent"),
                    "connection": list(self.client_address),
                }
            )
        behaviour, _, target = first.partition("@")
        target, wanted = unquote(target), unquote(rest)
        concerned = wanted.startswith(target[1:]) if target.startswith("^") else target in wanted
        getattr(self, f"_{(behaviour if concerned else 'well').replace('-', '_').split('=')[0]}")(
            _Asked(self.path, name, rest)
        )

    def _control(self, action: str, name: str) -> None:
        if action == "release":
            _STATE.released[name].set()
        with _STATE.lock:
            listed = [one for one in _STATE.requests if f"/{name}/" in one["path"]]
        self._send(json.dumps(listed).encode())

    # --- Behaviours ---

    def _well(self, asked: _Asked) -> None:
        self._json(_answer(asked))

    def _paged(self, asked: _Asked) -> None:
        self._json(
            _page(_answer(asked), asked, lambda number: f"http://{self.headers['Host']}{_numbered(asked, number)}")
        )

    def _paged_relative(self, asked: _Asked) -> None:
        self._json(_page(_answer(asked), asked, lambda number: _numbered(asked, number)))

    def _second_page_fails(self, asked: _Asked) -> None:
        if "_page" in asked.query:
            self._send(b"", 500)
        else:
            self._paged(asked)

    def _endless(self, asked: _Asked) -> None:
        self._with_next(
            asked, f"http://{self.headers['Host']}{_numbered(asked, int(asked.query.get('_page', '1')) + 1)}"
        )

    def _next_loop(self, asked: _Asked) -> None:
        self._with_next(asked, f"http://{self.headers['Host']}{asked.path}")

    def _next_elsewhere(self, asked: _Asked) -> None:
        self._with_next(asked, f"http://127.0.0.1:{_STATE.elsewhere}/well@/{asked.name}/Observation")

    def _next_userinfo(self, asked: _Asked) -> None:
        self._with_next(asked, f"http://user:secret@{self.headers['Host']}{_numbered(asked, 2)}")

    def _next_other_scheme(self, asked: _Asked) -> None:
        self._with_next(asked, f"https://{self.headers['Host']}{_numbered(asked, 2)}")

    def _with_next(self, asked: _Asked, url: str) -> None:
        bundle = _answer(asked)
        self._json({**bundle, "link": [{"relation": "next", "url": url}]} if "entry" in bundle else bundle)

    def _total_above(self, asked: _Asked) -> None:
        bundle = _answer(asked)
        self._json({**bundle, "total": 350} if "total" in bundle else bundle)

    def _silent(self, asked: _Asked) -> None:
        self._wait(asked)
        self._well(asked)

    def _slow_second_page(self, asked: _Asked) -> None:
        if "_page" in asked.query:
            self._wait(asked)
        self._paged(asked)

    def _drip_headers(self, asked: _Asked) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        self._drip(asked)

    def _drip_body(self, asked: _Asked) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")
        self._drip(asked)

    def _drip_status(self, asked: _Asked) -> None:
        self._drip(asked)

    def _drip(self, asked: _Asked) -> None:
        self.close_connection = True
        with suppress(OSError):
            while not _STATE.released[asked.name].wait(0.01):
                self.wfile.write(b" ")
                self.wfile.flush()
        with _STATE.lock:
            _STATE.requests.append({"port": 0, "path": f"/gone/{asked.name}/", "authorization": None, "connection": []})

    def _wait(self, asked: _Asked) -> None:
        _STATE.released[asked.name].wait(_LONGEST_WAIT)

    def _reset(self, asked: _Asked) -> None:
        body = json.dumps(_answer(asked)).encode()
        self._head(200, len(body))
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def _long_length(self, asked: _Asked) -> None:
        body = json.dumps(_answer(asked)).encode()
        self._head(200, len(body) + 10)
        self.wfile.write(body)
        self.close_connection = True

    def _short_length(self, asked: _Asked) -> None:
        body = json.dumps(_answer(asked)).encode()
        self._head(200, len(body) - 10)
        self.wfile.write(body)

    def _broken_chunk(self, asked: _Asked) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.wfile.write(b"400\r\n" + json.dumps(_answer(asked)).encode()[:64])
        self.close_connection = True

    def _truncated(self, asked: _Asked) -> None:
        self._send(json.dumps(_answer(asked)).encode()[:-20])

    def _html(self, _: _Asked) -> None:
        self._send(b"<html><body>Maintenance</body></html>", 200, ("Content-Type", "text/html"))

    def _not_http(self, _: _Asked) -> None:
        self.wfile.write(b"220 mail.example ESMTP\r\n")
        self.close_connection = True

    def _deep(self, asked: _Asked) -> None:
        nest = '{"a":' * 900 + "1" + "}" * 900
        text = json.dumps({**_answer(asked), "extension": "NEST"}).replace('"NEST"', f"[{nest}]")
        self._send(text.encode())

    def _number(self, _: _Asked) -> None:
        self._send(b"42")

    def _gzip(self, asked: _Asked) -> None:
        self._send(gzip.compress(json.dumps(_answer(asked)).encode()), 200, ("Content-Encoding", "gzip"))

    def _broken_gzip(self, asked: _Asked) -> None:
        self._send(json.dumps(_answer(asked)).encode(), 200, ("Content-Encoding", "gzip"))

    def _bomb(self, _: _Asked) -> None:
        self._send(_BOMB, 200, ("Content-Encoding", "gzip"))

    def _large(self, asked: _Asked) -> None:
        self._json({**_answer(asked), "implicitRules": "x" * 1_000_000})

    def _redirect_here(self, asked: _Asked) -> None:
        self._send(b"", 302, ("Location", asked.path.replace("redirect-here@", "well@", 1)))

    def _redirect_metadata(self, _: _Asked) -> None:
        self._send(b"", 307, ("Location", _METADATA))

    def _redirect_elsewhere(self, asked: _Asked) -> None:
        self._send(b"", 301, ("Location", f"http://127.0.0.1:{_STATE.elsewhere}/well@/{asked.name}/Patient/1"))

    def _status(self, asked: _Asked) -> None:
        self._send(b"{}", int(asked.path.split("=")[1][:3]))

    def _busy(self, _: _Asked) -> None:
        self._send(b"{}", 429, ("Retry-After", "3600"))

    def _once(self, asked: _Asked) -> None:
        if _STATE.tries[asked.path] > 1:
            self._well(asked)
        else:
            self._send(b"{}", int(asked.path.split("=")[1][:3]), ("Retry-After", "0"))

    def _hang_up_once(self, asked: _Asked) -> None:
        if _STATE.tries[asked.path] > 1:
            self._well(asked)
        else:
            self.close_connection = True

    def _hang_up(self, _: _Asked) -> None:
        self.close_connection = True

    def _closes_idle(self, asked: _Asked) -> None:
        self._well(asked)
        self.close_connection = True

    def _cookie(self, asked: _Asked) -> None:
        self._send(json.dumps(_answer(asked)).encode(), 200, ("Set-Cookie", "session=1; Path=/"))

    def _other_type(self, asked: _Asked) -> None:
        other = {"resourceType": "Organization", "id": "o"}
        bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": other}]}
        self._json(other if asked.is_read else bundle)

    def _other_id(self, asked: _Asked) -> None:
        self._json({**_answer(asked), "id": "another"})

    def _other_patient(self, asked: _Asked) -> None:
        text = json.dumps(_answer(asked)).replace('"reference": "Patient/', '"reference": "Patient/not-')
        self._send(text.encode())

    def _outcome(self, _: _Asked) -> None:
        issue = {"severity": "error", "code": "processing", "diagnostics": "SECRET DIAGNOSTICS"}
        self._json({"resourceType": "OperationOutcome", "issue": [issue]})

    # --- Answering ---

    def _json(self, document: Json) -> None:
        self._send(json.dumps(document).encode())

    def _send(self, body: bytes, status: int = 200, *headers: tuple[str, str]) -> None:
        self._head(status, len(body), *headers)
        self.wfile.write(body)

    def _head(self, status: int, length: int, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for header in headers:
            self.send_header(*header)
        self.send_header("Content-Length", str(length))
        self.end_headers()


_BOMB = gzip.compress(b" " * 50_000_000)


class _Asked:
    """A request: its path, the name of its test, and what was asked of which resources."""

    def __init__(self, path: str, name: str, rest: str) -> None:
        self.path, self.name = path, name
        parts = urlsplit(rest)
        self.kind, _, self.identifier = parts.path.partition("/")
        self.is_read = bool(self.identifier)
        self.query = {key: values[0] for key, values in parse_qs(parts.query).items()}


def _answer(asked: _Asked) -> Json:
    if asked.is_read:
        wanted = [one for one in _STATE.resources if (one["resourceType"], one["id"]) == (asked.kind, asked.identifier)]
        return wanted[0] if wanted else {"resourceType": "OperationOutcome"}
    found = [one for one in _STATE.resources if one["resourceType"] == asked.kind and _matches(one, asked.query)]
    bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(found)}
    return {**bundle, "entry": [{"resource": one, "search": {"mode": "match"}} for one in found]}


def _matches(resource: Json, query: dict[str, str]) -> bool:
    subject = resource.get("subject") or resource.get("patient") or {}
    if subject.get("reference") != query.get("patient"):
        return False
    codes = {f"{coding.get('system')}|{coding.get('code')}" for coding in resource.get("code", {}).get("coding", [])}
    return "code" not in query or bool(codes & set(query["code"].split(",")))


def _page(bundle: Json, asked: _Asked, url: Callable[[int], str]) -> Json:
    """One entry a page."""
    entries, number = bundle.get("entry", []), int(asked.query.get("_page", "1"))
    more = [{"relation": "next", "url": url(number + 1)}] if number < len(entries) else []
    return {**bundle, "entry": entries[number - 1 : number], "link": more} if "entry" in bundle else bundle


def _numbered(asked: _Asked, number: int) -> str:
    return f"{asked.path.split('&_page=')[0]}&_page={number}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Clients hang up here, as they should."""


def _main() -> None:
    global _STATE  # noqa: PLW0603 -- one process, one server
    _STATE = _State()
    servers = [_Server(("127.0.0.1", 0), _Handler) for _ in range(3)]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    servers[2].socket = context.wrap_socket(servers[2].socket, server_side=True, do_handshake_on_connect=False)
    ports = [server.server_port for server in servers]
    _STATE.elsewhere = ports[1]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    told = {"port": ports[0], "elsewhere": ports[1], "tls": ports[2]}
    print(json.dumps(told), flush=True)  # noqa: T201 -- how the parent learns the ports
    sys.stdin.read()


if __name__ == "__main__":
    _main()
