"""Commands that serve over HTTP: serve, demo."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files

import requests
from waitress.server import create_server

from hooks.app import create_app
from hooks.for_reading import cards_as_text
from hooks.service import Service
from hooks.settings import Settings, check_folder, check_host, from_environment, with_sandbox
from hooks.store import shown_url

_CONNECTIONS = 1000
_IDLE = 30  # seconds until a connection that says nothing is closed
_DEMO_REQUEST = "order-select-renal-decline.json"


def serve(options: argparse.Namespace) -> int:
    """Serve until stopped."""
    with _serving(options) as run:
        run()
    return 0


def demo(options: argparse.Namespace) -> int:
    """Serve with the sandbox page, and show the answer to a bundled request."""
    with _serving(options, sandbox=True) as run:
        threading.Thread(target=run, daemon=True).start()
        body = (files("fhir_fixtures") / "requests" / _DEMO_REQUEST).read_bytes()
        url = f"http://{options.host}:{options.port}/cds-services/lenalidomide-order-select"
        print(f"\nPOST {url}  (bundled request {_DEMO_REQUEST})\n", flush=True)
        response = requests.post(url, data=body, headers={"Content-Type": "application/json"}, timeout=10)
        response.raise_for_status()
        print(cards_as_text(response.json()))
        print(f"\nMore patients, and why: http://{options.host}:{options.port}/sandbox")
        print("Still serving; stop with Ctrl-C.", flush=True)
        threading.Event().wait()
    return 0


@contextmanager
def _serving(options: argparse.Namespace, *, sandbox: bool = False) -> Iterator[Callable[[], None]]:
    """The server, ready to run; at the end what is under way is finished."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    # Of the libraries' words only the warnings.
    logging.getLogger("lenalidomide_cds").setLevel(logging.INFO)
    # What is written is about patients: nobody else on this machine reads it.
    os.umask(0o077)
    settings = from_environment(options.protocol)
    if sandbox:
        settings = with_sandbox(settings)
    check_host(settings, options.host)
    check_folder(settings)
    app = create_app(settings)
    server = create_server(
        app,
        host=options.host,
        port=options.port,
        threads=settings.threads,
        connection_limit=_CONNECTIONS,
        channel_timeout=_IDLE,
        # The application refuses a large body in the standard's words; the server's own blunt limit lies above.
        max_request_body_size=settings.body_limit * 2,
    )
    # Container platforms stop a service by this signal.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        print("\n".join(_greeting(options, settings)), flush=True)
        yield server.run
    finally:
        service: Service = app.extensions["service"]
        service.close()


def _greeting(options: argparse.Namespace, settings: Settings) -> Iterator[str]:
    yield f"Serving {options.protocol} on http://{options.host}:{options.port}/cds-services"
    if settings.open_mode:
        yield "OPEN MODE: no client authentication, this machine only, for trying out. Not for patients."
        if settings.sandbox:
            yield f"Sandbox page: http://{options.host}:{options.port}/sandbox"
    else:
        yield f"Clients: {', '.join(client.name for client in settings.clients)}"
    if settings.storage is not None:
        kept = "with" if settings.storage.request_keys else "without"
        yield f"Recording to {shown_url(settings.storage.database_url)}, {kept} the requests for replay"
