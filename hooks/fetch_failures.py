"""Why data could not be had: what a prefetch value says of it, and what a card says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

FETCHED = "fetched"
_SYSTEM = "urn:lenalidomide-maintenance:fetching"
# Looked up by equality: a severity may be any JSON, and a list cannot be a member of a set. Any other one is an error.
_HARMLESS = ("warning", "information", "success")
# A mere warning that nevertheless says that not all is there.
_WITHHOLDING = (
    "suppressed",
    "security",
    "login",
    "forbidden",
    "incomplete",
    "timeout",
    "transient",
    "throttled",
    "too-costly",
    "too-long",
    "exception",
)


class Failure(Enum):
    """A code of FHIR's issue types, and the words on the card."""

    TIMEOUT = "timeout", "no answer in time"
    LOGIN = "login", "the access token was refused"
    FORBIDDEN = "forbidden", "access refused"
    NOT_FOUND = "not-found", "not found"
    THROTTLED = "throttled", "the record system is busy"
    ERROR = "exception", "the record system reported an error"
    UNREADABLE = "structure", "the answer could not be read"
    INCOMPLETE = "incomplete", "the answer is incomplete"
    TOO_LARGE = "too-costly", "the answer was too large"
    UNREACHABLE = "transient", "the record system could not be reached"
    REDIRECTED = "not-supported", "answered with a redirect"
    QUERY_REFUSED = "processing", "the query was refused"
    OTHER_RESOURCE = "structure", "another resource came than was asked for"
    NOT_ASKED = "transient", "not asked: the FHIR server failed repeatedly"
    NOT_CONFIGURED = "forbidden", "the FHIR server is not one configured for this client"
    ADDRESS_REFUSED = "forbidden", "the FHIR server is at an address that may not be called"
    FOREIGN_PAGE = "forbidden", "the next page is on another server"
    NOT_GRANTED = "forbidden", "not among the granted scopes"
    OTHER_PATIENT = "forbidden", "the access token is for another patient"
    UNUSABLE_ID = "value", "the id cannot be asked for"

    @property
    def code(self) -> str:
        """The code of FHIR's issue types."""
        return self.value[0]

    @property
    def words(self) -> str:
        """What a card says."""
        return self.value[1]

    @property
    def outcome(self) -> dict[str, Any]:
        """The OperationOutcome that stands for data that could not be had."""
        coding = {"system": _SYSTEM, "code": self._own_code}
        details = {"coding": [coding], "text": self.words}
        return {
            "resourceType": "OperationOutcome",
            "issue": [{"severity": "error", "code": self.code, "details": details}],
        }

    @property
    def _own_code(self) -> str:
        return self.name.lower().replace("_", "-")


def outcome_of(failure: Failure | None) -> str:
    """What became of a fetch, as it is counted."""
    return FETCHED if failure is None else failure.name.lower()


_OWN = {failure._own_code: failure for failure in Failure}  # noqa: SLF001 -- its own module
# Codes that mean the same whoever says so; a record system's "structure" or "not-supported" is about our query.
_BY_ISSUE_TYPE = {
    failure.code: failure
    for failure in (
        Failure.TIMEOUT,
        Failure.LOGIN,
        Failure.FORBIDDEN,
        Failure.NOT_FOUND,
        Failure.THROTTLED,
        Failure.ERROR,
        Failure.INCOMPLETE,
        Failure.TOO_LARGE,
        Failure.UNREACHABLE,
    )
}


def is_error(outcome: Mapping[str, Any]) -> bool:
    """Whether an OperationOutcome tells of a failure, not only of a warning."""
    severities = [issue.get("severity") for issue in _issues(outcome)]
    return not severities or any(severity not in _HARMLESS for severity in severities)


def withholds(outcome: Mapping[str, Any]) -> bool:
    """Whether an OperationOutcome, though it is only a warning, says that there may be more."""
    return any(issue.get("code") in _WITHHOLDING for issue in _issues(outcome))


def words_of(outcome: Mapping[str, Any]) -> str:
    """Why it failed, in our words, whoever wrote the OperationOutcome; empty where its codes do not tell."""
    for issue in _issues(outcome):
        if issue.get("severity") not in _HARMLESS or issue.get("code") in _WITHHOLDING:
            failure = next(_own(issue), None) or _of_issue_type(issue.get("code"))
            if failure is not None:
                return failure.words
    return ""


def _own(issue: Mapping[str, Any]) -> Iterator[Failure]:
    details = issue.get("details")
    codings = details.get("coding") if isinstance(details, Mapping) else None
    for coding in codings if isinstance(codings, list) else []:
        if isinstance(coding, Mapping) and coding.get("system") == _SYSTEM and coding.get("code") in list(_OWN):
            yield _OWN[coding["code"]]


def _of_issue_type(code: object) -> Failure | None:
    return _BY_ISSUE_TYPE.get(code) if isinstance(code, str) else None


def _issues(outcome: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    issues = outcome.get("issue")
    return [issue for issue in issues if isinstance(issue, Mapping)] if isinstance(issues, list) else []
