"""The jobs there are, and the form that launches one."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query
from starlette.datastructures import FormData
from starlette.responses import Response

from batchwright.console.pages.customer_choice import customer_choice
from batchwright.console.pages.equivalents import call_of, command_of
from batchwright.console.pages.launching import LONGEST_ADDRESS, Launch, launch_of_address, launch_of_form
from batchwright.console.pages.visit import FORM, NOTICES, VISIT, Pages, Params, Visit, address
from batchwright.engine.errors import Refused
from batchwright.engine.faults import ReadTooLong
from batchwright.operations.access.permissions import Forbidden, Right, right_to_run
from batchwright.operations.runs.foreseeing import foresee_run
from batchwright.operations.runs.jobs import broken_jobs, list_jobs, show_job
from batchwright.operations.runs.submitting import submit_run

pages = Pages()
NOTICES["launched"] = "The run is submitted"


@pages.page("/jobs")
def jobs(params: Annotated[Params, Query()], visit: Visit = VISIT) -> Response:
    """The jobs by name."""
    listed = list_jobs(visit.app, actor=visit.actor)
    roles = {job["name"]: right_to_run(visit.app, job["name"]).value for job in listed}
    return visit.page("jobs.html", jobs=listed, roles=roles, broken=broken_jobs(visit.app))


@pages.page("/jobs/{name}/launch")
def form(name: str, visit: Visit = VISIT) -> Response:
    """The form, filled with what its address holds."""
    job = show_job(visit.app, name, actor=visit.actor)
    return _page(visit, launch_of_address(job, visit.request.query_params))


@pages.act("/jobs/{name}/launch", Right.OPERATE)
def launch(name: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Submit the run; or only show what it would be, under an address that others can open."""
    wanted = launch_of_form(show_job(visit.app, name, actor=visit.actor), form)
    if "show" in form:
        there = address(f"/jobs/{quote(name, safe='')}/launch", **wanted.query())
        return visit.go(there) if len(there) <= LONGEST_ADDRESS else _page(visit, wanted)

    def act() -> Response:
        terms = wanted.run_terms()
        given = wanted.parameters()
        run = submit_run(
            visit.app, name, given, actor=visit.actor, mode=wanted.mode, trigger="console", **terms
        )
        return visit.go(f"/runs/{run.run_id}", done="launched")

    try:
        return visit.once(form, act)
    except Forbidden:
        raise
    except Refused as refused:
        return _page(visit, wanted, refused)


def _page(visit: Visit, wanted: Launch, refused: Refused | None = None) -> Response:
    name = wanted.job["name"]
    role = right_to_run(visit.app, name).value
    return visit.page(
        "launch.html",
        status=200 if refused is None else HTTPStatus.UNPROCESSABLE_ENTITY.value,
        job=wanted.job,
        role=role,
        launch=wanted,
        refused=None if refused is None else wanted.at_fault(refused),
        own_reason="reason" in wanted.job["parameters"].get("properties", {}),
        choice=customer_choice(visit, wanted),
        foreseen=_foreseen(visit, wanted, may=visit.may(role)),
    )


def _foreseen(visit: Visit, wanted: Launch, *, may: bool) -> dict[str, Any]:
    """What stands below the form: the equal command and call, and how many records; or why it cannot be submitted."""
    foreseen: dict[str, Any] = {"command": None, "call": None, "count": None, "why_not": None}
    try:
        parameters, terms = wanted.parameters(), wanted.run_terms()
    except Refused as refused:
        return foreseen | {"why_not": wanted.at_fault(refused)}
    secret, name = wanted.secret, wanted.job["name"]
    foreseen["command"] = command_of(name, parameters, wanted.mode, terms, secret)
    foreseen["call"] = call_of(visit.app.settings.base_url, name, parameters, wanted.mode, terms, secret)
    if may:
        try:
            foreseen["count"] = foresee_run(visit.app, name, parameters, actor=visit.actor)
        except Refused as refused:
            foreseen["why_not"] = wanted.at_fault(refused)
        except ReadTooLong:  # the form is good without
            pass
    return foreseen
