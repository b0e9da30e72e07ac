"""Imports of CSV files."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, File, UploadFile
from fastapi import Form as InForm
from starlette.requests import Request
from starlette.responses import Response

from batchwright.console.api.bodies import check_text
from batchwright.console.api.door import CALL, Call, Doors, answer, given_twice
from batchwright.console.api.models.imports import ImportReport
from batchwright.console.problems import Problem
from batchwright.operations.access.permissions import Right
from batchwright.operations.billing.imports import import_uploads

doors = Doors("imports")

FIELDS = ("files", "update", "again", "skip_bad", "dry_run", "reason")


async def _known(request: Request) -> None:
    """Refuse a field that is not known: a typo in `skip_bad` must not mean that all is loaded; and one given twice."""
    form = await request.form()
    for name in form:
        if name != "files" and len(form.getlist(name)) > 1:
            raise given_twice(name)
        if name not in FIELDS:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"There is no field {name!r} here",
                name,
                f"There are: {', '.join(FIELDS)}",
            )


@doors.door("POST", "/imports", import_uploads, Right.BILLING, answers={200: ImportReport})
def import_files(
    files: Annotated[list[UploadFile], File(description="Each named as what it holds: `customers.csv`.")],
    update: Annotated[bool, InForm()] = False,
    again: Annotated[bool, InForm()] = False,
    skip_bad: Annotated[bool, InForm()] = False,
    dry_run: Annotated[bool, InForm(description="Only count what would be loaded.")] = False,
    reason: Annotated[str | None, InForm()] = None,
    known: None = Depends(_known),
    call: Call = CALL,
) -> Response:
    """Load CSV files into the database: everything, or nothing, or with `skip_bad` the good lines."""
    if reason is not None:
        check_text(reason, "reason", HTTPStatus.UNPROCESSABLE_ENTITY)
    report = import_uploads(
        call.app,
        [(file.filename or "", file.file) for file in files],
        update=update,
        again=again,
        skip_bad=skip_bad,
        dry_run=dry_run,
        actor=call.actor,
        reason=reason,
    )
    return answer(report)
