"""One worker process: serves an application on a socket that it shares with others, until it is told to stop."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from socket import socket
from threading import Event
from time import monotonic
from typing import Any, cast

from flask import Flask
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, create_server

_CONNECTIONS = 250
_BODY_IN_MEMORY = 2 * 1024 * 1024  # bytes: whoever sends has not said who he is yet, and may send on all connections
_IDLE = 30  # seconds until a connection that says nothing is closed
_READ_AT_ONCE = 256 * 1024  # bytes
_LOOK = 0.5  # seconds until a stop is noticed at the latest
_COURTESY = 0.003  # seconds after a new connection in which the next is left to other workers
_SHORTEST = 0.001  # seconds: the loop counts milliseconds, and would not wait for less
_PATIENCE = 20.0  # seconds for the calls under way at a stop
# Python's own 700 has the collector look at the objects of every answer, and at all knowledge every few answers.
_COLLECTED_AFTER = (50_000, 20, 100)
# Longer than an answer takes: threads that give way in the midst of theirs get done later, all of them, and cost more.
_GIVES_WAY_AFTER = 0.05  # seconds; Python's own 0.005


def serve(app: Flask, listening: socket, *, threads: int, body_limit: int, stopping: Event) -> None:
    """Answer until ``stopping`` is set; then take no new connection, finish what came, and return.

    A body is received whole before a thread is given to it, so that one that never ends keeps nobody from an answer.
    """
    connections: dict[int, Any] = {}
    server = create_server(
        app,
        map=connections,
        sockets=[listening],
        threads=threads,
        connection_limit=_CONNECTIONS,
        channel_timeout=_IDLE,
        recv_bytes=_READ_AT_ONCE,
        # The application refuses a large body in the standard's words; the server's own blunt limit lies above.
        max_request_body_size=body_limit * 2,
        # What is larger lies in a file without a name, in the folder of temporary files.
        inbuf_overflow=_BODY_IN_MEMORY,
    )
    assert isinstance(server, BaseWSGIServer)
    server.channel_class = _Connection
    keep_knowledge_from_the_collector()
    sys.setswitchinterval(_GIVES_WAY_AFTER)
    while not stopping.is_set():
        before = len(_callers(server))
        _turn(connections)
        if len(_callers(server)) > before:
            _leave_the_next_to_others(server, connections)
    wasyncore.dispatcher.close(server)
    until = monotonic() + _PATIENCE
    while _is_busy(server) and monotonic() < until:
        _turn(connections)
    server.task_dispatcher.shutdown()
    wasyncore.close_all(connections)


def keep_knowledge_from_the_collector() -> None:
    """What lives as long as the worker need not be looked at for garbage, neither now nor at each collection."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTED_AFTER)


class _Connection(HTTPChannel):
    """Written to by the thread that answers; by the loop only what that thread has left."""

    def writable(self) -> bool:
        """Not while a thread may be writing: the loop would look over and over, and keep the interpreter from it."""
        left = self.total_outbufs_len
        return bool(
            self.will_close
            or self.close_when_flushed
            or (left and not self.requests)
            # So much that the thread waits until it is less.
            or left > self.adj.outbuf_high_watermark
        )


def _leave_the_next_to_others(server: BaseWSGIServer, connections: Mapping[int, Any]) -> None:
    """Else the worker that wakes first takes all connections that are made together, and others stay idle beside it."""
    until = monotonic() + _COURTESY
    while (left := until - monotonic()) >= _SHORTEST:
        _turn({number: one for number, one in connections.items() if one is not server}, left)


def _turn(connections: Mapping[int, Any], timeout: float = _LOOK) -> None:
    wasyncore.loop(timeout=timeout, use_poll=True, map=connections, count=1)


def _is_busy(server: BaseWSGIServer) -> bool:
    """Whether a call is being received, answered or sent."""
    return any(caller.requests or caller.request or caller.total_outbufs_len for caller in _callers(server).values())


def _callers(server: BaseWSGIServer) -> Mapping[int, HTTPChannel]:
    return cast("Mapping[int, HTTPChannel]", server.active_channels)
