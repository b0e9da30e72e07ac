"""The page of the form of a schedule, with the times that it would fire at."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import available_timezones

from starlette.responses import Response

from batchwright.console.pages.launching import LONGEST_ADDRESS
from batchwright.console.pages.schedule_form import ScheduleForm
from batchwright.console.pages.schedule_words import MISFIRES, OVERLAPS
from batchwright.console.pages.visit import Visit, address
from batchwright.engine.errors import Refused
from batchwright.operations.access.permissions import right_to_run
from batchwright.operations.schedules.cron import read_last_moment
from batchwright.operations.schedules.looking import foresee_times

ZONES: Final = sorted(zone for zone in available_timezones() if "/" in zone or zone == "UTC")


def path_of(name: str) -> str:
    """The address of a schedule."""
    return f"/schedules/{quote(name)}"


def form_page(
    visit: Visit,
    typed: ScheduleForm,
    refused: Refused | None = None,
    *,
    name: str | None = None,
    **values: Any,
) -> Response:
    """The form with what is typed; `name` is of the schedule that it changes, none of a new one."""
    return visit.page(
        "schedule_form.html",
        status=200 if refused is None else HTTPStatus.UNPROCESSABLE_ENTITY.value,
        typed=typed,
        name=name,
        back="/schedules" if name is None else path_of(name),
        role=right_to_run(visit.app, typed.job["name"]).value,
        refused=None if refused is None else typed.at_fault(refused),
        foreseen=_foreseen(visit, typed),
        misfires=MISFIRES,
        overlaps=OVERLAPS,
        zones=ZONES,
        **{"changed": (), **values},
    )


def form_at(visit: Visit, path: str, typed: ScheduleForm, *, name: str | None = None) -> Response:
    """The form with its times, under an address that others can open; one too long for that is shown at once."""
    there = address(path, **typed.query())
    return visit.go(there) if len(there) <= LONGEST_ADDRESS else form_page(visit, typed, name=name)


def _foreseen(visit: Visit, typed: ScheduleForm) -> dict[str, Any]:
    """When it would fire; or why nobody can say."""
    cron = typed.text("cron")
    if cron is None:
        return {"times": None, "why_not": None}
    try:
        bounds = {
            name: None if (text := typed.text(name)) is None else read_last_moment(text, field=name)
            for name in ("start", "end")
        }
        times = foresee_times(visit.app, cron, typed.text("time_zone") or "UTC", actor=visit.actor, **bounds)
    except Refused as refused:
        return {"times": None, "why_not": refused}
    return {"times": times, "why_not": None}
