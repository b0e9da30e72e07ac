"""The acts on a run: what is asked before each, and what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.datastructures import FormData

from batchwright.console.pages.formats import moment_of, plural, state_word
from batchwright.console.pages.run_figures import done_of
from batchwright.console.pages.visit import NOTICES, Confirmation, Visit, text_of
from batchwright.engine.errors import MoveRefused, Pruned
from batchwright.engine.run import ENDED, WAITING
from batchwright.jobs import DraftUsageRatingJob
from batchwright.operations.access.permissions import Right, permit, right_to_run
from batchwright.operations.runs.controls import (
    abort_run,
    hold_run,
    move_run,
    pause_run,
    release_run,
    what_is_asked,
)
from batchwright.operations.runs.looking import show_run
from batchwright.operations.runs.retrying import retry_run
from batchwright.operations.runs.submitting import RunTerms
from batchwright.operations.views import View

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
    "Scopes at work finish, and what is done stays. The rest becomes not reached; a retry takes it up "
    "where the job has one."
)
ENDS_NOW: Final = (
    "It ends now, and its records become not reached; a retry takes them up where the job has one."
)
PAUSES: Final = "Scopes at work finish first. The run gives its slot to others until it is resumed."
OVERWRITES: Final = "All other records of their assets are done, too, and their draft amounts overwritten."
HOLDS: Final = "Only an administrator can resume it."
FINISH: Final = "Its records are all done. A new run does what comes after the last of them."


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

    @property
    def danger(self) -> bool:
        """Whether its button warns."""
        return self.name == "abort"


def _asked(run: View, question: str, words: str, warning: str | None = None, **more: Any) -> Confirmation:
    done, total = done_of(run), run["total"]
    rest = [] if total is None else [("Not done yet", f"{total - done:,} of {total:,} records")]
    return Confirmation(
        question.format(run["run_id"]),
        words,
        f"/runs/{run['run_id']}",
        facts=[
            ("Job", run["type"]),
            ("Status", state_word(run["status"])),
            ("Done", f"{done:,} records"),
            *rest,
        ],
        warning=warning,
        hidden={"expected": run["status"]},
        **more,
    )


def _ask_abort(run: View) -> Confirmation:
    waits = run["status"] in WAITING
    warning = ENDS_NOW if waits else STAYS
    return _asked(run, "Abort {}?", "Abort run", warning, danger=True)


def check_kept(run: View) -> None:
    """Refuse what needs the records of a run that is pruned."""
    if "pruned_at" in run:
        raise Pruned(run["run_id"], moment_of(run["pruned_at"]))


def _ask_retry(run: View) -> Confirmation:
    check_kept(run)
    left = (run["errored"] or 0) + (run["not_reached"] or 0)
    said = (
        f"A new run does the {plural(left, 'record')} that errored or were not reached." if left else FINISH
    )
    if run["job"] == DraftUsageRatingJob.name:
        said += f" {OVERWRITES}"
    return _asked(run, "Retry {}?", "Retry", said, body="run_retry.html")


def _control(operation: Callable[..., View]) -> Callable[[Visit, str, FormData], str]:
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
    Act("pause", "Pause", Right.OPERATE, "paused", _ask_pause, _control(pause_run)),
    Act("resume", "Resume", Right.OPERATE, "resumed", _ask_resume, _control(release_run)),
    Act("move", "Move", Right.OPERATE, "moved", _ask_move, _control(move_run)),
    Act("hold", "Hold", Right.ADMINISTER, "held", _ask_hold, _control(hold_run)),
    Act("retry", "Retry", Right.OPERATE, "retried", _ask_retry, _retry),
    Act("abort", "Abort", Right.OPERATE, "aborted", _ask_abort, _abort),
)


def right_for(visit: Visit, act: Act, run: View, asked: View | None) -> Right:
    """What an act needs on this run: a retry what its job needs, and a resume of what is held an administrator."""
    if act.name == "retry":
        return right_to_run(visit.app, run["job"])
    return Right.ADMINISTER if act.name == "resume" and asked and asked["to"] == "hold" else act.right


def question_of(visit: Visit, act: Act, run: View) -> Confirmation:
    """What is asked before an act, or why the run is not in a state for it. Refuses who may not do it to this run."""
    asked = what_is_asked(visit.app, run["run_id"], actor=visit.actor)
    permit(visit.app, visit.actor, right_for(visit, act, run, asked), f"run.{act.name}")
    return replace(act.ask(run), why_not=why_not(act, run))


def why_not(act: Act, run: View) -> str | None:
    """Why the state of a run forbids an act."""
    status, ended = run["status"], run["status"] in ENDED
    gone = f"The run is {status}"
    reasons: dict[str, str | None] = {
        "pause": gone if ended or status == "Paused" else None,
        "resume": None if status == "Paused" else "The run is not paused",
        "move": None if status == "Holding" else "Only a run that holds has a place in line",
        "hold": None if status in WAITING else "Only a run that waits can be held",
        "retry": run.get("cannot_retry"),
        "abort": gone if ended else None,
    }
    return reasons[act.name]


def check_expected(visit: Visit, run_id: str, expected: str | None) -> None:
    """Refuse an act on a run that is not as it was shown."""
    status = show_run(visit.app, run_id, actor=visit.actor)["status"]
    if expected is not None and expected != status:
        raise MoveRefused(
            f"{run_id} was {expected} when this was asked, and is {status} now",
            remedy="Look at what it says now, and confirm that",
        )
