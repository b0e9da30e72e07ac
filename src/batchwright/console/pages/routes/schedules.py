"""The list of schedules, the form that makes one, and the hold of all."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from starlette.datastructures import FormData
from starlette.responses import Response

from batchwright.console.pages import banners
from batchwright.console.pages.formats import utc
from batchwright.console.pages.schedule_form import form_of_address, form_of_post
from batchwright.console.pages.schedule_words import policies_of
from batchwright.console.pages.scheduling import form_at, form_page, path_of
from batchwright.console.pages.visit import (
    FORM,
    NOTICES,
    VISIT,
    Confirmation,
    ListParams,
    Pages,
    Visit,
    text_of,
)
from batchwright.engine.errors import Refused
from batchwright.engine.schedule import ScheduleRequest
from batchwright.operations.access.permissions import Forbidden, Right, right_to_run
from batchwright.operations.runs.jobs import list_jobs, show_job
from batchwright.operations.schedules.looking import STATES, ScheduleFilter, look_at_schedules
from batchwright.operations.schedules.schedules import add_schedule, hold_all, read_hold, release_all

pages = Pages()
NOTICES.update(
    {
        "schedule-added": "The schedule is saved. It fires from now on, where a worker runs.",
        "schedules-held": "All schedules are held: nothing starts by itself until they are released.",
        "schedules-released": "The schedules fire again. The policy of each decides about the times of the hold.",
    }
)


class SchedulesParams(ListParams):
    """Which schedules, and in which order."""

    state: str | None = None
    job: str | None = None
    owner: str | None = None
    by: Literal["name", "next"] = "name"

    @property
    def is_set(self) -> bool:
        """Whether anything is filtered away."""
        return any((self.state, self.job, self.owner))


@pages.page("/schedules")
def schedules(params: Annotated[SchedulesParams, Query()], visit: Visit = VISIT) -> Response:
    """The schedules, in order of name or of their next fire."""
    wanted = ScheduleFilter(state=params.state, job=params.job, owner=params.owner, by=params.by)
    page = look_at_schedules(visit.app, wanted, limit=params.limit, after=params.after, actor=visit.actor)
    hold = read_hold(visit.app, actor=visit.actor)
    return visit.page(
        "schedules.html",
        params=params,
        states=STATES,
        jobs=[job["name"] for job in list_jobs(visit.app, actor=visit.actor)],
        page=page,
        pager=visit.pager(page),
        is_held=hold["held_at"] is not None and hold["released_at"] is None,
        policies=policies_of,
    )


@pages.page("/new-schedule", Right.OPERATE)
def ask_to_add(visit: Visit = VISIT) -> Response:
    """First which job, then the form, filled with what its address holds."""
    name = visit.request.query_params.get("job")
    if name is None:
        jobs = list_jobs(visit.app, actor=visit.actor)
        roles = {job["name"]: right_to_run(visit.app, job["name"]).value for job in jobs}
        return visit.page("schedule_job.html", jobs=jobs, roles=roles)
    job = show_job(visit.app, name, actor=visit.actor)
    return form_page(visit, form_of_address(job, visit.request.query_params))


@pages.act("/new-schedule", Right.OPERATE)
def add(visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Save a new schedule; or only show its times, under an address that others can open."""
    typed = form_of_post(show_job(visit.app, text_of(form, "job") or "", actor=visit.actor), form)
    if "show" in form:
        return form_at(visit, "/new-schedule", typed)

    def do() -> Response:
        request = ScheduleRequest(**typed.values())
        made = add_schedule(visit.app, request, actor=visit.actor, from_crontab=True)
        return visit.go(path_of(made["name"]), done="schedule-added")

    try:
        return visit.once(form, do)
    except Forbidden:
        raise
    except Refused as refused:
        return form_page(visit, typed, refused)


@pages.page("/hold-schedules", Right.ADMINISTER)
def ask_to_hold(visit: Visit = VISIT) -> Response:
    """What will not fire while all schedules are held."""
    return visit.confirmation(_holding(visit))


@pages.act("/hold-schedules", Right.ADMINISTER, asks_password=False)
def hold(visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Let nothing fire."""

    def do() -> Response:
        hold_all(visit.app, actor=visit.actor, reason=text_of(form, "reason"))
        banners.forget()
        return visit.go("/schedules", done="schedules-held")

    try:
        return visit.once(form, do)
    except Forbidden:
        raise
    except Refused as refused:
        return visit.confirmation(_holding(visit), refused=refused, values=form)


@pages.page("/release-schedules", Right.ADMINISTER)
def ask_to_release(visit: Visit = VISIT) -> Response:
    """What becomes of the times of the hold."""
    return visit.confirmation(_releasing(visit))


@pages.act("/release-schedules", Right.ADMINISTER)
def release(visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Let the schedules fire again."""

    def do() -> Response:
        release_all(visit.app, actor=visit.actor, reason=text_of(form, "reason"))
        banners.forget()
        return visit.go("/schedules", done="schedules-released")

    try:
        return visit.once(form, do)
    except Forbidden:
        raise
    except Refused as refused:
        return visit.confirmation(_releasing(visit), refused=refused, values=form)


def _holding(visit: Visit) -> Confirmation:
    soon = look_at_schedules(visit.app, ScheduleFilter(state="active", by="next"), limit=5, actor=visit.actor)
    return Confirmation(
        question="Hold all schedules?",
        act="Hold all schedules",
        back="/schedules",
        facts=[("Fires next", ", ".join(item["name"] for item in soon.items) or None)],
        warning="Nothing starts by itself until somebody releases them. Runs at work continue.",
        danger=True,
    )


def _releasing(visit: Visit) -> Confirmation:
    return Confirmation(
        question="Release all schedules?",
        act="Release all schedules",
        back="/schedules",
        facts=[("Held since (UTC)", utc(read_hold(visit.app, actor=visit.actor)["held_at"]))],
        warning="The policy of each schedule decides about the times that were missed meanwhile.",
    )
