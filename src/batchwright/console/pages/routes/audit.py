"""The audit trail: who did what, what it changed, and whether anybody changed the trail afterwards."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import date
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from batchwright.console.api.door import Call
from batchwright.console.api.streams import CSV, file_answer
from batchwright.console.pages.differences import differences
from batchwright.console.pages.formats import instant_of
from batchwright.console.pages.visit import VISIT, ListParams, Pages, Params, Visit
from batchwright.console.traffic import HEAVY_READS
from batchwright.operations.access.audit_trail import audit_page, list_audit, verify_audit
from batchwright.operations.access.permissions import Right
from batchwright.operations.audit_store import AuditFilter
from batchwright.operations.views import View

pages = Pages()
DOORS: Final = ("cli", "python", "api", "console", "schedule", "worker")
PART_SECONDS: Final = 2.0
"""So long one look at the chain compares seals, about."""
COLUMNS: Final = (
    *("entry_id", "at", "actor", "os_user", "door", "credential", "address", "act", "subject", "reason"),
    *("before", "after"),
)


class FileParams(Params):
    """Which entries. A day in place of a time begins at midnight UTC."""

    actor: str | None = None
    act: str | None = None
    subject: str | None = None
    door: Literal["cli", "python", "api", "console", "schedule", "worker"] | None = None
    since: date | AwareDatetime | None = Field(None, alias="from")
    before: date | AwareDatetime | None = None

    @property
    def wanted(self) -> AuditFilter:
        """What is asked of the operation."""
        times = {"since": instant_of(self.since), "before": instant_of(self.before)}
        return AuditFilter(self.actor, self.act, self.subject, self.door, **times)


class AuditParams(FileParams, ListParams):
    """The same in pages."""


class KnownHash(Params):
    """A hash that the log of a worker shows; and the seal after which to check on."""

    newest_hash: str | None = None
    after: int = Field(0, ge=0, le=2**63 - 1)


@pages.page("/audit", Right.ADMINISTER)
def audit(params: Annotated[AuditParams, Query()], visit: Visit = VISIT) -> Response:
    """The entries, newest first."""
    page = audit_page(visit.app, params.wanted, limit=params.limit, after=params.after, actor=visit.actor)
    return visit.page(
        "audit.html",
        params=params,
        doors=DOORS,
        is_set=params.wanted != AuditFilter(),
        file=_file(visit),
        entries=[{**entry, "changes": differences(entry["before"], entry["after"])} for entry in page.items],
        pager=visit.pager(page),
    )


def _file(visit: Visit) -> str:
    """The address of the same as a file."""
    query = visit.link(limit=None).partition("?")[2]
    return f"/audit.csv?{query}" if query else "/audit.csv"


@pages.page("/audit.csv", Right.ADMINISTER)
def audit_csv(params: Annotated[FileParams, Query()], visit: Visit = VISIT) -> Response:
    """The same as a file, all of them."""
    rows = map(_row, list_audit(visit.app, wanted=params.wanted, actor=visit.actor))
    return file_answer(visit.call(), rows, "audit.csv", CSV, COLUMNS)


def _row(entry: View) -> dict[str, str | None]:
    row: dict[str, Any] = {name: entry[name] for name in COLUMNS}
    for name in ("before", "after"):
        row[name] = None if row[name] is None else json.dumps(row[name], ensure_ascii=False)
    return {**row, "entry_id": str(row["entry_id"])}


@pages.page("/audit/verify", Right.ADMINISTER)
def verify(params: Annotated[KnownHash, Query()], visit: Visit = VISIT) -> Response:
    """Every entry compared with its seal; of many a part, and where to check on."""
    with ExitStack() as held:
        call = Call(visit.app, visit.actor, visit.request, visit.request.app.state.traffic, held)
        call.hold("heavy reads", HEAVY_READS)
        found = verify_audit(
            visit.app, params.newest_hash, after=params.after, seconds=PART_SECONDS, actor=visit.actor
        )
    on = None if found["next_after"] is None else visit.link(after=found["next_after"])
    return visit.page("audit_verify.html", params=params, found=found, on=on)
