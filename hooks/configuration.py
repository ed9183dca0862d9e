"""What an operator has configured: a file, the environment over it, the command line over both, and all that is wrong in it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr, ValidationError

from cds.strict_yaml import KnowledgeError, load
from cds.terminology import NOWHERE, programme_places, terminology_with
from hooks.clients import Client
from hooks.members import NAMES, OPTIONAL, PLACES, SECRETS, Members, variable
from hooks.settings import MEGABYTE, SettingsError, Storage

FILE = "CDS_CONFIG"
_LEAST_KEY = 32
_TRACES_BY = "http/protobuf"
_VARIABLES = {variable(name): name for name in NAMES}
# Kubernetes tells every container of every Service: what it says of one called `cds…` is no setting.
_SERVICE_LINK = re.compile(
    r"CDS_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)=.*|PORT=\w+://.*|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?=.*)", re.DOTALL
)
_Read = TypeVar("_Read")


@dataclass(frozen=True)
class Given:
    """A setting that was given: its value, what the operator calls it, and which of the sources it comes from."""

    value: object = field(repr=False)
    name: str
    source: str


@dataclass(frozen=True)
class Configuration:
    """``members`` hold defaults where nothing usable was given; ``problems`` grow with what is made of them."""

    members: Members
    given: Mapping[str, Given]
    problems: list[str]

    @property
    def folder(self) -> Path:
        """Where what must not be lost is kept: as programs of a user do (XDG Base Directory Specification)."""
        return self.members.data or (
            Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "lenalidomide-cds"
        )

    def is_given(self, name: str) -> bool:
        """Whether there is something, usable or not; for a secret also by way of a file."""
        return self._form(name) in self.given

    def name(self, name: str) -> str:
        """What to call a setting in a message: as the operator wrote it, or would write it."""
        form = self._form(name)
        return self.given[form].name if form in self.given else variable(name)

    def source(self, name: str) -> str:
        """Where a setting comes from."""
        form = self._form(name)
        return self.given[form].source if form in self.given else "default"

    def _form(self, name: str) -> str:
        """A setting, or the one that names its file, if that is what was given."""
        return f"{name}_file" if name not in self.given and f"{name}_file" in self.given else name

    def secret(self, name: str) -> str | None:
        """A secret itself, or from its file, as container platforms hand them over."""
        secret, file = getattr(self.members, name), getattr(self.members, f"{name}_file")
        if file is None:
            return secret.get_secret_value() if secret else None
        given = self.given[f"{name}_file"].name
        if secret is not None:
            self.problems.append(f"{self.name(name)} and {given} are both given, expected one of them")
            return None
        try:
            text: str = file.read_text(encoding="utf-8").strip()
        except UnicodeDecodeError:
            self.problems.append(f"{given} cannot be used: {file} is not a text in UTF-8")
            return None
        except OSError as error:
            self.problems.append(f"{given} cannot be used: {file}: {error.strerror}")
            return None
        if not text:
            self.problems.append(f"{given} cannot be used: {file} is empty")
        return text or None

    def raise_problems(self) -> None:
        """``SettingsError`` with all of them, if there are any."""
        if self.problems:
            raise SettingsError(*self.problems)


def read_configuration(file: str | None = None, *, protocol: str | None = None) -> Configuration:
    """What is configured, with the command line's ``--config`` and ``--protocol``, each of which wins."""
    problems: list[str] = []
    given = _over(_environment(problems), _file(file, problems))
    if protocol is not None:
        given["protocol"] = Given(protocol, "--protocol", "command line")
    # Where there need not be anything, an empty value says so, and wins like any other.
    given = {name: one for name, one in given.items() if one.value or name not in OPTIONAL}
    return Configuration(_members(given, problems), given, problems)


def hospital_client(file: str | None = None) -> Client:
    """What holds for every client that does not say otherwise."""
    configuration = read_configuration(file)
    client = client_of(configuration)
    configuration.raise_problems()
    return client


def storage(file: str | None = None) -> Storage:
    """Where answers are kept, for the commands that only read them."""
    configuration = read_configuration(file)
    place = storage_of(configuration)
    configuration.raise_problems()
    return place


def client_of(configuration: Configuration) -> Client:
    """The client that the configuration describes, as far as it is usable."""
    members = configuration.members
    return Client(
        protocol=members.protocol,
        # A file of the same shape as ``cds/terminology/programme.yaml``.
        programme=_described(configuration, "programme_evidence", programme_places, NOWHERE),
        card_profile=members.card_profile,
        # Ours and a hospital's own codes; the integrator's page gives the shape of the file.
        terminology=_described(configuration, "local_codes", terminology_with, None),
        time_zone=members.time_zone,
    )


