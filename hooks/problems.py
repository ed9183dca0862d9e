"""Refusals: what was wrong with a request, as a status code and an OperationOutcome. The only place that knows both."""

from __future__ import annotations

from typing import Any


class Problem(Exception):  # noqa: N818 -- RFC 9457 calls what a client is told a problem
    """A request that is refused: the field, what was expected, and the HTTP status."""

    status = 400
    code = "invalid"

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected}" if field else expected)
        self.field = field
        self.expected = expected


class MalformedError(Problem):
    """Not JSON, or a field that is missing or of the wrong type."""

    status, code = 400, "structure"


class UnauthenticatedError(Problem):
    """Who calls could not be established. ``reason`` is for the log: who may not come in is not told why."""

    status, code = 401, "login"

    def __init__(self, reason: str) -> None:
        super().__init__("", "")
        self.reason = reason


class NotFoundError(Problem):
    """No such service or page."""

    status, code = 404, "not-found"


class NotAllowedError(Problem):
    """The page exists, the method does not."""

    status, code = 405, "not-supported"


class UnobtainableError(Problem):
    """Data that only the client could give, and did not (412 Precondition Failed of the standard)."""

    status, code = 412, "processing"


class TooLargeError(Problem):
    """A body over the limit; it was not parsed."""

    status, code = 413, "too-long"


class EncodedError(Problem):
    """A body in an encoding that is not read; a small one could unpack to any size."""

    status, code = 415, "not-supported"


class UnsuitableError(Problem):
    """Well-formed, but it does not fit: another hook, a selection without a draft, an unknown protocol."""

    status, code = 422, "business-rule"


class FaultError(Problem):
    """A fault of this service."""

    status, code = 500, "exception"


class UnrecordedError(Problem):
    """Feedback that could not be made durable; the client may send it again."""

    status, code = 503, "transient"


def operation_outcome(problem: Problem) -> dict[str, Any]:
    """The one body of every refusal."""
    issue: dict[str, Any] = {"severity": "error", "code": problem.code}
    if str(problem):
        issue["diagnostics"] = str(problem)
    if problem.field:
        issue["expression"] = [problem.field]
    return {"resourceType": "OperationOutcome", "issue": [issue]}
