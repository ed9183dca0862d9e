"""Writes what a Python environment consists of, as CycloneDX: ``scripts/write_sbom.py PYTHON FILE``.

Every distribution is a component; inside it stand the parts that its wheel names itself (PEP 770), such as the OpenSSL of
``cryptography`` or the uPlot of our own sandbox page. Needs cyclonedx-bom; the same environment gives the same bytes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

# References between components hold within one document only, so those of a wheel's own are left out.
_KEPT = ("type", "name", "version", "licenses", "purl", "hashes")


def main() -> None:
    python, file = sys.argv[1:]
    document = json.loads(_output(str(Path(sys.executable).with_name("cyclonedx-py")), *_OPTIONS, python))
    named = {
        canonicalize_name(one["name"]): one for one in (document["metadata"]["component"], *document["components"])
    }
    for distribution in distributions(path=[_output(python, "-c", _WHERE).strip()]):
        parts = list(_parts(distribution))
        if parts:
            named[canonicalize_name(distribution.name)]["components"] = parts
    text = json.dumps(document, indent=2, sort_keys=True)
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        sys.exit(f"the document is not valid: {fault.data}")
    Path(file).write_text(text, encoding="utf-8")


_OPTIONS = ("environment", "--pyproject", "pyproject.toml", "--spec-version", "1.6", "--output-reproducible")
_WHERE = "import sysconfig; print(sysconfig.get_path('purelib'))"


def _output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def _parts(distribution: Distribution) -> Iterator[dict[str, Any]]:
    name = canonicalize_name(distribution.name)
    for file in distribution.files or ():
        if file.parent.name == "sboms":
            for part in json.loads(file.read_text(encoding="utf-8")).get("components", []):
                if canonicalize_name(part["name"]) != name:
                    yield {key: part[key] for key in _KEPT if key in part}


if __name__ == "__main__":
    main()
