"""One run: how far it is, what it came to, and what can be done with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import FormData
from starlette.responses import Response

from batchwright.console.pages.equals import call_of, command_of
from batchwright.console.pages.formats import plural
from batchwright.console.pages.run_figures import done_of, figures_of, strip_of
from batchwright.console.pages.visit import FORM, NOTICES, VISIT, Confirmation, Pages, Visit, text_of
from batchwright.engine.errors import MoveRefused, NotFound, Refused
from batchwright.engine.run import ENDED, WAITING
from batchwright.jobs import DraftUsageRatingJob
from batchwright.jobs.usage_restating import REASONS
from batchwright.notifications.remedies import remedy
from batchwright.operations.access.permissions import Forbidden, Right
from batchwright.operations.runs.looking import outcome_summary, show_run
from batchwright.operations.runs.progress import run_progress
from batchwright.operations.runs.retrying import retry_run
from batchwright.operations.runs.steering import (
    abort_run,
    hold_run,
    move_run,
    pause_run,
    release_run,
    what_is_asked,
)
from batchwright.operations.runs.submitting import RunTerms
from batchwright.operations.views import View

pages = Pages()
NOTICES.update(
    {
        "aborted": "The run is aborted, or ends after the scopes at hand.",
        "paused": "The run is paused, or pauses after the scopes at hand.",
        "held": "The run is held until an administrator resumes it.",
        "resumed": "The run is back in line.",
        "moved": "The run has its new place in line.",
        "retried": "This run does again what errored or was not reached.",
    }
)
PLACES: Final = (
    ("front", "To the front of its line"),
    ("end", "To the end of its line"),
    ("before", "Before another run"),
    ("after", "After another run"),
)
STAYS: Final = (
    "Scopes at work finish, and what is done stays. The rest becomes not reached; a retry takes it up."
)
PAUSES: Final = "Scopes at work finish first. The run gives its slot to others until it is resumed."
HOLDS: Final = "Only an administrator can resume it."
RESTATED_SHOWN: Final = 50
"""As many as the command shows."""
FINISH: Final = "Its records are all done. A new run does what comes after the last of them."


@pages.page("/runs/{run_id}", shared=True)
def run(run_id: str, visit: Visit = VISIT) -> Response:
    """One run."""
    shown = show_run(visit.app, run_id, actor=visit.actor)
    progress = run_progress(visit.app, run_id, actor=visit.actor)
    counted = outcome_summary(visit.app, run_id, actor=visit.actor)
    return visit.page(
        "run.html",
        run=shown,
        progress=progress,
        strip=strip_of(progress["strip"]),
        figures=figures_of(shown, progress, visit.app.clock.now()),
        outcomes=[{**one, "remedy": remedy(one["code"]) if one["code"] else None} for one in counted],
        asked=what_is_asked(visit.app, run_id, actor=visit.actor),
        restated=shown.get("restated", [])[:RESTATED_SHOWN],
        number_restated=len(shown.get("restated", [])),
        restated_because=REASONS[shown["job"]].of_all if shown["job"] in REASONS else None,
        acts=[(act, _why_not(act, shown)) for act in ACTS],
        parameters=json.dumps(shown["parameters"], indent=2, ensure_ascii=False),
        command=command_of(shown["job"], shown["parameters"], shown["mode"]),
        call=call_of(visit.app.settings.base_url, shown["job"], shown["parameters"], shown["mode"]),
        is_live=shown["status"] not in (*ENDED, "Paused"),
    )


@dataclass(frozen=True)
class Act:
    """An act on a run: the end of its address, its words, who may, what is asked before, and what it does.

    ``do`` calls the operation and returns the id of the run to go to.
    """

    name: str
    words: str
    right: Right
    done: str
    ask: Callable[[View], Confirmation]
    do: Callable[[Visit, str, FormData], str]


def _asked(run: View, question: str, words: str, warning: str | None = None, **more: Any) -> Confirmation:
    done, total = done_of(run), run["total"]
    rest = [] if total is None else [("Not done yet", f"{total - done:,} of {total:,} records")]
    return Confirmation(
        question.format(run["run_id"]),
        words,
        f"/runs/{run['run_id']}",
        facts=[("Job", run["type"]), ("Status", run["status"]), ("Done", f"{done:,} records"), *rest],
        warning=warning,
        hidden={"expected": run["status"]},
        **more,
    )


def _ask_abort(run: View) -> Confirmation:
    waits = run["status"] in WAITING
    warning = "It ends now, and its records become not reached; a retry takes them up." if waits else STAYS
    return _asked(run, "Abort {}?", "Abort run", warning, danger=True)


def _ask_retry(run: View) -> Confirmation:
    left = (run["errored"] or 0) + (run["not_reached"] or 0)
    said = (
        f"A new run does the {plural(left, 'record')} that errored or were not reached." if left else FINISH
    )
    if run["job"] == DraftUsageRatingJob.name:
        said += " The draft amounts of their whole assets are overwritten."
    return _asked(run, "Retry {}?", "Retry", said, body="run_retry.html")


def _steering(operation: Callable[..., View]) -> Callable[[Visit, str, FormData], str]:
    def do(visit: Visit, run_id: str, form: FormData) -> str:
        operation(
            visit.app, run_id, actor=visit.actor, reason=text_of(form, "reason"), **_places(operation, form)
        )
        return run_id

    return do


def _places(operation: Callable[..., View], form: FormData) -> dict[str, Any]:
    if operation is not move_run:
        return {}
    place, other = text_of(form, "place"), text_of(form, "other")
    return {place: other or "" if place in ("before", "after") else True} if place in dict(PLACES) else {}


def _abort(visit: Visit, run_id: str, form: FormData) -> str:
    abort_run(visit.app, run_id, actor=visit.actor, reason=text_of(form, "reason"), mail=False)
    return run_id


def _retry(visit: Visit, run_id: str, form: FormData) -> str:
    terms: RunTerms = {}
    reason = text_of(form, "reason")
    if reason is not None:
        terms["reason"] = reason
    mode = "dry_run" if text_of(form, "dry_run") else None
    return retry_run(visit.app, run_id, actor=visit.actor, mode=mode, **terms).run_id


def _asking(
    question: str, words: str, warning: str | None = None, **more: Any
) -> Callable[[View], Confirmation]:
    return lambda run: _asked(run, question, words, warning, **more)


_ask_pause = _asking("Pause {}?", "Pause run", PAUSES)
_ask_resume = _asking("Resume {}?", "Resume run")
_ask_move = _asking("Move {} in its line", "Move run", body="run_move.html")
_ask_hold = _asking("Hold {}?", "Hold run", HOLDS)

ACTS: Final = (
    Act("pause", "Pause", Right.OPERATE, "paused", _ask_pause, _steering(pause_run)),
    Act("resume", "Resume", Right.OPERATE, "resumed", _ask_resume, _steering(release_run)),
    Act("move", "Move", Right.OPERATE, "moved", _ask_move, _steering(move_run)),
    Act("hold", "Hold", Right.ADMINISTER, "held", _ask_hold, _steering(hold_run)),
    Act("retry", "Retry", Right.OPERATE, "retried", _ask_retry, _retry),
    Act("abort", "Abort", Right.OPERATE, "aborted", _ask_abort, _abort),
)


def _why_not(act: Act, run: View) -> str | None:
    """Why the state of a run forbids an act."""
    status, ended = run["status"], run["status"] in ENDED
    gone = f"The run is {status}"
    has_left = ended and (
        run["errored"] or run["not_reached"] or (status == "Failed" and run["mode"] != "dry_run")
    )
    return {
        "pause": gone if ended or status == "Paused" else None,
        "resume": None if status == "Paused" else "The run is not paused",
        "move": None if status == "Holding" else "Only a run that holds has a place in line",
        "hold": None if status in WAITING else "Only a run that waits can be held",
        "retry": None
        if has_left
        else "Nothing errored or was left out"
        if ended
        else "The run has not ended",
        "abort": gone if ended else None,
    }[act.name]


def _add(act: Act) -> None:
    @pages.page(f"/runs/{{run_id}}/{act.name}", act.right)
    def ask(run_id: str, visit: Visit = VISIT) -> Response:
        return visit.confirmation(act.ask(show_run(visit.app, run_id, actor=visit.actor)))

    @pages.act(f"/runs/{{run_id}}/{act.name}", act.right)
    def do(run_id: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
        try:
            _check_expected(visit, run_id, text_of(form, "expected"))
            return visit.once(form, lambda: visit.go(f"/runs/{act.do(visit, run_id, form)}", done=act.done))
        except NotFound as unknown:
            if unknown.field == "run_id":
                raise
            return _again(visit, run_id, unknown, form)
        except Forbidden:
            raise
        except Refused as refused:
            return _again(visit, run_id, refused, form)

    def _again(visit: Visit, run_id: str, refused: Refused, form: FormData) -> Response:
        shown = show_run(visit.app, run_id, actor=visit.actor)
        return visit.confirmation(act.ask(shown), refused=refused, values=dict(form))


def _check_expected(visit: Visit, run_id: str, expected: str | None) -> None:
    """Refuse an act on a run that is not as it was shown."""
    status = show_run(visit.app, run_id, actor=visit.actor)["status"]
    if expected is not None and expected != status:
        raise MoveRefused(
            f"{run_id} was {expected} when this was asked, and is {status} now",
            remedy="Look at what it says now, and confirm that",
        )


for one in ACTS:
    _add(one)
