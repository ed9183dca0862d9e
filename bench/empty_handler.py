"""What an answer costs before anything is judged: the same framework, server, workers, authentication and request body.

``python -m bench.empty_handler PORT`` serves it as ``lenalidomide-cds serve`` would, by the same settings.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from functools import partial
from socket import create_server, socket
from threading import Event

import orjson
from flask import Flask, Response, request

from bench.processes import HOST
from hooks.auth import Authenticator
from hooks.health import Health
from hooks.key_sets import KeySets
from hooks.service import SERVICES_PATH
from hooks.service_settings import service_settings
from hooks.settings import Settings
from hooks.used_tokens import used_tokens
from hooks.worker import serve
from hooks.workers import Workers

_ANSWER = orjson.dumps(
    {
        "cards": [
            {
                "uuid": "6cc1a3ae-6d5c-5b1e-9c62-7b8f2f1d9a10",
                "summary": "A fixed card",
                "indicator": "info",
                "detail": "It is about as long as a card that says something. " * 12,
                "source": {"label": "The benchmark"},
            }
        ]
    }
)


def main() -> None:
    settings = service_settings()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    listening = create_server((HOST, int(sys.argv[1])), backlog=1024)
    with (
        suppress(KeyboardInterrupt),
        listening,
        Workers(settings.workers, partial(_work, settings, listening)) as workers,
    ):
        workers.supervise()


def create_app(settings: Settings | None = None) -> Flask:
    """The WSGI application; without settings, by those of the environment."""
    used = settings or service_settings()
    caller = authenticator(used)
    app = Flask("empty", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = used.body_limit

    @app.post(f"{SERVICES_PATH}/<name>")
    def answer(name: str) -> Response:
        if caller is not None:
            caller.caller(request.headers.get("Authorization"), [f"{SERVICES_PATH}/{name}"])
        # At once, as the service does.
        orjson.loads(request.environ["wsgi.input"].read(request.content_length))
        return Response(_ANSWER, content_type="application/json; charset=utf-8")

    return app


def authenticator(settings: Settings) -> Authenticator | None:
    """As the service has it: with the same store of used tokens; None in open mode."""
    if settings.open_mode:
        return None
    health = Health()
    keys = KeySets(health, settings.fetching.ca_bundle)
    folder = None if settings.storage is None else settings.storage.folder
    return Authenticator(settings.clients, settings.tokens, keys, used_tokens(settings.tokens, folder, health))


def _work(settings: Settings, listening: socket, stopping: Event) -> None:
    app = create_app(settings)
    serve(app, listening, threads=settings.threads, body_limit=settings.body_limit, stopping=stopping)


if __name__ == "__main__":
    main()
