"""The audit trail."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query as InQuery
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from batchwright.console.api.door import CALL, Call, Doors, PageQuery, Query, answer, page_answer
from batchwright.console.api.models.audit import AuditEntry, AuditVerification
from batchwright.console.api.models.shapes import Page
from batchwright.operations.access.audit_trail import audit_page, verify_audit
from batchwright.operations.access.permissions import Right
from batchwright.operations.audit_store import AuditFilter
from batchwright.operations.paging import PART_SECONDS

doors = Doors("audit")


class AuditParams(PageQuery):
    """Which entries: those for which all of it holds; `subject` is what an act was done to, such as a run's id."""

    actor: str | None = None
    act: str | None = Field(None, examples=["run.abort"])
    subject: str | None = None
    door: Literal["cli", "python", "api", "console", "schedule", "worker"] | None = None
    since: AwareDatetime | None = Field(None, alias="from", examples=["2026-11-01T00:00:00Z"])
    before: AwareDatetime | None = None


class KnownHash(Query):
    """A hash that the log of a worker shows, which has to be one of the seals; and which part of a long chain."""

    newest_hash: str | None = None
    after: int = Field(0, ge=0, le=2**63 - 1, description="The `next_after` of the part before.")
    limit: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="How many seals at most; a million takes half a minute. By default as many as a tenth of a second"
        " allows.",
    )


@doors.door("GET", "/audit", audit_page, Right.ADMINISTER, answers={200: Page[AuditEntry]})
def listing(query: Annotated[AuditParams, InQuery()], call: Call = CALL) -> Response:
    """The entries, newest first."""
    wanted = AuditFilter(**query.model_dump(exclude={"limit", "after"}))
    page = audit_page(call.app, wanted, limit=query.limit, after=query.after, actor=call.actor)
    return page_answer(call, page)


@doors.door(
    "GET", "/audit/verify", verify_audit, Right.ADMINISTER, answers={200: AuditVerification}, heavy=True
)
def verify(query: Annotated[KnownHash, InQuery()], call: Call = CALL) -> Response:
    """Compare the entries with their seals, a part at a time: go on with `after` until `next_after` is null."""
    seconds = PART_SECONDS if query.limit is None else None
    return answer(verify_audit(call.app, seconds=seconds, actor=call.actor, **query.model_dump()))
