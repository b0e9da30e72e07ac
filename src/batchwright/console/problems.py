"""Problem documents (RFC 9457): the one shape in which an error leaves."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from batchwright.billing.importing.problems import ImportRefused
from batchwright.config.texts import without_middle
from batchwright.engine.errors import (
    Changed,
    Conflict,
    DatabaseMissing,
    DatabaseReplaced,
    Gone,
    NotFound,
    Refused,
)
from batchwright.engine.faults import ReadTooLong, database_error_text
from batchwright.operations.access.permissions import Forbidden
from batchwright.operations.actor import Unauthenticated

MEDIA_TYPE: Final = "application/problem+json"
CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}
RETRY_AFTER_SECONDS: Final = 5
"""What a caller is asked to wait where the surroundings fail: a database that is away, a disk that is full."""

_STATUSES: Final[Sequence[tuple[type[Exception], HTTPStatus]]] = (
    (Unauthenticated, HTTPStatus.UNAUTHORIZED),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (Gone, HTTPStatus.GONE),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Changed, HTTPStatus.PRECONDITION_FAILED),
    (Conflict, HTTPStatus.CONFLICT),
    (DatabaseMissing, HTTPStatus.SERVICE_UNAVAILABLE),
    (DatabaseReplaced, HTTPStatus.SERVICE_UNAVAILABLE),
    (Refused, HTTPStatus.UNPROCESSABLE_ENTITY),
)


@dataclasses.dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a request: where (a JSON pointer, or the name of a parameter) and what."""

    field: str
    detail: str


@dataclasses.dataclass(eq=False)
class Problem(Exception):
    """A request that is not answered as it asks; raised anywhere below a door, it becomes the answer.

    ``retry_after`` is in seconds. ``run_id`` names the run that is in the way, ``sign_in`` the page to sign in on.
    """

    status: HTTPStatus
    detail: str
    field: str | None = None
    remedy: str | None = None
    errors: Sequence[Fault] = ()
    run_id: str | None = None
    retry_after: int | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    sign_in: str | None = None

    def __post_init__(self) -> None:
        self.detail = without_middle(self.detail)
        self.field = self.field and without_middle(self.field)
        self.errors = [Fault(without_middle(one.field), without_middle(one.detail)) for one in self.errors]

    def document(self, request_id: str) -> dict[str, Any]:
        """The document, with ``instance`` naming this answer in the log."""
        told: dict[str, Any] = {
            "type": f"urn:batchwright:problem:{self.status.name.lower().replace('_', '-')}",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            "instance": f"urn:batchwright:request:{request_id}",
            "field": self.field,
            "remedy": self.remedy,
            "errors": [{"field": fault.field, "detail": fault.detail} for fault in self.errors],
        }
        return told if self.run_id is None else told | {"run_id": self.run_id}

    def response(self, request_id: str) -> Response:
        """The answer."""
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        body = json.dumps(self.document(request_id), ensure_ascii=False).encode("utf-8", "backslashreplace")
        return Response(body, self.status.value, headers, media_type=MEDIA_TYPE)


def _lines_of(refused: ImportRefused) -> list[Fault]:
    """The lines of files that cannot be imported, each with its column."""
    return [Fault(one.column or one.file, str(one)) for one in refused.problems]


def problem_of(error: Exception) -> Problem | None:
    """What an exception means to the caller; ``None`` for an unexpected one, of which nothing is said."""
    if isinstance(error, Problem):
        return error
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            away = RETRY_AFTER_SECONDS if status is HTTPStatus.SERVICE_UNAVAILABLE else None
            return Problem(
                status,
                error.message if isinstance(error, Refused) else str(error),
                getattr(error, "field", None),
                getattr(error, "remedy", None),
                errors=_lines_of(error) if isinstance(error, ImportRefused) else (),
                run_id=getattr(error, "run_id", None),
                retry_after=away,
                headers=CHALLENGE if status is HTTPStatus.UNAUTHORIZED else {},
            )
    if isinstance(error, ReadTooLong):
        return Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"This was ended: {error}",
            remedy="Ask for less, by a filter or a smaller limit, or again when less is at work",
            retry_after=RETRY_AFTER_SECONDS,
        )
    words = database_error_text(error)
    if words is None:
        return None
    # What stands around us failed; its own words may name places inside.
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database does not answer at the moment",
        remedy="Ask again after the time named in Retry-After",
        retry_after=RETRY_AFTER_SECONDS,
    )
