"""What every `batchwright run …` does once its parameters are read."""

from __future__ import annotations

from typing import Any

from batchwright.cli.driving import Way, finish_submitted
from batchwright.cli.run_options import RunOptions
from batchwright.cli.session import Act, acting, application
from batchwright.cli.verbosity import Verbosity
from batchwright.operations.billing.input_filter import pairs_of
from batchwright.operations.billing.selections import select_usage_inputs, submit_on_selection
from batchwright.operations.runs.submitting import submit_run


def selected(where: str, claimed: str | None) -> dict[str, Any]:
    """The parameter that names a selection of what the filter matches now."""
    with application() as app:
        selection = select_usage_inputs(app, pairs_of(where), actor=acting(app, claimed))
    return {"selection_id": selection["selection_id"]}


def act_on_match(verbosity: Verbosity, job: str, where: str, act: Act) -> int:
    """Do the job's act to what the filter matches now, as a run that is driven here; return the exit code."""
    with application() as app:
        by = act.by(app)
        selection = select_usage_inputs(app, pairs_of(where), actor=by["actor"])
        submitted = submit_on_selection(app, job, selection["selection_id"], **by)
        way: Way = "sync" if submitted.view["mode"] == "sync" else "batch"
        return finish_submitted(app, verbosity, submitted, way=way, as_json=act.as_json)


def submit_and_drive(
    verbosity: Verbosity, job: str, parameters: dict[str, Any], dry_run: bool, options: RunOptions
) -> int:
    """Submit a run, drive it here unless it is only enqueued, answer, and return the exit code."""
    with application() as app:
        submitted = submit_run(
            app,
            job,
            parameters,
            actor=acting(app, options.actor),
            mode="dry_run" if dry_run else "sync" if options.way == "sync" else "batch",
            claim=options.claim,
            **options.terms,
        )
        return finish_submitted(app, verbosity, submitted, way=options.way, as_json=options.as_json)
