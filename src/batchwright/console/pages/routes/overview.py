"""The first page: what needs somebody, what is at work, what comes next, and what the drafts come to."""

from __future__ import annotations

from datetime import datetime, time, timedelta
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
from batchwright.operations.acknowledging import COUNTED, LOOKED_AT, what_needs_somebody
from batchwright.operations.billing.forecast import Forecast, look_at_forecast
from batchwright.operations.runs.looking import last_completed
from batchwright.operations.runs.waiting import list_at_work, list_waiting
from batchwright.operations.schedules.looking import ScheduleFilter, look_at_schedules
from batchwright.operations.views import View

pages = Pages()
FEW: Final = 5
"""Of each kind are shown; a link leads to all."""
FIRES: Final = 10
SLOW_SECONDS: Final = 30
GROUPS: Final = {
    "failed": ("failed or aborted run", "failed or aborted runs"),
    "erred": ("run with errors", "runs with errors"),
    "schedules": ("schedule", "schedules"),
    "mails": ("mail not sent", "mails not sent"),
}
"""What needs somebody, in this order; one of it, and several."""


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
    found = what_needs_somebody(visit.app, since, actor=visit.actor)
    unseen: list[View] = []
    seen: list[View] = []
    left, number_seen = [], 0
    for name, words in GROUPS.items():
        items = found[name]["items"]
        # Schedules in trouble are shown whole: no other page lists them by themselves.
        few = len(items) if name == "schedules" else FEW
        new, old = ([one for one in items if bool(one["seen"]) is is_seen] for is_seen in (False, True))
        unseen, seen, number_seen = unseen + new[:few], seen + old[:few], number_seen + len(old)
        left += _left_out(words, len(new[few:]), found[name]["number"] - len(items))
    return {
        "since": since,
        "unseen": unseen,
        "seen": seen,
        "number_seen": number_seen,
        "left_out": left,
        "quiet": found["quiet"],
    }


def _left_out(words: tuple[str, str], unseen: int, older: int) -> list[str]:
    """In words how many of a group are not shown: unseen ones, and older ones, which are not looked at."""
    many = f"more than {COUNTED - LOOKED_AT:,}" if older > COUNTED - LOOKED_AT else f"{older:,}"
    told = [f"{unseen:,} more {words[unseen > 1]}"] if unseen else []
    return [*told, f"{many} older {words[older > 1]}, seen or not"] if older else told


def _now(visit: Visit, params: OverviewParams) -> dict[str, Any]:
    """What is at work, with how far it is, and what waits."""
    app, actor = visit.app, visit.actor
    at_work = list_at_work(app, FEW, actor=actor)
    waiting = list_waiting(app, FEW + 1, actor=actor)
    return {
        "at_work": [(run, figures_of(run, run["progress"], app.clock.now())) for run in at_work],
        "waiting": waiting[:FEW],
        "is_more_waiting": len(waiting) > FEW,
    }


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
    return {
        "lines": shown,
        "is_too_much": found is None,
        "found": found,
        "currencies": currencies,
        "currency": currency,
        "chart": chart_of(shown, "month"),
        "as_of": last_completed(visit.app, "draft-usage-rating", actor=visit.actor),
    }


def _yesterday(visit: Visit) -> datetime:
    """When yesterday began by the reader's clock."""
    zone = zone_of(visit.request)
    today = moment_of(visit.app.clock.now()).astimezone(zone).date()
    return datetime.combine(today - timedelta(days=1), time(), zone)
