"""One schedule: its times, what became of them, and what is done to it.

Its name may have a slash, so that the addresses of acts stand before that of the schedule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Final

from fastapi import Query
from starlette.datastructures import FormData
from starlette.responses import Response

from batchwright.console.api.bodies import check_text
from batchwright.console.pages.formats import moment_of, plural, utc
from batchwright.console.pages.schedule_form import (
    form_of_address,
    form_of_post,
    form_of_schedule,
    shown_parameters,
    version_of_terms,
)
from batchwright.console.pages.schedule_words import next_clock_change, policies_of
from batchwright.console.pages.scheduling import form_at, form_page, path_of
from batchwright.console.pages.visit import (
    FORM,
    NOTICES,
    VISIT,
    Confirmation,
    ListParams,
    Pages,
    Pairs,
    Params,
    Visit,
    text_of,
)
from batchwright.engine.errors import Changed, Refused
from batchwright.operations.access.permissions import Forbidden, Right, right_to_run
from batchwright.operations.runs.jobs import show_job
from batchwright.operations.schedules.backfill import backfill_schedule, backfill_window
from batchwright.operations.schedules.cron import bound_of, read_last_moment, read_moment
from batchwright.operations.schedules.looking import foresee_times
from batchwright.operations.schedules.schedules import (
    fires_page,
    next_fires,
    pause_schedule,
    preview_rewind,
    remove_schedule,
    resume_schedule,
    rewind_schedules,
    run_now,
    show_schedule,
    update_schedule,
)
from batchwright.operations.versions import version_of
from batchwright.operations.views import View

pages = Pages()
ONE: Final = "/schedules/{name:path}"
FIRES_SHOWN: Final = 10
NOTICES.update(
    {
        "schedule-changed": "The schedule was changed.",
        "schedule-paused": "The schedule is paused: it fires nothing until it is resumed.",
        "schedule-resumed": "The schedule fires again.",
        "schedule-run": "The run is submitted. The schedule is left alone.",
        "schedule-rewound": "The schedule fires again from now on.",
        "schedule-removed": "The schedule is removed. Its runs stay.",
        "schedule-backfilled": "The runs are submitted; the times below have them.",
    }
)


class ScheduleParams(Params):
    """The first day whose times are shown, by the clock of the schedule; without, those that come next."""

    since: date | None = None


class BackfillParams(Params):
    """The window: dates, or times in the schedule's zone."""

    since: str | None = None
    until: str | None = None


@dataclass(frozen=True)
class Act:
    """What can be done to a schedule by one button: words, what will be, and the operation."""

    words: str
    question: str
    warning: str
    done: str
    do: Callable[[Visit, str, str | None], str | None]
    danger: bool = False
    typed: bool = False
    facts: Callable[[Visit, str], Pairs] | None = None


def _run(visit: Visit, name: str, reason: str | None) -> str:
    submitted = run_now(visit.app, name, actor=visit.actor, reason=reason, trigger="console")
    return f"/runs/{submitted.run_id}"


def _pause(visit: Visit, name: str, reason: str | None) -> None:
    pause_schedule(visit.app, name, actor=visit.actor, reason=reason)


def _resume(visit: Visit, name: str, reason: str | None) -> None:
    resume_schedule(visit.app, name, actor=visit.actor, reason=reason)


def _rewind(visit: Visit, name: str, reason: str | None) -> None:
    rewind_schedules(visit.app, [name], actor=visit.actor, reason=reason)


def _rewinding(visit: Visit, name: str) -> Pairs:
    plan = preview_rewind(visit.app, name, actor=visit.actor)
    return [
        ("Fires nothing until (UTC)", utc(plan["ahead_until"])),
        ("Records of times to come that are taken away", f"{plan['records']:,}"),
        ("Runs of such times, which stay", f"{plan['runs']:,}"),
        ("Would fire next (UTC)", utc(plan["next_fire_at"])),
    ]


def _remove(visit: Visit, name: str, reason: str | None) -> str:
    remove_schedule(visit.app, name, actor=visit.actor, reason=reason)
    return "/schedules"


ACTS: Final = {
    "run-now": Act(
        "Run now",
        "Run {} now?",
        "A run of yours starts with what the schedule runs. Its next times do not know of it.",
        "schedule-run",
        _run,
    ),
    "pause": Act(
        "Pause",
        "Pause {}?",
        "It fires nothing until it is resumed. Its runs continue.",
        "schedule-paused",
        _pause,
    ),
    "resume": Act(
        "Resume",
        "Resume {}?",
        "It fires again. Its policy decides about the times of the pause.",
        "schedule-resumed",
        _resume,
    ),
    "rewind": Act(
        "Let it fire again",
        "Let {} fire again?",
        "A clock that was ahead recorded times to come. They come again, also those that have a run already.",
        "schedule-rewound",
        _rewind,
        facts=_rewinding,
    ),
    "remove": Act(
        "Remove",
        "Remove {}?",
        "The record of its times is deleted with it, permanently. Its runs stay and continue.",
        "schedule-removed",
        _remove,
        danger=True,
        typed=True,
    ),
}


