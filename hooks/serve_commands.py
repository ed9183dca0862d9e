"""Commands that serve over HTTP: serve, demo."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.resources import files
from socket import AF_INET, AF_INET6, create_server, socket
from threading import Event

import requests

from hooks.app import create_app
from hooks.for_reading import cards_as_text
from hooks.logs import set_up_logging
from hooks.service import Service
from hooks.service_settings import service_settings
from hooks.settings import CommandError, Settings
from hooks.shared_metrics import shared_folder
from hooks.store import shown_url
from hooks.worker import serve as run
from hooks.workers import CANNOT_START, Workers

_BACKLOG = 1024
_DEMO_REQUEST = "order-select-renal-decline.json"


def serve(options: argparse.Namespace) -> int:
    """Serve until stopped."""
    with _serving(options) as workers:
        return workers.supervise()


def demo(options: argparse.Namespace) -> int:
    """Serve with the sandbox page, and show the answer to a bundled request."""
    with _serving(options, sandbox=True) as workers:
        body = (files("fhir_fixtures") / "requests" / _DEMO_REQUEST).read_bytes()
        url = f"http://{options.host}:{options.port}/cds-services/lenalidomide-order-select"
        print(f"\nPOST {url}  (bundled request {_DEMO_REQUEST})\n", flush=True)
        response = requests.post(url, data=body, headers={"Content-Type": "application/json"}, timeout=10)
        response.raise_for_status()
        print(cards_as_text(response.json()))
        print(f"\nMore patients, and why: http://{options.host}:{options.port}/sandbox")
        print("Still serving; stop with Ctrl-C.", flush=True)
        return workers.supervise()


@contextmanager
def _serving(options: argparse.Namespace, *, sandbox: bool = False) -> Iterator[Workers]:
    """The workers, serving; at the end what is under way is finished."""
    # What is written is about patients: nobody else on this machine reads it.
    os.umask(0o077)
    settings = service_settings(options.config, protocol=options.protocol, host=options.host, sandbox=sandbox)
    set_up_logging(settings.logging)
    assert settings.storage is not None
    # A folder that cannot be made after all stops the start too.
    settings.storage.make_folder()
    # Container platforms stop a service by this signal.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        _listening(options) as listening,
        shared_folder(settings.storage.folder) as folder,
        Workers(settings.workers, partial(_work, replace(settings, metrics_folder=folder), listening)) as workers,
    ):
        print("\n".join(_greeting(options, settings)), flush=True)
        yield workers


def _listening(options: argparse.Namespace) -> socket:
    family = AF_INET6 if ":" in options.host else AF_INET
    return create_server((options.host, options.port), family=family, backlog=_BACKLOG)


def _work(settings: Settings, listening: socket, stopping: Event) -> None:
    """What a worker does."""
    try:
        app = create_app(settings)
    except CommandError as error:
        print(error, file=sys.stderr)
        sys.exit(CANNOT_START)
    service: Service = app.extensions["service"]
    if settings.storage is not None:
        # Of a large body: there may be no other place to write.
        tempfile.tempdir = str(settings.storage.folder)
    try:
        run(app, listening, threads=settings.threads, body_limit=settings.body_limit, stopping=stopping)
    finally:
        service.close()


def _greeting(options: argparse.Namespace, settings: Settings) -> Iterator[str]:
    yield f"Serving {settings.client.protocol} on http://{options.host}:{options.port}/cds-services"
    if settings.open_mode:
        yield "OPEN MODE: no client authentication, this machine only, for trying out. Not for patients."
        if settings.sandbox:
            yield f"Sandbox page: http://{options.host}:{options.port}/sandbox"
    else:
        yield f"Clients: {', '.join(client.name for client in settings.clients)}"
    if settings.storage is not None:
        kept = "with" if settings.storage.request_keys else "without"
        yield f"Recording to {shown_url(settings.storage.database_url)}, {kept} the requests for replay"
