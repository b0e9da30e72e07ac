"""The first page: what needs somebody, what is at work, what comes next, and what the drafts come to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from functools import partial
from typing import Annotated, Any, Final

from fastapi import Query
from starlette.responses import Response

from batchwright.console.pages.charts import MOST, chart_of
from batchwright.console.pages.formats import moment_of
from batchwright.console.pages.render import LIVE, zone_of
from batchwright.console.pages.routes.forecast import UNKNOWN, currencies_of
from batchwright.console.pages.run_figures import figures_of
from batchwright.console.pages.visit import VISIT, Pages, Params, Visit
from batchwright.engine.faults import ReadTooLong
from batchwright.engine.run import ACTIVE
from batchwright.operations.acknowledging import (
    Kind,
    mail_trouble,
    read_acknowledgements,
    run_trouble,
    schedule_trouble,
)
from batchwright.operations.billing.forecast import Forecast, look_at_forecast
from batchwright.operations.mail import mail_page
from batchwright.operations.runs.looking import page_of_runs
from batchwright.operations.runs.progress import run_progress
from batchwright.operations.runs.waiting import list_waiting
from batchwright.operations.schedules.looking import ScheduleFilter, look_at_schedules
from batchwright.operations.schedules.schedules import list_troubles
from batchwright.operations.versions import version_of
from batchwright.operations.views import View
from batchwright.operations.workers import list_workers

pages = Pages()
FEW: Final = 5
"""Of each kind are shown; a link leads to all."""
FIRES: Final = 10
SLOW_SECONDS: Final = 30
_ENDED: Final = ["Complete", "Failed", "Aborted"]
LOOKED_AT: Final = 50
"""Of each kind are looked at for those that nobody has seen yet."""


class OverviewParams(Params):
    """In which currency the money is shown."""

    currency: str | None = None


@pages.page("/", shared=True)
def overview(params: Annotated[OverviewParams, Query()], visit: Visit = VISIT) -> Response:
    """The four blocks; a look of the script reads no more than the block that it wants."""
    region = visit.request.headers.get(LIVE)
    read = {"region_needs": _needs, "region_now": _now, "region_next": _next, "region_money": _money}
    values: dict[str, Any] = {"few": FEW, "slow": SLOW_SECONDS}
    for name, block in read.items():
        if region in (None, name):
            values |= block(visit, params)
    return visit.page("overview.html", **values)


def _needs(visit: Visit, params: OverviewParams) -> dict[str, Any]:
    """What ended badly since yesterday began, and what does not do what it should: unseen first."""
    since = _yesterday(visit)
    app, actor = visit.app, visit.actor
    log = partial(page_of_runs, app, limit=LOOKED_AT, actor=actor, since=since)
    runs = log(status=["Failed", "Aborted"]).items, log(status="Complete", errors=True).items
    mail = mail_page(app, "failed", limit=LOOKED_AT, actor=actor).items
    found = [
        *(_told(visit, Kind.RUN, [(run["run_id"], run_trouble(run), run) for run in some]) for some in runs),
        _told(
            visit,
            Kind.SCHEDULE,
            [
                (name, schedule_trouble(why), {"name": name, "why": why})
                for name, why in list_troubles(app, actor=actor).items()
            ],
        ),
        _told(visit, Kind.MAIL, [(one["mail_id"], mail_trouble(one), one) for one in mail]),
    ]
    unseen = [one for some in found for one in _few(some, is_seen=False)]
    ended = [] if unseen else page_of_runs(app, limit=1, actor=actor, status=_ENDED).items
    workers = list_workers(app, actor=actor)
    return {
        "since": since,
        "unseen": unseen,
        "seen": [one for some in found for one in _few(some, is_seen=True)],
        "last_run": ended[0] if ended else None,
        "beat_at": max((worker["beat_at"] for worker in workers if worker["beat_at"]), default=None),
        "is_worker_there": any(not worker["silent"] for worker in workers),
    }


def _told(visit: Visit, kind: Kind, found: Sequence[tuple[str, View | None, View]]) -> list[View]:
    """Each with who has seen it: `kind, subject, of, seen`."""
    versions = {subject: version_of(trouble) for subject, trouble, _ in found}
    seen = read_acknowledgements(visit.app, kind, versions, actor=visit.actor)
    return [
        {"kind": kind, "subject": subject, "of": of, "seen": seen.get(subject)} for subject, _, of in found
    ]


def _few(found: Sequence[View], *, is_seen: bool) -> list[View]:
    wanted = [one for one in found if (one["seen"] is not None) == is_seen]
    # Schedules in trouble are shown whole: no other page lists them by themselves.
    return wanted if found and found[0]["kind"] is Kind.SCHEDULE else wanted[:FEW]


def _now(visit: Visit, params: OverviewParams) -> dict[str, Any]:
    """What is at work, with how far it is, and what waits."""
    app, actor = visit.app, visit.actor
    states = [str(state) for state in ACTIVE]
    at_work = page_of_runs(app, limit=FEW, actor=actor, status=states).items
    waiting = list_waiting(app, FEW + 1, actor=actor)
    return {
        "at_work": [(run, _figures(visit, run)) for run in at_work],
        "waiting": waiting[:FEW],
        "is_more_waiting": len(waiting) > FEW,
    }


def _figures(visit: Visit, run: View) -> View:
    progress = run_progress(visit.app, run["run_id"], actor=visit.actor)
    return figures_of(run, progress, visit.app.clock.now())


def _next(visit: Visit, params: OverviewParams) -> dict[str, Any]:
    """The schedules that fire next."""
    wanted = ScheduleFilter(state="active", by="next")
    found = look_at_schedules(visit.app, wanted, limit=FIRES, actor=visit.actor).items
    return {"coming": [one for one in found if one["next_fire_at"] is not None]}


def _money(visit: Visit, params: OverviewParams) -> dict[str, Any]:
    """Draft beside rated by month in one currency, and the run that made the drafts."""
    try:
        found: Forecast | None = look_at_forecast(visit.app, actor=visit.actor)
    except ReadTooLong:  # the page is good without
        found = None
    lines = found.lines if found else []
    currencies = currencies_of(lines)
    currency = params.currency or (currencies[0] if currencies else None)
    shown = [line for line in lines if (line["currency"] or UNKNOWN) == currency][-MOST:]
    made = page_of_runs(
        visit.app, limit=1, actor=visit.actor, job="draft-usage-rating", status="Complete"
    ).items
    return {
        "lines": shown,
        "is_too_much": found is None,
        "found": found,
        "currencies": currencies,
        "currency": currency,
        "chart": chart_of(shown, "month"),
        "as_of": made[0] if made else None,
    }


def _yesterday(visit: Visit) -> datetime:
    """When yesterday began by the reader's clock."""
    zone = zone_of(visit.request)
    today = moment_of(visit.app.clock.now()).astimezone(zone).date()
    return datetime.combine(today - timedelta(days=1), time(), zone)