@pages.page(f"{ONE}/edit", Right.OPERATE)
def ask_to_edit(name: str, visit: Visit = VISIT) -> Response:
    """The form with what the schedule holds, or with what its address holds in place of that."""
    shown = show_schedule(visit.app, name, actor=visit.actor)
    query = visit.request.query_params
    job = show_job(visit.app, query.get("job", shown["job"]), actor=visit.actor)
    typed = form_of_address(job, query) if "cron" in query else form_of_schedule(job, shown)
    return form_page(visit, typed, name=name)


@pages.act(f"{ONE}/edit", Right.OPERATE)
def edit(name: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Change a schedule as it was shown; where somebody else has changed it since, both are shown."""
    shown = show_schedule(visit.app, name, actor=visit.actor)
    job = show_job(visit.app, text_of(form, "job") or shown["job"], actor=visit.actor)
    typed = form_of_post(job, form, shown)
    if "show" in form:
        return form_at(visit, f"{path_of(name)}/edit", typed, name=name)

    def do() -> Response:
        changes = {**typed.values(), "name": name}
        if typed.expected != version_of_terms(shown):
            raise Changed(f"{name} was changed")
        seen = [version_of(shown)]
        update_schedule(visit.app, name, changes, seen=seen, actor=visit.actor, from_crontab=True)
        return visit.go(path_of(name), done="schedule-changed")

    try:
        return visit.once(form, do)
    except Forbidden:
        raise
    except Changed as refused:
        now = form_of_schedule(job, show_schedule(visit.app, name, actor=visit.actor))
        return form_page(visit, typed.seen(now.expected), refused, name=name, changed=list(typed.unlike(now)))
    except Refused as refused:
        return form_page(visit, typed, refused, name=name)


@pages.page(f"{ONE}/fires")
def fires(name: str, params: Annotated[ListParams, Query()], visit: Visit = VISIT) -> Response:
    """What became of each time, newest first."""
    page = fires_page(visit.app, name, limit=params.limit, after=params.after, actor=visit.actor)
    zone = show_schedule(visit.app, name, actor=visit.actor)["time_zone"]
    return visit.page("schedule_fires.html", name=name, time_zone=zone, page=page, pager=visit.pager(page))


@pages.page(f"{ONE}/backfill", Right.OPERATE)
def ask_to_backfill(name: str, params: Annotated[BackfillParams, Query()], visit: Visit = VISIT) -> Response:
    """First the window, then its times that have no run."""
    shown = show_schedule(visit.app, name, actor=visit.actor)
    for field, text in (("since", params.since), ("until", params.until)):
        check_text(text or "", field)
    if params.since is None or params.until is None:
        return _backfilling(visit, shown, params.model_dump())
    try:
        times = backfill_schedule(
            visit.app, name, *_window(params.since, params.until), actor=visit.actor, preview=True
        )
    except Forbidden:
        raise
    except Refused as refused:
        return _backfilling(visit, shown, params.model_dump(), refused=refused)
    return _backfilling(visit, shown, params.model_dump(), times)


@pages.act(f"{ONE}/backfill", Right.OPERATE)
def backfill(name: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Submit the runs that were shown; where there are others by now, those are shown first."""
    shown = show_schedule(visit.app, name, actor=visit.actor)
    typed = {field: text_of(form, field) or "" for field in ("since", "until")}

    def do() -> Response:
        window = _window(typed["since"], typed["until"])
        times = backfill_schedule(visit.app, name, *window, actor=visit.actor, preview=True)
        if version_of(times) != text_of(form, "expected"):
            return _backfilling(visit, shown, typed, times, Changed(f"the times of {name}"))
        backfill_schedule(visit.app, name, *window, actor=visit.actor, reason=text_of(form, "reason"))
        return visit.go(f"{path_of(name)}/fires", done="schedule-backfilled")

    try:
        return visit.once(form, do)
    except Forbidden:
        raise
    except Refused as refused:
        return _backfilling(visit, shown, typed, refused=refused)


def _window(since: str, until: str) -> tuple[datetime, date | datetime]:
    return read_moment(since, field="from"), read_last_moment(until, field="to")


def _backfilling(
    visit: Visit, shown: View, typed: View, times: list[View] | None = None, refused: Refused | None = None
) -> Response:
    fields = {"from": "since", "to": "until"}
    if refused is not None and refused.field in fields:
        refused = Refused(refused.message, field=fields[refused.field], remedy=refused.remedy)
    window = None
    if times:
        wanted = _window(typed["since"], typed["until"])
        window = backfill_window(visit.app, shown["name"], *wanted, actor=visit.actor)
    return visit.page(
        "schedule_backfill.html",
        status=200 if refused is None else 422,
        schedule=shown,
        typed=typed,
        times=times,
        window=window,
        expected=None if times is None else version_of(times),
        role=right_to_run(visit.app, shown["job"]).value,
        refused=refused,
    )


def _add_act(path: str, act: Act) -> None:
    def confirmation_of(visit: Visit, name: str) -> Confirmation:
        shown = show_schedule(visit.app, name, actor=visit.actor)
        return Confirmation(
            question=act.question.replace("{}", name),
            act=act.words,
            back=path_of(name),
            facts=[
                ("Job", shown["job"]),
                ("When", shown["description"]),
                ("Next fire (UTC)", utc(shown["next_fire_at"])),
                *(act.facts(visit, name) if act.facts else ()),
            ],
            warning=act.warning,
            typed=name if act.typed else None,
            danger=act.danger,
        )

    @pages.page(f"{ONE}/{path}", Right.OPERATE)
    def ask(name: str, visit: Visit = VISIT) -> Response:
        return visit.confirmation(confirmation_of(visit, name))

    @pages.act(f"{ONE}/{path}", Right.OPERATE)
    def act_on(name: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
        def do() -> Response:
            if act.typed and text_of(form, "typed") != name:
                raise Refused(
                    f"type {name} to confirm", field="typed", remedy="Type the name of the schedule"
                )
            where = act.do(visit, name, text_of(form, "reason"))
            return visit.go(where or path_of(name), done=act.done)

        try:
            return visit.once(form, do)
        except Forbidden:
            raise
        except Refused as refused:
            return visit.confirmation(confirmation_of(visit, name), refused=refused, values=form)


for _path, _act in ACTS.items():
    _add_act(_path, _act)


@pages.page(ONE)
def schedule(name: str, params: Annotated[ScheduleParams, Query()], visit: Visit = VISIT) -> Response:
    """One schedule, with its times to come: the next ones, or those from a day on."""
    shown = show_schedule(visit.app, name, actor=visit.actor)
    recorded = fires_page(visit.app, name, limit=FIRES_SHOWN, actor=visit.actor)
    try:
        times = foresee_times(visit.app, shown["cron"], shown["time_zone"], actor=visit.actor)
        coming, broken = next_fires(visit.app, name, actor=visit.actor), None
        if params.since is not None:
            times = _times_from(visit, shown, params.since)
            coming = times["times"]
    except Refused as refused:
        times, coming, broken = None, [], refused
    today = moment_of(visit.app.clock.now()).date()
    changing = next_clock_change(shown["time_zone"], today) if times else None
    changes = {time["fire_at"]: time["clock_change"] for time in times["times"]} if times else {}
    return visit.page(
        "schedule.html",
        schedule=shown,
        policies=policies_of(shown),
        terms=_terms(shown),
        role=right_to_run(visit.app, shown["job"]).value,
        coming=[{**one, "clock_change": changes.get(one["fire_at"])} for one in coming],
        times=times,
        since=params.since,
        clock_change=changing,
        around=changing and changing - timedelta(days=3),
        broken=broken,
        recorded=recorded,
        ahead_until=preview_rewind(visit.app, name, actor=visit.actor)["ahead_until"],
        parameters=shown_parameters(_job_of(visit, shown), shown["parameters"]),
    )


def _times_from(visit: Visit, shown: View, since: date) -> View:
    """Its expression in words and its times from a day of its zone on, within its own bounds."""
    start, end = (None if shown[one] is None else moment_of(shown[one]) for one in ("start", "end"))
    day = bound_of(since, shown["time_zone"], field="since")
    begin = day if start is None else max(start, day)
    return foresee_times(
        visit.app, shown["cron"], shown["time_zone"], start=begin, end=end, actor=visit.actor
    )


def _job_of(visit: Visit, shown: View) -> View | None:
    try:
        return show_job(visit.app, shown["job"], actor=visit.actor)
    except Refused:  # it is not installed here any more
        return None


def _terms(shown: View) -> list[str]:
    """What else was asked for, as sentences."""
    start, finish = shown["start_within_minutes"], shown["finish_within_minutes"]
    told = [
        f"Somebody is told when a run has not started within {plural(start, 'minute')}." if start else None,
        f"Somebody is told when a run has not ended within {plural(finish, 'minute')}." if finish else None,
        f"A run fails at more errors than {shown['error_ceiling']}." if shown["error_ceiling"] else None,
        None if shown["mail_owner"] else "The owner gets no mail of its runs.",
        f"Mail goes to {', '.join(shown['notify'])}, too." if shown["notify"] else None,
        f"Explanation of its runs: {shown['explanation']}" if shown["explanation"] else None,
    ]
    return [text for text in told if text]
