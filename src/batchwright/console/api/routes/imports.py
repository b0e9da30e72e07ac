"""Imports of CSV files."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import File, UploadFile
from fastapi import Form as InForm
from starlette.responses import Response

from batchwright.console.api.bodies import check_text
from batchwright.console.api.door import CALL, Call, Doors, answer
from batchwright.console.api.models import ImportReport
from batchwright.operations.access.permissions import Right
from batchwright.operations.billing.imports import import_uploads

doors = Doors("imports")


@doors.door("POST", "/imports", import_uploads, Right.BILLING, answers={200: ImportReport})
def import_files(
    files: Annotated[list[UploadFile], File(description="Each named as what it holds: `customers.csv`.")],
    update: Annotated[bool, InForm()] = False,
    again: Annotated[bool, InForm()] = False,
    skip_bad: Annotated[bool, InForm()] = False,
    reason: Annotated[str | None, InForm()] = None,
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
        actor=call.actor,
        reason=reason,
    )
    return answer(report)
