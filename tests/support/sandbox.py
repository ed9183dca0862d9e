"""The service with its sandbox page, listening on a port of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from flask import Flask
from werkzeug.serving import make_server

from hooks.app import create_app
from hooks.settings import Settings, Storage, with_sandbox


def sandbox_app(folder: Path) -> Flask:
    """The service as the demo runs it, with its records in a folder."""
    storage = Storage(folder, f"sqlite:///{folder / 'records.sqlite'}")
    return create_app(with_sandbox(Settings(storage=storage)))


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """The address at which an application answers meanwhile."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        app.extensions["service"].close()