def storage_of(configuration: Configuration) -> Storage:
    """The storage that the configuration describes, as far as it is usable."""
    members, folder = configuration.members, configuration.folder
    key = configuration.secret("pseudonym_key")
    if key is not None and len(key) < _LEAST_KEY:
        configuration.problems.append(
            f"{configuration.name('pseudonym_key')} is too short, expected a secret of at least {_LEAST_KEY} characters"
        )
    return Storage(
        folder,
        database_url=configuration.secret("database_url") or f"sqlite:///{folder / 'lenalidomide-cds.sqlite'}",
        pseudonym_key=key,
        request_keys=tuple((configuration.secret("request_keys") or "").replace(",", " ").split()),
        spool_bytes=members.spool_limit_mb * MEGABYTE,
        migrates=members.migrate,
    )


def is_tracing(problems: list[str]) -> bool:
    """Whether OpenTelemetry's standard variables name a collector; its own library reads them again."""
    problems += [
        f"{name} is '{os.environ[name]}', expected {_TRACES_BY}"
        for name in ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        if os.environ.get(name, _TRACES_BY) != _TRACES_BY
    ]
    if os.environ.get("OTEL_SDK_DISABLED") == "true":
        return False
    return any(os.environ.get(name) for name in ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"))


def _described(
    configuration: Configuration, name: str, read: Callable[[Mapping[str, Any], str], _Read], otherwise: _Read
) -> _Read:
    """What the file named by a setting holds."""
    file = getattr(configuration.members, name)
    if file is None:
        return otherwise
    problems: list[str] = []
    content, found = _loaded(file, problems), otherwise
    if not problems:
        try:
            found = read(content, str(file))
        except KnowledgeError as error:
            problems = error.problems
    configuration.problems.extend(f"{configuration.name(name)}: {problem}" for problem in problems)
    return found


def _loaded(file: Path, problems: list[str]) -> Any:
    """A YAML file; a problem is one line, whatever the parser says."""
    found: list[str] = []
    try:
        content = load(file, found)
    except OSError as error:
        content, found = {}, [f"{file}: {error.strerror}"]
    problems.extend(" ".join(problem.split()) for problem in found)
    return content


def _environment(problems: list[str]) -> dict[str, Given]:
    given = {}
    for name, text in sorted(os.environ.items()):
        if name in _VARIABLES:
            member = _VARIABLES[name]
            given[member] = Given(SecretStr(text) if member in SECRETS else text, name, "environment")
        elif name.startswith("CDS_") and name != FILE and not _SERVICE_LINK.fullmatch(f"{name}={text}"):
            problems.append(_unknown(name, name, (*_VARIABLES, FILE)))
    return given


def _file(named: str | None, problems: list[str]) -> dict[str, Given]:
    file = named or os.environ.get(FILE)
    if not file:
        return {}
    found: list[str] = []
    content = _loaded(Path(file), found)
    problems.extend(f"{FILE if named is None else '--config'}: {problem}" for problem in found)
    given = {}
    for name, value in content.items():
        called = f"{file}: {name}"
        if name in NAMES:
            given[name] = Given(_beside(Path(file), value) if name in PLACES else value, called, "file")
        else:
            problems.append(_unknown(called, name.casefold().removeprefix("cds_"), NAMES))
    return given


def _beside(file: Path, value: object) -> object:
    """The names of files are as seen from the file that tells them."""
    return str(file.parent / value) if isinstance(value, str) and value else value


def _over(upper: dict[str, Given], lower: dict[str, Given]) -> dict[str, Given]:
    """The upper wins, and over a secret in either of its two forms."""
    said = {name.removesuffix("_file") for name in upper}
    return {name: given for name, given in lower.items() if name.removesuffix("_file") not in said} | upper


def _unknown(called: str, name: str, known: Iterable[str]) -> str:
    nearest = get_close_matches(name, known, n=1)
    return f"{called} is not known" + "".join(f", did you mean {one}?" for one in nearest)


def _members(given: Mapping[str, Given], problems: list[str]) -> Members:
    """All that can be used; the rest stays at its default, and is a problem."""
    values = {name: one.value for name, one in given.items()}
    wrong: dict[str, str] = {}
    try:
        return Members.model_validate(values)
    except ValidationError as error:
        wrong = {str(item["loc"][0]): item["msg"].removeprefix("Value error, ") for item in error.errors()}
    problems += [f"{given[name].name} {why}" for name, why in wrong.items()]
    return Members.model_validate({name: value for name, value in values.items() if name not in wrong})
