"""The same act on many runs that were ticked in the log: what is asked before, and what each answered."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import Field
from starlette.datastructures import FormData
from starlette.responses import JSONResponse, Response

from batchwright.console.pages.formats import plural, state_word
from batchwright.console.pages.run_acts import ACTS, OVERWRITES, PAUSES, STAYS, Act, check_expected, why_not
from batchwright.console.pages.run_figures import done_of
from batchwright.console.pages.visit import FORM, NOTICES, VISIT, Confirmation, Pages, Params, Visit, text_of
from batchwright.engine.errors import NotFound, Refused
from batchwright.jobs import DraftUsageRatingJob
from batchwright.operations.access.permissions import Right
from batchwright.operations.runs.jobs import list_jobs
from batchwright.operations.runs.looking import show_run
from batchwright.operations.views import View

pages = Pages()
OF_MANY: Final = {act.name: act for act in ACTS if act.name in ("pause", "resume", "retry", "abort")}
MOST: Final = 250
"""Runs at once: a page of the log with its queue."""
BEFORE: Final = {"abort": STAYS, "pause": PAUSES}


class TickedParams(Params):
    """What is to be done to which runs."""

    act: Literal["abort", "pause", "resume", "retry"]
    run_id: list[str] = Field(default_factory=list)


@pages.page("/ticked-runs", Right.OPERATE)
def ask(params: Annotated[TickedParams, Query()], visit: Visit = VISIT) -> Response:
    """What would become of each, and in sum."""
    return _confirmation(visit, OF_MANY[params.act], _few_enough(params.run_id))


@pages.act("/ticked-runs", Right.OPERATE)
def do(visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Do it to each, and show what each answered. Those that are refused leave the others alone."""
    act = OF_MANY.get(text_of(form, "act") or "")
    if act is None:
        raise NotFound("many runs have no such act", field="act", remedy=f"There are: {', '.join(OF_MANY)}")
    ticked = dict(str(one).partition(" ")[::2] for one in form.getlist("run"))
    ids = _few_enough(list(ticked))
    try:
        kept = visit.once(
            form, lambda: JSONResponse([_answer(visit, act, an_id, ticked[an_id], form) for an_id in ids])
        )
    except Refused as refused:
        return _confirmation(visit, act, ids, refused=refused, values=dict(form))
    answers = json.loads(bytes(kept.body))
    return visit.page("ticked_runs_done.html", act=act, answers=answers, told=NOTICES[act.done])


def _few_enough(run_ids: Sequence[str]) -> list[str]:
    """Each once, in the order of their ids, in which everybody locks them."""
    if not run_ids:
        raise Refused("no run was ticked", field="run_id", remedy="Tick some in the log")
    if len(run_ids) > MOST:
        raise Refused(
            f"{len(run_ids)} runs are too many at once", field="run_id", remedy=f"Tick {MOST} at most"
        )
    return sorted(set(run_ids))


def _answer(visit: Visit, act: Act, run_id: str, expected: str, form: FormData) -> dict[str, Any]:
    """What became of one: `run_id`, `went_to` (the run that has it now), or why it was `refused`."""
    try:
        check_expected(visit, run_id, expected or None)
        return {"run_id": run_id, "went_to": act.do(visit, run_id, form), "refused": None}
    except Refused as refused:
        return {"run_id": run_id, "went_to": None, "refused": str(refused)}


def _confirmation(
    visit: Visit, act: Act, run_ids: Sequence[str], refused: Refused | None = None, **values: Any
) -> Response:
    runs = [show_run(visit.app, run_id, actor=visit.actor) for run_id in run_ids]
    lines = [(run, done_of(run), why_not(act, run)) for run in runs]
    takes = [run for run, _, why in lines if why is None]
    confirmation = Confirmation(
        f"{act.words} {plural(len(runs), 'run')}?",
        f"{act.words} {plural(len(runs), 'run')}",
        "/runs",
        facts=list(_facts(visit, act, runs, takes)),
        warning=OVERWRITES if act.name == "retry" and _overwrites(takes) else BEFORE.get(act.name),
        hidden={"act": act.name},
        danger=act.danger,
        body="ticked_runs.html",
    )
    given = values.get("values") or {}
    return visit.confirmation(confirmation, refused=refused, values={**given, "lines": lines})


def _facts(visit: Visit, act: Act, runs: Sequence[View], takes: Sequence[View]) -> Iterator[tuple[str, str]]:
    states = Counter(state_word(run["status"]) for run in runs)
    yield "Status", ", ".join(f"{count:,} {status}" for status, count in states.items())
    if act.name == "retry":
        errored, left = (sum(run[name] or 0 for run in takes) for name in ("errored", "not_reached"))
        yield "Done again", f"{errored:,} records that errored, {left:,} that were not reached"
        units = {job["name"]: job["retry_unit"] for job in list_jobs(visit.app, actor=visit.actor)}
        yield "Unit", ", ".join(sorted({unit for run in takes if (unit := units.get(run["job"]))})) or "none"
    else:
        done, total = sum(map(done_of, takes)), sum(run["total"] or 0 for run in takes)
        unplanned = sum(run["total"] is None for run in takes)
        known = [f"{total - done:,} of {total:,} records"] if unplanned < len(takes) else []
        later = [f"all of {plural(unplanned, 'run')} without a plan yet"] if unplanned else []
        yield "Done", f"{done:,} records"
        yield "Not done yet", ", and ".join(known + later) or "none"
    if len(takes) < len(runs):
        yield "Refused as they are now", plural(len(runs) - len(takes), "run")


def _overwrites(runs: Sequence[View]) -> bool:
    return any(run["job"] == DraftUsageRatingJob.name for run in runs)
