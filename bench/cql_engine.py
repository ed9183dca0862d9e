"""A public CQL engine on the same requests: it decides by two counts and Cockcroft-Gault, the service by all its rules."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench.effort import Effort
from bench.hook_requests import LARGE, TYPICAL, Size, order_sign, resources
from bench.stages import whole_answer

Figures = dict[str, Any]

_FOLDER = Path(__file__).with_name("cql")
_FORMS = ("documented", "reused")
_VERSIONS = {"cql-execution": "3.3.2", "cql-exec-fhir": "2.2.0", "@cqframework/cql": "5.3.0"}


def measure(effort: Effort) -> Figures:
    """Milliseconds of both on the typical request in turn, and of the engine on the large one."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        msg = "needs Node.js and npm"
        raise SystemExit(msg)
    calls = max(10, effort.calls // 10)
    with TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(_FOLDER, folder, dirs_exist_ok=True)
        packages = [f"{name}@{version}" for name, version in _VERSIONS.items()]
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent", *packages], cwd=folder, check=True)
        rounds = [(_engine(folder, TYPICAL, calls), whole_answer(effort)) for _ in range(effort.rounds)]
        large = _engine(folder, LARGE, max(5, calls // 10))
    return {
        "versions": _VERSIONS,
        "service": median(ours for _, ours in rounds),
        "typical": {form: median(theirs[form] for theirs, _ in rounds) for form in _FORMS},
        "large": large,
        "times": {form: median(theirs[form] / ours for theirs, ours in rounds) for form in _FORMS},
    }


def _engine(folder: Path, size: Size, calls: int) -> dict[str, float]:
    """The median of each form; the parsing of the JSON is not counted."""
    request = order_sign(size, datetime.now(UTC).date(), in_order=False)
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": resource} for resource in resources(request)],
    }
    (folder / "bundle.json").write_text(json.dumps(bundle), encoding="utf-8")
    run = subprocess.run(
        ["node", "run.mjs", str(calls), "bundle.json"], cwd=folder, check=True, capture_output=True, text=True
    )
    told = json.loads(run.stdout)
    if told["decision"] != "reduce":
        msg = f"the engine decides '{told['decision']}', expected 'reduce'"
        raise RuntimeError(msg)
    return {form: median(told[form]) for form in _FORMS}
