"""A file of schedules: what applying it would change, and doing just that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from batchwright.console.api.bodies import check_text
from batchwright.console.pages.differences import differences
from batchwright.console.pages.schedule_form import shown_parameters
from batchwright.console.pages.visit import FORM, NOTICES, VISIT, Pages, Visit, text_of
from batchwright.engine.errors import Changed, Refused
from batchwright.engine.schedule import ScheduleSpec
from batchwright.operations.access.permissions import Forbidden, Right
from batchwright.operations.runs.jobs import show_job
from batchwright.operations.schedules.crontab import CrontabRefused
from batchwright.operations.schedules.files import Difference, apply_schedules
from batchwright.operations.schedules.schedules import show_schedule

pages = Pages()
PATH: Final = "/apply-schedules"
NAME: Final = "console"
"""What stands in the audit trail for the name of a file that was pasted."""
LONGEST_NAME: Final = 200
LINES_SHOWN: Final = 100
NOTICES["schedules-applied"] = "The schedules are as the file has them."


@pages.page(PATH, Right.OPERATE)
def ask_for_file(visit: Visit = VISIT) -> Response:
    """The form that takes a file."""
    return _page(visit, text="", name=NAME, prune=False)


def _removes(form: FormData) -> bool:
    return "expected" in form and "prune" in form


@pages.act(PATH, Right.OPERATE, asks_password=_removes)
def apply(visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Show what the file would change; what was shown is done, and where it is something else by now that is shown."""
    name, text, prune = text_of(form, "name") or NAME, "", "prune" in form

    def do() -> Response:
        _apply(visit, text, name, prune, reason=text_of(form, "reason"), seen=text_of(form, "expected") or "")
        return visit.go("/schedules", done="schedules-applied")

    try:
        name, text = _sent(form)
        if "expected" in form:
            return visit.once(form, do)
    except Forbidden:
        raise
    except Changed as refused:
        return _shown(visit, text, name, prune, refused)
    except Refused as refused:
        return _page(visit, text=text, name=name, prune=prune, refused=refused)
    return _shown(visit, text, name, prune)


def _sent(form: FormData) -> tuple[str, str]:
    """Name and text of the file that was chosen; of what was pasted, where none was."""
    file = form.get("file")
    if isinstance(file, UploadFile) and file.filename:
        try:
            text = file.file.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Refused(
                f"{file.filename!r} is not UTF-8 text (byte {error.start + 1})",
                field="file",
                remedy="Save it as UTF-8",
            ) from None
        check_text(file.filename + text, "file", HTTPStatus.UNPROCESSABLE_ENTITY)
        return file.filename[:LONGEST_NAME], text
    # A browser sends other ends of lines than it was shown.
    text = str(form.get("text") or "").replace("\r\n", "\n")
    if not text.strip():
        raise Refused(
            "no file was chosen, and none is pasted", field="text", remedy="Choose one, or paste its lines"
        )
    return text_of(form, "name") or NAME, text


def _apply(visit: Visit, text: str, name: str, prune: bool, **how: Any) -> Difference:
    return apply_schedules(visit.app, text, file=name, prune=prune, actor=visit.actor, **how)


def _shown(visit: Visit, text: str, name: str, prune: bool, refused: Refused | None = None) -> Response:
    plan = None
    try:
        plan = _apply(visit, text, name, prune, dry_run=True)
    except Forbidden:
        raise
    except Refused as wrong:
        refused = wrong
    return _page(visit, text=text, name=name, prune=prune, plan=plan, refused=refused)


def _page(
    visit: Visit,
    *,
    text: str,
    name: str,
    prune: bool,
    plan: Difference | None = None,
    refused: Refused | None = None,
) -> Response:
    problems = refused.problems if isinstance(refused, CrontabRefused) else ()
    return visit.page(
        "schedule_file.html",
        status=200 if refused is None else HTTPStatus.UNPROCESSABLE_ENTITY.value,
        text=text,
        name=name,
        prune=prune,
        plan=plan,
        added={} if plan is None else dict(_added(visit, plan)),
        changed={} if plan is None else dict(_changed(visit, plan)),
        refused=refused,
        problems=problems[:LINES_SHOWN],
        more=len(problems[LINES_SHOWN:]),
    )


def _added(visit: Visit, plan: Difference) -> Iterator[tuple[str, tuple[ScheduleSpec, list[Any]]]]:
    """Each with the fields that are not the default; parameters that are secret stay so."""
    for name, spec in plan.added.items():
        terms = dict(plan.terms[name])
        if "parameters" in terms:
            terms["parameters"] = _parameters(visit, spec.job, terms["parameters"])
        yield name, (spec, differences(None, terms or None))


def _changed(visit: Visit, plan: Difference) -> Iterator[tuple[str, list[Any]]]:
    """Each with its fields, before and after; parameters that are secret stay so."""
    for name, changes in plan.changed.items():
        job = show_schedule(visit.app, name, actor=visit.actor)["job"]
        jobs = changes.get("job", (job, job))
        sides = []
        for number, of_job in enumerate(jobs):
            side = {field: values[number] for field, values in changes.items() if values[number] is not None}
            if "parameters" in side:
                side["parameters"] = _parameters(visit, of_job, side["parameters"])
            sides.append(side)
        yield name, differences(*sides)


def _parameters(visit: Visit, job: str, parameters: Mapping[str, Any]) -> str | None:
    try:
        known = show_job(visit.app, job, actor=visit.actor)
    except Refused:  # it is not installed here any more
        known = None
    return shown_parameters(known, {name: value for name, value in parameters.items() if value is not None})
