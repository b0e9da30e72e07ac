"""Imports of CSV files: uploading some, what was refused of them by line, and those that were done."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from batchwright.console.envelope import MOST_IMPORT_BYTES
from batchwright.console.pages.visit import FORM, NOTICES, VISIT, ListAsked, Pages, Visit, text_of
from batchwright.engine.errors import Refused
from batchwright.operations.access.permissions import Forbidden, Right
from batchwright.operations.billing.imports import FILE_NAMES, import_uploads, imports_page
from batchwright.operations.views import View

pages = Pages()
PATH: Final = "/imports"
NOTICES["imported"] = "Everything is imported."


@pages.page(PATH, Right.BILLING)
def imports(asked: Annotated[ListAsked, Query()], visit: Visit = VISIT) -> Response:
    """The form that takes files, and the imports that were done."""
    return _page(visit, asked)


@pages.act(PATH, Right.BILLING)
def upload(visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Load files: everything, or nothing, or the good lines. What was left out is shown in the answer alone."""
    files = [one for one in form.getlist("files") if isinstance(one, UploadFile) and one.filename]
    try:
        if not files:
            raise Refused("no file was chosen", field="files", remedy="Choose one or several")
        report = import_uploads(
            visit.app,
            [(one.filename or "", one.file) for one in files],
            update="update" in form,
            again="again" in form,
            skip_bad="skip_bad" in form,
            actor=visit.actor,
            reason=text_of(form, "reason"),
        )
    except Forbidden:
        raise
    except Refused as refused:
        return _page(visit, ListAsked(), form=form, refused=refused)
    if not report["skipped"]:
        return visit.go(PATH, done="imported")
    return _page(visit, ListAsked(), report=report)


def _page(
    visit: Visit,
    asked: ListAsked,
    *,
    form: FormData | None = None,
    refused: Refused | None = None,
    report: View | None = None,
) -> Response:
    page = imports_page(visit.app, limit=asked.limit, after=asked.after, actor=visit.actor)
    return visit.page(
        "imports.html",
        status=200 if refused is None else 422,
        form=form or {},
        refused=refused,
        lines=[] if refused is None else refused.message.splitlines(),
        report=report,
        names=FILE_NAMES,
        megabytes=MOST_IMPORT_BYTES // 1_000_000,
        page=page,
        pager=visit.pager(page),
    )
