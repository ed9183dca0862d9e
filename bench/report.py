"""The page that tells the figures: docs/performance.md and its charts, made of the newest results and of nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.charts import bars, lines, short
from bench.stages import CPU, WHOLE
from bench.throughput import CLIENTS

_FOLDER = Path(__file__).parent
_DOCS = _FOLDER.parent / "docs"
_TEMPLATE = "performance.md.jinja"
_KINDS = ("in order", "with cards")
_SHOWN = ("small", "typical")  # the large one would make the others' bars too short to see
_COMPARED = 8  # clients

RESULTS = _FOLDER / "results"


def newest() -> Path:
    return max(RESULTS.glob("*.json"))


def read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def write(results: Mapping[str, Any]) -> None:
    for file, text in _files(results).items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")


def outdated(results: Mapping[str, Any]) -> list[Path]:
    """The files that are not as they would be written."""
    made = _files(results)
    return [file for file, text in made.items() if not file.is_file() or file.read_text(encoding="utf-8") != text]


def _files(results: Mapping[str, Any]) -> dict[Path, str]:
    """The page and its charts by where they belong."""
    figures = {name: part["figures"] for name, part in results["parts"].items()}
    # Markdown and not HTML, of our own figures.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(_FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"short": short, "pair": lambda times: f"{short(times['median'])} / {short(times['p99'])}"}
    page = environment.get_template(_TEMPLATE).render(
        {
            **results,
            "cell": lambda size, clients: _cell(figures["throughput"], size, clients),
            "alone": _cell(figures["throughput"], "typical", 1)["product"],
            "judging": max(figures["stages"]["sizes"]["typical"][kind]["judge"]["median"] for kind in _KINDS),
            "steepening": _steepening(figures["stages"]["growth"]),
            "memory": [megabytes for _, megabytes in figures["memory"]["samples"]],
        }
    )
    charts = {_DOCS / "performance" / f"{name}.svg": chart for name, chart in _charts(figures)}
    return {_DOCS / "performance.md": page, **charts}


def _cell(rows: Any, size: str, clients: int) -> Any:
    """The row of calls without tokens that holds these."""
    return next(row for row in rows if (row["mode"], row["size"], row["clients"]) == ("open", size, clients))


def _steepening(growth: Any) -> float:
    """What a further observation costs at the end, over what it costs at the beginning."""
    at = {step["observations"]: step[CPU]["median"] for step in growth}
    few, some, many, most = 60, 500, 1000, 2000
    return float((at[most] - at[many]) / (most - many) / ((at[some] - at[few]) / (some - few)))


def _charts(figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each with its name."""
    sizes, rows, cql = figures["stages"]["sizes"], figures["throughput"], figures["cql"]
    stages = {
        f"{size}, {kind}": {
            name: times["median"] for name, times in sizes[size][kind].items() if name not in {WHOLE, CPU}
        }
        for size in _SHOWN
        for kind in _KINDS
    }
    yield "stages", bars("Milliseconds of each stage, median", stages, stacked=True)

    grown = {
        name: [(step["observations"], step[name]["median"]) for step in figures["stages"]["growth"]]
        for name in (CPU, "read", "judge")
    }
    yield "growth", lines("Milliseconds as observations grow, median", grown, "observations")

    def compared(size: str, clients: int, figure: str) -> dict[str, float]:
        row = _cell(rows, size, clients)
        return {"service": row["product"][figure], "empty handler": row["empty"][figure]}

    alike = {f"{count} client{'s' * (count > 1)}": compared("typical", count, "per_second") for count in CLIENTS}
    yield "throughput", bars("Typical requests a second, no tokens", alike)
    costs = {size: compared(size, _COMPARED, "cpu") for size in (*_SHOWN, "large")}
    yield "cpu", bars(f"CPU milliseconds of a request, {_COMPARED} clients, no tokens", costs)

    yield "memory", lines("Private memory of a worker", {"megabytes": figures["memory"]["samples"]}, "requests")

    taken = {"service": cql["service"], **{f"engine, {form}": value for form, value in cql["typical"].items()}}
    yield "cql", bars("The typical request", {name: {"milliseconds": value} for name, value in taken.items()})
