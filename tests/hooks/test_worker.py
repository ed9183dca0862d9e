"""How a worker takes connections and writes its answers."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Event, Thread
from time import sleep
from typing import TYPE_CHECKING, cast

import requests
from flask import Flask, Response, request
from waitress.channel import HTTPChannel

from hooks.worker import serve

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_LARGE = 40_000_000  # bytes: more than sockets hold, and more than the server keeps for a connection


def test_the_loop_leaves_the_writing_to_the_thread_that_answers() -> None:
    told: list[bool] = []

    def answer(environ: WSGIEnvironment) -> Iterator[bytes]:
        client_disconnected = cast("Callable[[], bool]", environ["waitress.client_disconnected"])
        channel = cast("HTTPChannel", client_disconnected.__self__)  # type: ignore[attr-defined]
        with channel.outbuf_lock:
            channel.total_outbufs_len += 1
            told.append(channel.writable())
            asked, channel.requests = channel.requests, []
            told.append(channel.writable())
            channel.requests = asked
            channel.total_outbufs_len -= 1
        yield b"done"

    with _serving(answer) as port:
        assert requests.get(f"http://127.0.0.1:{port}/", timeout=20).text == "done"
    assert told == [False, True]


def test_who_reads_slowly_gets_all_of_a_large_answer() -> None:
    def answer(_: WSGIEnvironment) -> Iterator[bytes]:
        yield from [b"~" * (_LARGE // 4)] * 4

    with _serving(answer) as port, socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: cds\r\nConnection: close\r\n\r\n")
        received = 0
        while piece := connection.recv(1_000_000):
            received += piece.count(b"~")
    assert received == _LARGE


def test_connections_made_together_are_shared_out() -> None:
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=100))
        address = listening.getsockname()
        connections = [stack.enter_context(socket.create_connection(address, timeout=20)) for _ in range(100)]
        for name in (b"early", b"late"):
            # On a descriptor of its own, as in a process of its own.
            stack.enter_context(_serving(_saying(name), listening.dup()))
            sleep(0.05)
        for connection in connections:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: cds\r\nConnection: close\r\n\r\n")
        answers = [connection.makefile("rb").read() for connection in connections]
    assert sum(b"early" in answer for answer in answers) >= 10
    assert sum(b"late" in answer for answer in answers) >= 10


def _saying(text: bytes) -> Callable[[WSGIEnvironment], Iterator[bytes]]:
    return lambda _: iter([text])


@contextmanager
def _serving(
    answer: Callable[[WSGIEnvironment], Iterator[bytes]], shared: socket.socket | None = None
) -> Iterator[int]:
    app = Flask("tried")

    @app.get("/")
    def page() -> Response:
        return Response(answer(request.environ), content_type="text/plain")

    listening, stopping = shared or socket.create_server(("127.0.0.1", 0)), Event()
    limits = {"threads": 2, "body_limit": 1_000_000, "stopping": stopping}
    thread = Thread(target=serve, args=(app, listening), kwargs=limits)
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        stopping.set()
        thread.join()
