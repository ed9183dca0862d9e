"""The command line ``lenalidomide-cds``."""

from __future__ import annotations

import argparse
import io
import sys
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from importlib.resources import files
from pathlib import Path

import requests
from waitress.server import BaseWSGIServer, MultiSocketServer, create_server

from cds import DEFAULT_PROTOCOL, PROTOCOL_IDS
from cds.catalogue import check_catalogue, write_catalogue
from cds.strict_yaml import KnowledgeError
from cds.terminology import load_terminology
from hooks.answering import answer
from hooks.app import create_app
from hooks.discovery import discovery
from hooks.for_reading import cards_as_text
from hooks.now import now_named_by, parse_now
from hooks.problems import MalformedError, Problem, operation_outcome
from hooks.settings import Settings, SettingsError, from_environment
from hooks.wire import decode, encode

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_PORTS = 65536
_DEMO_REQUEST = "order-select-renal-decline.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, or 2 when something was refused."""
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # The same bytes whatever the locale.
        sys.stdout.reconfigure(encoding="utf-8")
    try:
        return int(options.run(options))
    except (SettingsError, KnowledgeError) as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        sys.stdout = io.TextIOWrapper(io.BytesIO())
        return 0
    except OSError as error:
        where = error.filename or (f"{options.host}:{options.port}" if "port" in options else options.command)
        print(f"{where}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lenalidomide-cds", description="Decision support for lenalidomide maintenance."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    serve = commands.add_parser("serve", help="answer CDS Hooks calls over HTTP")
    demo = commands.add_parser(
        "demo", help="serve, post a bundled request as an EHR would, print the card, keep serving"
    )
    for command in (serve, demo):
        command.add_argument("--host", default="127.0.0.1")
        command.add_argument("--port", type=_port, default=8080)
        command.add_argument("--protocol", choices=PROTOCOL_IDS, default=DEFAULT_PROTOCOL)
    serve.set_defaults(run=_serve)
    demo.set_defaults(run=_demo)
    evaluate = commands.add_parser("evaluate", help="answer CDS Hooks requests from files, without network")
    evaluate.add_argument("files", nargs="*", metavar="FILE", help="a request; standard input without any")
    evaluate.add_argument("--ndjson", action="store_true", help="one request a line")
    evaluate.add_argument("--now", metavar="ISO-8601", help="the instant of the evaluation")
    evaluate.add_argument("--protocol", choices=PROTOCOL_IDS)
    evaluate.add_argument("--cards", action="store_true", help="print the cards for a person")
    evaluate.set_defaults(run=_evaluate)
    document = commands.add_parser("discovery", help="print the discovery document")
    document.set_defaults(run=_discovery)
    lint = commands.add_parser("lint", help="say what in a payload is not valid FHIR R4")
    lint.add_argument("files", nargs="+", metavar="FILE")
    lint.set_defaults(run=_lint)
    catalogue = commands.add_parser("catalogue", help="write the pages a clinician signs")
    catalogue.add_argument("--check", action="store_true", help="only say whether the written pages are current")
    catalogue.add_argument("--folder", type=Path, default=Path("docs/catalogue"))
    catalogue.set_defaults(run=_catalogue)
    return parser


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else -1
    if not 0 < port < _PORTS:
        msg = f"'{text}' is not a port from 1 to {_PORTS - 1}"
        raise argparse.ArgumentTypeError(msg)
    return port


def _server(options: argparse.Namespace, settings: Settings) -> MultiSocketServer | BaseWSGIServer:
    # The application refuses a large body in the standard's words; the server's own blunt limit lies well above.
    server: MultiSocketServer | BaseWSGIServer = create_server(
        create_app(settings), host=options.host, port=options.port, max_request_body_size=settings.body_limit * 8
    )
    print(f"Serving {options.protocol} on http://{options.host}:{options.port}/cds-services", flush=True)
    print("Open mode: no client authentication, for trying out only; answers are not recorded.", flush=True)
    if options.host not in _LOOPBACK:
        print("WARNING: open mode beyond loopback. Put an authenticating proxy in front.", file=sys.stderr, flush=True)
    return server


def _serve(options: argparse.Namespace) -> int:
    _server(options, from_environment(options.protocol)).run()
    return 0


def _demo(options: argparse.Namespace) -> int:
    server = _server(options, from_environment(options.protocol))
    threading.Thread(target=server.run, daemon=True).start()
    body = (files("fhir_fixtures") / "requests" / _DEMO_REQUEST).read_bytes()
    url = f"http://{options.host}:{options.port}/cds-services/lenalidomide-order-select"
    print(f"\nPOST {url}  (bundled request {_DEMO_REQUEST})\n", flush=True)
    response = requests.post(url, data=body, headers={"Content-Type": "application/json"}, timeout=10)
    response.raise_for_status()
    print(cards_as_text(response.json()))
    print("\nStill serving; stop with Ctrl-C.", flush=True)
    threading.Event().wait()
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    settings = from_environment()
    refused = False
    for text in _request_texts(options):
        try:
            print(_answered(text, options, settings))
        except Problem as problem:
            refused = True
            print(encode(operation_outcome(problem)))
    return 2 if refused else 0


def _request_texts(options: argparse.Namespace) -> Iterator[bytes]:
    sources = [Path(name).read_bytes() for name in options.files] or [sys.stdin.buffer.read()]
    for source in sources:
        yield from (line for line in source.splitlines() if line.strip()) if options.ndjson else (source,)


def _answered(text: bytes, options: argparse.Namespace, settings: Settings) -> str:
    document = decode(text)
    if not isinstance(document, dict):
        raise MalformedError("body", "expected a JSON object")
    response = answer(
        document,
        now=_now(document, options.now, settings.time_zone),
        protocol=options.protocol,
        explain=True,
        client=settings.client,
    )
    return cards_as_text(response) if options.cards else encode(response)


def _now(document: dict[str, object], named: str | None, zone: tzinfo) -> datetime:
    """The command line's now, else the request's, else the clock's."""
    if named is not None:
        return parse_now(named, zone, "--now")
    own = now_named_by(document)
    return parse_now(own, zone) if own is not None else datetime.now(zone)


def _discovery(_options: argparse.Namespace) -> int:
    print(encode(discovery(from_environment().client.terminology or load_terminology())))
    return 0


def _lint(options: argparse.Namespace) -> int:
    # The models take a second to import, and no other command needs them.
    from hooks.lint import lint_file  # noqa: PLC0415

    complaints = [complaint for name in options.files for complaint in lint_file(Path(name))]
    print("\n".join(complaints) if complaints else "Valid FHIR R4 as far as this check goes.")
    return 2 if complaints else 0


def _catalogue(options: argparse.Namespace) -> int:
    if not options.check:
        write_catalogue(options.folder)
        return 0
    stale = check_catalogue(options.folder)
    print("\n".join(stale) if stale else "The catalogue pages are current.")
    return 2 if stale else 0
