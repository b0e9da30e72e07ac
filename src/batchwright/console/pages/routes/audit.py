"""The audit trail: who did what, what it changed, and whether anybody changed the trail afterwards."""

from __future__ import annotations

import json
from datetime import date
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from batchwright.console.api.streams import CSV, file_answer
from batchwright.console.pages.differences import differences
from batchwright.console.pages.formats import instant_of
from batchwright.console.pages.visit import VISIT, ListParams, Pages, Params, Visit
from batchwright.engine.errors import Refused
from batchwright.operations.access.audit_trail import audit_page, list_audit, verify_audit_in_parts
from batchwright.operations.access.permissions import Forbidden, Right
from batchwright.operations.audit_store import AuditFilter
from batchwright.operations.views import View

pages = Pages()
DOORS: Final = ("cli", "python", "api", "console", "schedule", "worker")
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
    """A hash that the log of a worker shows; and the cursor of the parts that are checked."""

    newest_hash: str | None = None
    after: str | None = None


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
    """Every entry compared with its seal, part by part."""
    found, on, refused = None, None, None
    try:
        found = verify_audit_in_parts(visit.app, params.newest_hash, after=params.after, actor=visit.actor)
        on = found["next_after"] and visit.link(after=found["next_after"])
    except Forbidden:
        raise
    except Refused as error:
        refused = error
    status = 200 if refused is None else 422
    return visit.page("audit_verify.html", status=status, params=params, found=found, on=on, refused=refused)
