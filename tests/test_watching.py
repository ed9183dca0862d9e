"""Dashboard, alert rules and the operator's page speak of the metrics that there are, and the alerts do what they say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from cds.snapshot import Fault
from hooks.app import create_app
from hooks.fetch_failures import Failure
from hooks.settings import Settings
from tests.support.exposition import NAMESPACE, scraped
from tests.support.hospital import ADVISED, ORDER_SIGN, bundled

Json = dict[str, Any]
ROOT = Path(__file__).parents[1]
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
RULE_TESTS = sorted(RULES.parent.glob("*_test.yaml"))
DASHBOARD: Json = json.loads((ROOT / "deploy" / "grafana" / "lenalidomide-cds.json").read_text(encoding="utf-8"))
OPERATOR = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian's package prometheus)")

_METRIC = re.compile(rf"(?<![\w:]){NAMESPACE}_\w+(?![\w:])")
_RECORDED = re.compile(rf"\b[a-z_]+:{NAMESPACE}_\w+:\w+\b")
_MATCHERS = re.compile(rf"(?<![\w:])({NAMESPACE}_\w+)\{{([^}}]*)\}}")
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
# Prometheus adds them to what it scrapes.
_OF_PROMETHEUS = {"job", "instance"}


def _groups() -> list[Json]:
    groups: list[Json] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return groups


def _rules() -> list[Json]:
    return [rule for group in _groups() for rule in group["rules"]]


def _alerts() -> dict[str, Json]:
    return {rule["alert"]: rule for rule in _rules() if "alert" in rule}


def _panels() -> list[Json]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def _on_dashboard() -> list[str]:
    shown = [target["expr"] for panel in _panels() for target in panel["targets"]]
    return [*shown, *(annotation["expr"] for annotation in DASHBOARD["annotations"]["list"])]


def _expressions() -> list[str]:
    return [*(rule["expr"] for rule in _rules()), *_on_dashboard()]


@cache
def _exposed() -> dict[str, set[str]]:
    """The labels of every metric that the service exposes, by its name in an expression."""
    app = create_app(Settings())
    app.extensions["service"].health.fails("database", "it is a test")
    http = app.test_client()
    request = bundled(ADVISED)
    request["prefetch"]["counts"]["entry"][0]["resource"]["valueQuantity"] = {"value": 4, "unit": "?"}
    http.post(f"/cds-services/{ORDER_SIGN}", json=request)
    families = scraped(http).families
    assert [family.name for family in families if not family.samples] == []
    return {
        f"{family.name}{suffix}": {label for sample in family.samples for label in sample.labels}
        for family in families
        for suffix in _SUFFIXES[family.type]
    }


def test_every_metric_that_rules_and_dashboard_name_exists() -> None:
    named = {name for expression in _expressions() for name in _METRIC.findall(expression)}
    assert len(named) > 15
    assert named - _exposed().keys() == set()


def test_every_recorded_series_that_is_named_is_recorded_and_each_is_used() -> None:
    recorded = {rule["record"] for rule in _rules() if "record" in rule}
    assert {name for expression in _expressions() for name in _RECORDED.findall(expression)} == recorded


def test_labels_are_matched_only_where_the_metric_has_them() -> None:
    unknown = [
        (name, label)
        for expression in _expressions()
        for name, matchers in _MATCHERS.findall(expression)
        for label in re.findall(r"(\w+)\s*[=!]", matchers)
        if label not in _exposed()[name] | _OF_PROMETHEUS
    ]
    assert unknown == []


def test_values_of_labels_that_are_named_are_ones_that_there_are() -> None:
    known = {
        "outcome": {"advice", "in order", "could not check", "not our drug", "refused", "fault"}
        | {"fired", "unknown", "failed", "fetched", *(failure.name.lower() for failure in Failure)},
        "window": {"1d", "7d"},
    }
    named = {
        (label, value)
        for expression in _expressions()
        for label, values in re.findall(r'\b(outcome|window)\s*[=!]~?"([^"]*)"', expression)
        for value in values.split("|")
    }
    assert named
    assert {(label, value) for label, value in named if value not in known[label]} == set()


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {name for expression in _on_dashboard() for name in _METRIC.findall(expression)}
    shown |= {name.split(":")[1] for expression in _on_dashboard() for name in _RECORDED.findall(expression)}
    families = {re.sub("_(total|bucket|count|sum)$", "", name) for name in _exposed()}
    assert {re.sub("_(total|bucket|count|sum)$", "", name) for name in shown} >= families


def test_each_panel_has_its_own_place_and_says_what_it_shows() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert [panel["title"] for panel in _panels() if not panel["description"]] == []


def test_every_alert_says_how_grave_it_is_who_is_to_look_and_why() -> None:
    for name, alert in _alerts().items():
        assert alert["labels"]["severity"] in {"warning", "critical"}, name
        assert alert["labels"]["audience"] in {"operations", "clinical"}, name
        assert alert["annotations"].keys() == {"summary", "description"}, name


def test_every_alert_has_a_row_for_operators_that_says_what_to_do() -> None:
    rows = re.findall(r"^\| `(LenalidomideCds\w+)` \| [^|]+ \| [^|]+ \|$", OPERATOR, re.MULTILINE)
    assert sorted(rows) == sorted(_alerts())


def test_every_metric_has_a_row_for_operators_with_its_labels() -> None:
    rows = dict(
        re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \| ((?:`[a-z_]+`(?:, )?)*) ?\| [^|]+ \|$", OPERATOR, re.MULTILINE)
    )
    documented = {
        f"{NAMESPACE}_{name}": set(re.findall(r"`([a-z_]+)`", labels))
        for names, labels in rows.items()
        for name in re.findall(r"`([a-z_]+)`", names)
    }
    exposed = {re.sub("_(bucket|count|sum)$", "", name): labels - {"le"} for name, labels in _exposed().items()}
    assert {name: labels for name, labels in documented.items() if name in exposed} == exposed


def test_every_reason_for_which_a_resource_is_not_used_has_a_row_for_operators() -> None:
    _, _, table = OPERATOR.partition("| reason in `unread_resources_total` |")
    reasons = re.findall(r"^\| `([a-z_]+)` \|", table.partition("\n\n")[0], re.MULTILINE)
    assert reasons == [fault.name.lower() for fault in Fault]


def _promtool(*arguments: str) -> str:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _fired_in(file: Path) -> Iterator[str]:
    """The alerts that some test of the file expects to fire."""
    for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
        for check in test["promql_expr_test"]:
            for sample in check["exp_samples"]:
                yield from re.findall(r'alertname="(\w+)"', sample["labels"])


def test_every_alert_is_made_to_fire_by_a_test() -> None:
    fired = {name for file in RULE_TESTS for name in _fired_in(file)}
    assert fired == set(_alerts())


@needs_promtool
def test_every_expression_can_be_read_by_prometheus(tmp_path: Path) -> None:
    """Those of the rules, and those of the dashboard with a value for its variables."""
    shown = [expression.replace("$__rate_interval", "5m").replace("$job", ".*") for expression in _on_dashboard()]
    rules = [{"record": f"shown:{index}", "expr": expression} for index, expression in enumerate(shown)]
    file = tmp_path / "dashboard.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    assert f"{len(shown)} rules found" in _promtool("check", "rules", str(file))
    assert f"{len(_rules())} rules found" in _promtool("check", "rules", str(RULES))
