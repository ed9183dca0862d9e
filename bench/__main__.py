"""Measures, keeps the results and writes the page: ``python -m bench [PART …] [--short] [--results FILE]``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import cql_engine, fetching, memory, report, stages, throughput, web_servers
from bench.effort import FULL, SHORT, Effort

_PARTS: dict[str, Callable[[Effort], Any]] = {
    "stages": stages.measure,
    "throughput": throughput.measure,
    "evenness": throughput.evenness,
    "fetching": fetching.measure,
    "memory": memory.measure,
    "cql": cql_engine.measure,
    "servers": web_servers.measure,
}
_REPORT = "report"


def main() -> int:
    options = _options()
    if options.check:
        return _check()
    today = datetime.now(UTC).date().isoformat()
    asked = [] if options.parts == [_REPORT] else [part for part in options.parts or _PARTS if part != _REPORT]
    file = options.results or (report.RESULTS / f"{today}.json" if asked else report.newest())
    results: dict[str, Any] = report.read(file) if file.is_file() else {"date": today, "parts": {}}
    for part in asked:
        print(part, flush=True)
        load = f"{os.getloadavg()[0]:.1f}"
        figures = _PARTS[part](SHORT if options.short else FULL)
        at = datetime.now(UTC).isoformat(sep=" ", timespec="minutes")
        results["parts"][part] = {"at": at, "load": load, "short": options.short, "figures": figures}
        results["machine"] = _machine()
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    missing = [part for part in _PARTS if part not in results["parts"]]
    if missing:
        print(f"{file} has no {', '.join(missing)} yet; the page needs all parts")
    else:
        report.write(results)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(_PARTS)}, or {_REPORT}; all without any")
    parser.add_argument("--short", action="store_true", help="only to see that all works")
    parser.add_argument("--results", type=Path, help="the file of results: today's; `report` takes the newest")
    parser.add_argument("--check", action="store_true", help="only say whether the written page is current")
    options = parser.parse_args()
    unknown = set(options.parts) - {*_PARTS, _REPORT}
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}")
    return options


def _check() -> int:
    wrong = report.outdated(report.read(report.newest()))
    for file in wrong:
        print(f"{file} is not current: run python -m bench report", file=sys.stderr)
    return 1 if wrong else 0


def _machine() -> dict[str, Any]:
    """What the figures depend on; no name of a host."""
    processor = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    versions = {name: version(name) for name in ("flask", "waitress", "orjson", "cryptography")}
    programs = {name: _first_line(name, option) for name, option in (("wrk", "-v"), ("node", "-v"))}
    return {
        "cores": os.cpu_count(),
        "processor": processor[1] if processor else platform.machine(),
        "kernel": ".".join(platform.release().split(".")[:2]),
        "versions": {"Python": platform.python_version(), **versions, **programs},
    }


def _first_line(program: str, option: str) -> str:
    try:
        told = subprocess.run([program, option], check=False, capture_output=True, text=True)
    except FileNotFoundError:
        return "none"
    return told.stdout.partition("\n")[0].removeprefix(f"{program} ").partition(" [")[0]


if __name__ == "__main__":
    sys.exit(main())
