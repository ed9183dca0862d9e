"""The command line ``lenalidomide-cds``."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from datetime import date
from importlib import import_module
from pathlib import Path

from cds import PROTOCOL_IDS
from cds.strict_yaml import KnowledgeError
from hooks.settings import CommandError

_PORTS = 65536
_PERCENT = 100
_FORMATS = ("text", "json", "csv")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, or 2 when something was refused."""
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # The same bytes whatever the locale.
        sys.stdout.reconfigure(encoding="utf-8")
    try:
        return int(options.run(options))
    except (CommandError, KnowledgeError) as error:
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
    configured = argparse.ArgumentParser(add_help=False)
    configured.add_argument("--config", metavar="FILE", help="the file of settings; wins over CDS_CONFIG")
    serve = commands.add_parser("serve", parents=[configured], help="answer CDS Hooks calls over HTTP")
    demo = commands.add_parser(
        "demo",
        parents=[configured],
        help="serve, post a bundled request as an EHR would, print the card, keep serving",
    )
    for command in (serve, demo):
        command.add_argument("--host", default="127.0.0.1")
        command.add_argument("--port", type=_port, default=8080)
        command.add_argument("--protocol", choices=PROTOCOL_IDS)
    serve.set_defaults(run=_run_by("serve_commands", "serve"))
    demo.set_defaults(run=_run_by("serve_commands", "demo"))
    evaluate = commands.add_parser(
        "evaluate", parents=[configured], help="answer CDS Hooks requests from files, without network"
    )
    evaluate.add_argument("files", nargs="*", metavar="FILE", help="a request; standard input without any")
    evaluate.add_argument("--ndjson", action="store_true", help="one request a line")
    evaluate.add_argument("--now", metavar="ISO-8601", help="the instant of the evaluation")
    evaluate.add_argument("--protocol", choices=PROTOCOL_IDS)
    evaluate.add_argument("--cards", action="store_true", help="print the cards for a person")
    evaluate.set_defaults(run=_run_by("evaluate_commands", "evaluate"))
    document = commands.add_parser("discovery", parents=[configured], help="print the discovery document")
    document.add_argument(
        "--templates", action="store_true", help="only the prefetch queries, one a line, to be typed in"
    )
    document.set_defaults(run=_run_by("evaluate_commands", "print_discovery"))
    lint = commands.add_parser("lint", help="say what in a payload is not valid FHIR R4")
    lint.add_argument("files", nargs="+", metavar="FILE")
    lint.set_defaults(run=_run_by("evaluate_commands", "lint"))
    catalogue = commands.add_parser("catalogue", help="write the pages a clinician signs")
    catalogue.add_argument("--check", action="store_true", help="only say whether the written pages are current")
    catalogue.add_argument("--folder", type=Path, default=Path("docs/catalogue"))
    catalogue.set_defaults(run=_run_by("evaluate_commands", "catalogue"))
    config = commands.add_parser("config", help="what is configured")
    configs = config.add_subparsers(required=True, metavar="WHAT", dest="config_command")
    check = configs.add_parser(
        "check", parents=[configured], help="print every setting, or all that would stop the start"
    )
    check.set_defaults(run=_run_by("config_commands", "check_configuration"))
    _add_record_commands(commands, configured)
    return parser


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else -1
    if not 0 < port < _PORTS:
        msg = f"'{text}' is not a port from 1 to {_PORTS - 1}"
        raise argparse.ArgumentTypeError(msg)
    return port


def _add_record_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], configured: argparse.ArgumentParser
) -> None:
    """Add ``replay``, ``report``, ``migrate`` and ``key``."""
    again = commands.add_parser(
        "replay", parents=[configured], help="evaluate a recorded decision again: the same bytes, or the difference"
    )
    again.add_argument("id", metavar="ID", help="of the decision, or the uuid of a card")
    again.add_argument("--protocol", choices=PROTOCOL_IDS, help="another protocol than the recorded one")
    again.add_argument(
        "--protocols", type=Path, metavar="FOLDER", help="other protocol files, laid out as cds/protocols"
    )
    again.set_defaults(run=_run_by("record_commands", "replay_decision"))
    report = commands.add_parser("report", help="what was recorded: overrides, decisions")
    kinds = report.add_subparsers(required=True, metavar="REPORT", dest="report")
    overrides = kinds.add_parser(
        "overrides", parents=[configured], help="how often advice was shown, accepted, overridden, and why"
    )
    overrides.add_argument(
        "--above", type=_percent, default=50, metavar="PERCENT", help="names rules overridden more often"
    )
    overrides.add_argument("--at-least", type=int, default=10, metavar="ANSWERS", help="of so many answers")
    overrides.set_defaults(run=_run_by("record_commands", "report_overrides"))
    decisions = kinds.add_parser("decisions", parents=[configured], help="which decisions were made, newest first")
    decisions.add_argument("--patient", metavar="ID", help="as the client knows the patient; needs --client")
    decisions.add_argument("--client", metavar="NAME", help="of this client only; 'open' in open mode")
    decisions.set_defaults(run=_run_by("record_commands", "report_decisions"))
    for kind in (overrides, decisions):
        kind.add_argument("--since", type=date.fromisoformat, metavar="DATE")
        kind.add_argument("--until", type=date.fromisoformat, metavar="DATE", help="this day no more")
        kind.add_argument("--format", choices=_FORMATS, default="text")
    schema = commands.add_parser(
        "migrate", parents=[configured], help="bring the database to the schema of this version"
    )
    schema.set_defaults(run=_run_by("record_commands", "migrate_database"))
    key = commands.add_parser("key", help="print a new key for CDS_REQUEST_KEYS")
    key.set_defaults(run=_run_by("record_commands", "print_new_key"))


def _run_by(module: str, function: str) -> Callable[[argparse.Namespace], int]:
    """A command's own module, imported when it is run: a server's libraries take a second that no other command needs."""

    def run(options: argparse.Namespace) -> int:
        return int(getattr(import_module(f"hooks.{module}"), function)(options))

    return run


def _percent(text: str) -> int:
    percent = int(text) if text.isdecimal() else -1
    if not 0 <= percent <= _PERCENT:
        msg = f"'{text}' is not a percentage from 0 to 100"
        raise argparse.ArgumentTypeError(msg)
    return percent
