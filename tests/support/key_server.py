"""A client's key server on this machine, which can be made to misbehave."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from time import sleep
from typing import Any


@dataclass
class KeyServer:
    """``asked`` counts requests by path; while ``open`` is not set, answers are held back.

    An answer of ``pieces`` is sent piece by piece, status line and headers included, a moment apart.
    """

    url: str = ""
    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Callable[[], Iterator[bytes]] | None = None
    asked: Counter[str] = field(default_factory=Counter)
    open: Event = field(default_factory=Event)
    stopped: Event = field(default_factory=Event)

    def answers(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.body, self.status, self.headers, self.pieces = body, status, headers, None

    @property
    def times_asked(self) -> int:
        return self.asked.total()


@contextmanager
def key_server(context: ssl.SSLContext | None = None) -> Iterator[KeyServer]:
    """A server at ``url``, on http or with the context's certificate on https."""
    described = KeyServer()
    described.open.set()
    with _Server(("127.0.0.1", 0), _handler(described)) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "http" if context is None else "https"
        described.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/jwks"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield described
        finally:
            described.open.set()
            described.stopped.set()
            server.shutdown()
            thread.join()


def eventually(holds: Callable[[], object]) -> bool:
    """Whether something comes true within some seconds."""
    for _ in range(1000):
        if holds():
            return True
        sleep(0.01)
    return False


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""


def _handler(described: KeyServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            described.asked[self.path] += 1
            described.open.wait()
            if described.pieces is not None:
                return self._trickle(described.pieces())
            self.send_response(described.status)
            for name, value in described.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(described.body)))
            self.end_headers()
            self.wfile.write(described.body)
            return None

        def log_message(self, *_: object) -> None:
            """Nothing: tests count instead."""

        def _trickle(self, pieces: Iterator[bytes]) -> None:
            for piece in pieces:
                if described.stopped.wait(0.01):
                    return
                self.wfile.write(piece)

    return Handler
