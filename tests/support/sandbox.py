"""The service with its sandbox page, listening on a port of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server as create_listener
from threading import Thread

from flask import Flask
from waitress.server import create_server

from hooks.app import create_app
from hooks.settings import Settings, Storage, with_sandbox


def sandbox_app(folder: Path) -> Flask:
    """The service as the demo runs it, with its records in a folder."""
    storage = Storage(folder, f"sqlite:///{folder / 'records.sqlite'}")
    return create_app(with_sandbox(Settings(storage=storage)))


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """The address at which an application answers meanwhile."""
    listening = create_listener(("127.0.0.1", 0))
    server = create_server(app, sockets=[listening], threads=8)
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.close()
        thread.join(5)
        app.extensions["service"].close()
