"""One run: how far it is, what it came to, and what can be done with it."""

from __future__ import annotations

import json
from typing import Final

from starlette.datastructures import FormData
from starlette.responses import Response

from batchwright.console.pages.equivalents import call_of, command_of
from batchwright.console.pages.run_acts import ACTS, Act, check_expected, question_of, right_for, why_not
from batchwright.console.pages.run_figures import figures_of, strip_of
from batchwright.console.pages.visit import FORM, VISIT, Pages, Visit, text_of
from batchwright.engine.errors import NotFound, Refused
from batchwright.engine.run import ENDED
from batchwright.jobs.usage_restating import REASONS
from batchwright.notifications.remedies import in_console, known_remedy, remedy
from batchwright.operations.access.permissions import Forbidden
from batchwright.operations.runs.controls import what_is_asked
from batchwright.operations.runs.looking import outcome_summary, show_run
from batchwright.operations.runs.progress import run_progress
from batchwright.operations.views import View

pages = Pages()
NO_PROGRESS: Final[View] = {"strip": (), "records_per_second": None, "scopes": 0}
"""Of a run that is pruned."""
RESTATED_SHOWN: Final = 50
"""As many as the command shows."""


@pages.page("/runs/{run_id}", shared=True)
def run(run_id: str, visit: Visit = VISIT) -> Response:
    """One run."""
    shown = show_run(visit.app, run_id, actor=visit.actor)
    progress = NO_PROGRESS if "pruned_at" in shown else run_progress(visit.app, run_id, actor=visit.actor)
    counted = outcome_summary(visit.app, run_id, actor=visit.actor)
    asked = what_is_asked(visit.app, run_id, actor=visit.actor)
    acts = [(act, right_for(visit, act, shown, asked).value, why_not(act, shown)) for act in ACTS]
    is_retried = any(act.name == "retry" and not why for act, _, why in acts)
    return visit.page(
        "run.html",
        run=shown,
        progress=progress,
        strip=strip_of(progress["strip"]),
        figures=figures_of(shown, progress, visit.app.clock.now()),
        outcomes=[{**one, "remedy": _remedy_of(one, is_retried=is_retried)} for one in counted],
        asked=asked,
        restated=shown.get("restated", [])[:RESTATED_SHOWN],
        number_restated=len(shown.get("restated", [])),
        restated_because=REASONS[shown["job"]].of_all if shown["job"] in REASONS else None,
        acts=acts,
        parameters=json.dumps(shown["parameters"], indent=2, ensure_ascii=False),
        command=command_of(shown["job"], shown["parameters"], shown["mode"]),
        call=call_of(visit.app.settings.base_url, shown["job"], shown["parameters"], shown["mode"]),
        is_live=shown["status"] not in (*ENDED, "Paused"),
    )


def _remedy_of(one: View, *, is_retried: bool) -> str | None:
    if one["outcome"] == "not_reached" and is_retried:
        return "Retry does these."
    if one["code"] is None:
        return None
    said = known_remedy(one["code"]) if one["outcome"] == "skipped" else remedy(one["code"])
    return said and in_console(said)


def _add(act: Act) -> None:
    @pages.page(f"/runs/{{run_id}}/{act.name}", act.right)
    def ask(run_id: str, visit: Visit = VISIT) -> Response:
        shown = show_run(visit.app, run_id, actor=visit.actor)
        return visit.confirmation(question_of(visit, act, shown))

    @pages.act(f"/runs/{{run_id}}/{act.name}", act.right, asks_password=False)
    def do(run_id: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
        def acted() -> Response:
            check_expected(visit, run_id, text_of(form, "expected"))
            return visit.go(f"/runs/{act.do(visit, run_id, form)}", done=act.done)

        try:
            return visit.once(form, acted)
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


for one in ACTS:
    _add(one)
