"""Every setting that an operator can give: its name, type and default.

The name is that of a member of the settings file; the environment variable is called after it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, PlainValidator, SecretStr, ValidationInfo

from cds import DEFAULT_PROTOCOL, PROTOCOL_IDS
from hooks.card_profile import BASE, PROFILES
from hooks.clients import FhirServer, base_url
from hooks.settings import AUTO, JSON, LEVELS, TEXT

_Url = TypeVar("_Url")
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def variable(name: str) -> str:
    """The environment variable of a setting; the database's is called as it is everywhere."""
    return name.upper() if name.startswith("database_url") else f"CDS_{name.upper()}"


def as_written(value: object) -> str:
    """A value as an operator would write it, and nothing of a secret."""
    match value:
        case None | ():
            return "none"
        case bool():
            return str(int(value))
        case SecretStr():
            return "set"
        case FhirServer(url=url):
            return url
        case tuple():
            return ", ".join(map(as_written, value))
        case _:
            return str(value)


def _unusable(value: object, expected: str) -> ValueError:
    told = repr(value) if isinstance(value, str) else "not one value"
    return ValueError(f"is {told}, expected {expected}")


def _whole(unit: str, least: int = 1) -> PlainValidator:
    def read(value: object) -> int:
        if not isinstance(value, str) or not value.isdecimal() or int(value) < least:
            raise _unusable(value, f"a whole number of {unit}, at least {least}")
        return int(value)

    return PlainValidator(read)


def _one_of(choices: tuple[str, ...]) -> PlainValidator:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise _unusable(value, " or ".join(choices))
        return value

    return PlainValidator(read)


def _switch(value: object) -> bool:
    if value not in ("0", "1"):
        raise _unusable(value, "0 or 1")
    return value == "1"


def _zone(value: object) -> ZoneInfo:
    try:
        return ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, OSError, ValueError):
        raise _unusable(value, "an IANA name such as Europe/Paris") from None


def _path(value: object) -> Path:
    if not isinstance(value, str):
        raise _unusable(value, "the name of a file or folder")
    return Path(value)


def _secret(value: object, info: ValidationInfo) -> SecretStr:
    """Only what comes from the environment comes wrapped: a settings file is read, copied and kept by many."""
    if isinstance(value, SecretStr):
        return value
    name = str(info.field_name)
    raise ValueError(
        f"is a secret, expected in a file of its own that {name}_file names, or in the environment as {variable(name)}"
    )


def _urls(read: Callable[[str], _Url]) -> PlainValidator:
    """A list in the file, or one text with commas or spaces between."""

    def read_all(value: object) -> tuple[_Url, ...]:
        urls, wrong = [], []
        for text in value if isinstance(value, list) else [value]:
            if not isinstance(text, str):
                raise _unusable(text, "a URL")
            for url in text.replace(",", " ").split():
                try:
                    urls.append(read(url))
                except ValueError as error:
                    wrong.append(str(error))
        if wrong:
            raise ValueError(f"cannot be used: {'; '.join(wrong)}")
        return tuple(urls)

    return PlainValidator(read_all)


def _public_url(url: str) -> str:
    base = base_url(url)
    if base.endswith("/cds-services"):
        raise ValueError("expected what stands before /cds-services, without it")
    return base


def _open_fhir_server(url: str) -> FhirServer:
    """Plain http is for this machine only."""
    if url.startswith("http://"):
        with_tls = base_url(f"https{url.removeprefix('http')}")
        if urlsplit(with_tls).hostname in LOOPBACK:
            return FhirServer(url.rstrip("/"), private=True)
    return FhirServer(base_url(url))


File = Annotated[Path | None, PlainValidator(_path)]
Secret = Annotated[SecretStr | None, PlainValidator(_secret)]
Switch = Annotated[bool, PlainValidator(_switch)]


class Members(BaseModel):
    """All settings, with their defaults. A secret has a second member, ``…_file``: a file that holds it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    protocol: Annotated[str, _one_of(PROTOCOL_IDS)] = DEFAULT_PROTOCOL
    card_profile: Annotated[str, _one_of(PROFILES)] = BASE
    time_zone: Annotated[ZoneInfo, PlainValidator(_zone)] = ZoneInfo("UTC")
    programme_evidence: File = None
    local_codes: File = None

    clients: File = None
    public_url: Annotated[tuple[str, ...], _urls(_public_url)] = ()
    token_leeway_seconds: Annotated[int, _whole("seconds", least=0)] = 60
    token_life_seconds: Annotated[int, _whole("seconds")] = 3600
    redis_url: Secret = None
    redis_url_file: File = None

    fetch_budget_ms: Annotated[int, _whole("milliseconds", least=0)] = 400
    fetch_pages: Annotated[int, _whole("pages")] = 10
    fetch_limit_mb: Annotated[int, _whole("megabytes")] = 4
    fhir_servers: Annotated[tuple[FhirServer, ...], _urls(_open_fhir_server)] = ()
    ca_bundle: File = None

    data: File = None
    database_url: Secret = None
    database_url_file: File = None
    migrate: Switch = True
    pseudonym_key: Secret = None
    pseudonym_key_file: File = None
    request_keys: Secret = None
    request_keys_file: File = None
    spool_limit_mb: Annotated[int, _whole("megabytes")] = 256

    workers: Annotated[int, _whole("worker processes")] = 2
    threads: Annotated[int, _whole("threads")] = 32
    body_limit_mb: Annotated[int, _whole("megabytes")] = 10
    explain: Switch = False
    sandbox: Switch = False
    log_format: Annotated[str, _one_of((AUTO, JSON, TEXT))] = AUTO
    log_level: Annotated[str, _one_of(LEVELS)] = "INFO"


NAMES = tuple(Members.model_fields)
SECRETS = frozenset(name for name in NAMES if f"{name}_file" in NAMES)
PLACES = frozenset(name for name, field in Members.model_fields.items() if field.annotation == Path | None)
OPTIONAL = frozenset(name for name, field in Members.model_fields.items() if field.default in {None, ()})
