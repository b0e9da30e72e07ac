"""Imports of CSV files: uploading some, what was refused of them by line, and those that were done."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from batchwright.console.api.streams import CSV
from batchwright.console.envelope import MOST_IMPORT_BYTES
from batchwright.console.pages.imports_at_work import ImportsAtWork
from batchwright.console.pages.render import LIVE
from batchwright.console.pages.visit import FORM, NOTICES, VISIT, ListParams, Pages, Visit, text_of
from batchwright.engine.errors import NotFound, Refused
from batchwright.notifications.remedies import in_console
from batchwright.operations.access.permissions import Forbidden, Right
from batchwright.operations.billing.imports import file_guides, import_uploads, imports_page
from batchwright.operations.views import View

pages = Pages()
PATH: Final = "/imports"
NOTICES["imported"] = "Everything is imported."


@pages.page(PATH, Right.BILLING)
def imports(params: Annotated[ListParams, Query()], visit: Visit = VISIT) -> Response:
    """The form that takes files, how far those at work are, and the imports that were done."""
    if visit.request.headers.get(LIVE) == "region_at_work":
        return visit.page("imports.html", at_work=_at_work(visit).views())
    return _page(visit, params)


def _at_work(visit: Visit) -> ImportsAtWork:
    found: ImportsAtWork = visit.request.app.state.imports
    return found


@pages.page(f"{PATH}/templates/{{file}}", Right.BILLING)
def template(file: str, visit: Visit = VISIT) -> Response:
    """A file of that name with its columns and no line."""
    for guide in file_guides():
        if guide["file"] == file:
            headers = {"Content-Disposition": f'attachment; filename="{file}"'}
            return Response(guide["header"] + "\r\n", headers=headers, media_type=CSV)
    raise NotFound(f"{file!r} is not a file that can be imported", field="file", remedy="See Imports")


@pages.act(PATH, Right.BILLING)
def upload(visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Load files: everything, or nothing, or the good lines; or only count what would be loaded.

    What was left out is shown in the answer alone.
    """
    files = [one for one in form.getlist("files") if isinstance(one, UploadFile) and one.filename]
    is_check = "check" in form
    try:
        if not files:
            raise Refused("no file was chosen", field="files", remedy="Choose one or several")
        uploads = [(one.filename or "", one.file) for one in files]
        with _at_work(visit).one(visit.email, uploads) as at_work:
            report = import_uploads(
                visit.app,
                uploads,
                update="update" in form,
                again="again" in form,
                skip_bad="skip_bad" in form,
                dry_run=is_check,
                actor=visit.actor,
                reason=text_of(form, "reason"),
                progress=at_work.tell,
            )
    except Forbidden:
        raise
    except Refused as refused:
        return _page(visit, ListParams(), form=form, refused=refused)
    if is_check:
        return _page(visit, ListParams(), form=form, report=report)
    if not report["skipped"]:
        return visit.go(PATH, done="imported")
    return _page(visit, ListParams(), report=report)


def _page(
    visit: Visit,
    params: ListParams,
    *,
    form: FormData | None = None,
    refused: Refused | None = None,
    report: View | None = None,
) -> Response:
    page = imports_page(visit.app, limit=params.limit, after=params.after, actor=visit.actor)
    return visit.page(
        "imports.html",
        status=200 if refused is None else 422,
        form=form or {},
        refused=refused,
        lines=[] if refused is None else [in_console(line) for line in refused.message.splitlines()],
        report=report,
        checked=form is not None and refused is None,
        guides=file_guides(),
        at_work=_at_work(visit).views(),
        megabytes=MOST_IMPORT_BYTES // 1_000_000,
        page=page,
        pager=visit.pager(page),
    )
