"""`batchwright runs`: the run queue and log, and how its runs are steered."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import chain, islice
from typing import Any, Literal, Unpack

import click

from batchwright.cli import show as shown
from batchwright.cli.driving import drive_and_answer, finish_submitted, send_mail
from batchwright.cli.exits import DONE, FAILED, INTERRUPTED
from batchwright.cli.groups import Group
from batchwright.cli.interrupt import StopOnInterrupt
from batchwright.cli.options import as_json_option, format_option, json_option, limit_option
from batchwright.cli.output import Column, Format, say, write_facts, write_json, write_rows, write_table
from batchwright.cli.run_options import RunOptions, dry_run_option, run_options
from batchwright.cli.run_views import (
    COUNT_COLUMNS,
    LOG_COLUMNS,
    OUTCOME_COLUMNS,
    counts,
    mail_lines,
    next_commands,
    owner,
    steered,
    what_was_asked,
)
from batchwright.cli.schedule_options import Moment
from batchwright.cli.session import Act, act_options, acting, application
from batchwright.cli.verbosity import Verbosity
from batchwright.engine.run import parent_caption
from batchwright.notifications.humanize import counted
from batchwright.operations.runs import controls, driving, looking, previews, pruning, retrying
from batchwright.operations.runs.run_filter import RunFilter
from batchwright.operations.schedules.cron import bound_of
from batchwright.operations.views import View

PREVIEW_COLUMNS = (
    Column("kind", "Kind"),
    Column("record_id", "Record"),
    Column("customer_id", "Customer"),
    Column("currency", "Currency"),
    Column("before", "Before", numeric=True),
    Column("after", "After", numeric=True),
    Column("difference", "Difference", numeric=True),
)
COMPUTED_WITH = Column("detail", "Computed with")
"""Too long for a table that people read; a file has it."""
DETAIL = Column(
    "detail",
    "What changes",
    show=lambda detail: ", ".join(f"{name}: {value}" for name, value in detail.items()),
)
"""Of a job that changes no money it is all there is to see."""
WARNING_COLUMNS = (Column("code", "Warning"), Column("record_id", "Record"), Column("message", "Message"))
RESTATED_COLUMNS = (
    Column("record_id", "Restated"),
    Column("currency", "Currency"),
    Column("before", "Before", numeric=True),
    Column("after", "After", numeric=True),
)
RESTATED_SHOWN = 50
ROWS_LATER = "a worker deletes them, or the next `batchwright runs prune`."
ROWS_ARE_LEFT = b"\nStopping after the rows at hand. Ctrl-C again stops at once.\n"


FIELDS: dict[Literal["since", "before"], str] = {"since": "--from", "before": "--before"}


@click.group("runs", cls=Group, example="batchwright runs list --limit 10")
def runs() -> None:
    """The run queue and log: look, steer, retry."""


@runs.command("list", example="batchwright runs list --status Failed --from 2026-11-01 --limit 10")
@click.option(
    "--status",
    multiple=True,
    metavar="S",
    help="Only runs in this state, such as Holding or Failed; also Running, Complete. Repeat it for several.",
)
@click.option("--job", metavar="J", help="Only runs of this job.")
@click.option("--customer", "customer_id", metavar="ID", help="Only runs about this customer alone.")
@click.option("--actor", "run_actor", metavar="A", help="Only runs that this actor asked for.")
@click.option("--schedule", metavar="NAME", help="Only runs of this schedule.")
@click.option(
    "--from",
    "since",
    type=Moment(),
    metavar="T",
    help="Started then or later, ISO 8601; UTC where T names no zone.",
)
@click.option(
    "--before", type=Moment(), metavar="T", help="Started earlier. One that waits counts from its creation."
)
@click.option("--errors", is_flag=True, help="Only runs with records that errored.")
@limit_option
@json_option
def list_(limit: int | None, format: Format, **asked: Unpack[RunFilter]) -> None:
    """List runs, the newest first."""
    for name, field in FIELDS.items():
        if (moment := asked[name]) is not None:
            asked[name] = bound_of(moment, "UTC", field=field)
    with application() as app:
        rows = looking.list_runs(app, limit, **asked)
    columns = (*LOG_COLUMNS, *COUNT_COLUMNS)
    write_rows(rows, columns, format=format, nothing="There is no such run.")


@runs.command("show", example="batchwright runs show JR-00000001")
@click.argument("run_id", metavar="RUN")
@as_json_option
def show(run_id: str, as_json: bool) -> None:
    """Show one run: what it was asked to do, what came of it, its mail, its retries."""
    with application() as app:
        run = looking.show_run(app, run_id)
        if as_json:
            write_json(run)
            return
        asked = controls.what_is_asked(app, run_id)
        write_facts(_facts(run, asked, list(mail_lines(run, app.settings)), app.database.display_url))
    if run["warnings"]:
        say()
        write_table(run["warnings"], WARNING_COLUMNS)
    restated = run.get("restated", [])
    if restated:
        say()
        write_table(restated[:RESTATED_SHOWN], RESTATED_COLUMNS)
    if len(restated) > RESTATED_SHOWN:
        say(f"{RESTATED_SHOWN} of {len(restated):,} restated are shown; --json has all.")


def _facts(run: View, asked: View | None, mail: list[str], place: str) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = [(column.title, column.text(run)) for column in LOG_COLUMNS]
    facts += [("State", run["status"]), ("Error", run["error"]), ("Records", counts(run))]
    facts += [("Pruned", shown.instant(run.get("pruned_at")))]
    facts += [(name.capitalize(), amounts) for name, amounts in shown.totals(run["totals"])]
    facts += [
        ("Job", run["job"]),
        ("Mode", run["mode"]),
        ("Parameters", shown.parameters(run["parameters"])),
        ("Explanation", run["explanation"]),
        ("Trigger", run["trigger"]),
        ("Schedule", run["schedule"]),
        (parent_caption(run["trigger"]), run["parent_run_id"]),
        ("Followed by", shown.joined(run["children"])),
        ("Asked", what_was_asked(asked)),
        ("Waits", run.get("no_worker")),
        ("Driven by", owner(run)),
        ("Created UTC", shown.instant(run["created_at"])),
        ("Ended UTC", shown.instant(run["ended_at"])),
        ("Mail", "\n".join(mail)),
        ("Database", place),
        (
            "Next",
            "\n".join(
                word for word in next_commands(run) if word != f"batchwright runs show {run['run_id']}"
            ),
        ),
    ]
    return [(name, value) for name, value in facts if value not in (None, "")]


@runs.command("outcomes", example="batchwright runs outcomes JR-00000001 --outcome error --format csv")
@click.argument("run_id", metavar="RUN")
@click.option("--outcome", metavar="O", help="Only ok, error, skipped or not_reached.")
@click.option("--code", metavar="C", help="Only with this code, such as no_price.")
@click.option("--first-record", type=int, metavar="N", help="From the run's record number N on.")
@click.option("--record-id", metavar="ID", help="Only of this record, such as IN-00007052.")
@format_option
def outcomes(
    run_id: str,
    outcome: str | None,
    code: str | None,
    first_record: int | None,
    record_id: str | None,
    format: Format,
) -> None:
    """What became of each record of a run."""
    with application() as app:
        rows = looking.run_outcomes(
            app, run_id, outcome, code, first_record=first_record, record_id=record_id
        )
        write_rows(rows, OUTCOME_COLUMNS, format=format, nothing="There is no such outcome.")


@runs.command("preview", example="batchwright runs preview JR-00000002 --by customer")
@click.argument("run_id", metavar="RUN")
@click.option("--by", type=click.Choice(previews.CHOICES), help="Only a line for each of these.")
@limit_option
@format_option
def preview(run_id: str, by: previews.By | None, limit: int | None, format: Format) -> None:
    """What a dry run would have written, old and new, the largest difference first.

    A line for each customer, then for each account and month, for each charge to it, for each schedule, for each input.
    """
    with application() as app:
        rows = iter(previews.run_preview(app, run_id, by, limit))
        first = list(islice(rows, 1))
        if format == "csv":
            columns: Sequence[Column] = (*PREVIEW_COLUMNS, COMPUTED_WITH)
        else:
            has_money = not first or first[0]["currency"]
            columns = PREVIEW_COLUMNS if has_money else (*PREVIEW_COLUMNS[:3], DETAIL)
        write_rows(chain(first, rows), columns, format=format, nothing="The run has no preview line.")


@runs.command("apply", example="batchwright runs apply JR-00000002")
@click.argument("run_id", metavar="RUN")
@run_options
@click.pass_obj
def apply(verbosity: Verbosity, run_id: str, options: RunOptions) -> int:
    """Do what a dry run previewed, as a new run linked to it; refused if that no longer holds."""
    with application() as app:
        actor = acting(app, options.actor)
        submitted = previews.apply_run(app, run_id, actor=actor, claim=options.claim, **options.terms)
        return finish_submitted(app, verbosity, submitted, way=options.way, as_json=options.as_json)


@runs.command("retry", example="batchwright runs retry JR-00000001")
@click.argument("run_id", metavar="RUN")
@dry_run_option
@run_options
@click.pass_obj
def retry(verbosity: Verbosity, run_id: str, dry_run: bool, options: RunOptions) -> int:
    """Do again what went wrong in a run that has ended, as a new run linked to it."""
    with application() as app:
        actor = acting(app, options.actor)
        mode = "dry_run" if dry_run else None
        submitted = retrying.retry_run(
            app, run_id, actor=actor, mode=mode, claim=options.claim, **options.terms
        )
        return finish_submitted(app, verbosity, submitted, way=options.way, as_json=options.as_json)


@runs.command("resume", example="batchwright runs resume JR-00000001")
@click.argument("run_id", metavar="RUN")
@act_options
@click.pass_obj
def resume(verbosity: Verbosity, run_id: str, act: Act) -> int:
    """Continue a queued, paused or interrupted run here; waits until a dead owner's lease is over."""
    with application() as app:
        return drive_and_answer(
            app,
            verbosity,
            run_id,
            lambda stop, on_progress: driving.resume_run(
                app, run_id, **act.by(app), stop=stop, on_progress=on_progress, mail=False
            ),
            as_json=act.as_json,
        )


@runs.command("abort", example='batchwright runs abort JR-00000001 --reason "wrong month"')
@click.argument("run_id", metavar="RUN")
@act_options
def abort(run_id: str, act: Act) -> None:
    """End a run early, at once or after the current scope; what was done stays, and its mail is sent."""
    with application() as app:
        run = controls.abort_run(app, run_id, **act.by(app), mail=False)
        act.answer(run, steered(run, "abort"))
        sys.stdout.flush()
        if run["ended_at"] is not None:
            send_mail(app, run_id, show=False)


@runs.command("pause", example="batchwright runs pause JR-00000001")
@click.argument("run_id", metavar="RUN")
@act_options
def pause(run_id: str, act: Act) -> None:
    """Pause a run, at once or after the current scope; `runs resume` continues it."""
    with application() as app:
        run = controls.pause_run(app, run_id, **act.by(app))
        act.answer(run, steered(run, "pause"))


@runs.command("hold", example='batchwright runs hold JR-00000003 --reason "not before the audit"')
@click.argument("run_id", metavar="RUN")
@act_options
def hold(run_id: str, act: Act) -> None:
    """Keep a run that waits from starting until an administrator resumes it; for administrators."""
    with application() as app:
        run = controls.hold_run(app, run_id, **act.by(app))
        act.answer(run, steered(run, "hold"))


@runs.command("move", example="batchwright runs move JR-00000003 --before JR-00000002")
@click.argument("run_id", metavar="RUN")
@click.option("--front", is_flag=True, help="Before all others of its queue.")
@click.option("--end", is_flag=True, help="After all others of its queue.")
@click.option("--before", metavar="RUN", help="Right before that run.")
@click.option("--after", metavar="RUN", help="Right after that run.")
@act_options
def move(run_id: str, front: bool, end: bool, before: str | None, after: str | None, act: Act) -> None:
    """Move a Holding run within its queue: among the Holding runs of the same actor."""
    with application() as app:
        place: dict[str, Any] = {"front": front, "end": end, "before": before, "after": after}
        run = controls.move_run(app, run_id, **act.by(app), **place)
        act.answer(run, steered(run, "move"))


@runs.command(
    "prune",
    example="batchwright runs prune --older-than 90d --dry-run\n"
    "batchwright runs prune --older-than 2w --job draft-usage-rating",
)
@click.option(
    "--older-than",
    required=True,
    metavar="D",
    help="Runs that ended longer ago: days (90d), weeks (12w), or before a date (2026-01-31, UTC).",
)
@click.option(
    "--job", "jobs", multiple=True, metavar="J", help="Only runs of this job. Repeat it for several."
)
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@act_options
def prune(
    older_than: str,
    jobs: Sequence[str],
    dry_run: bool,
    yes: bool,
    act: Act,
) -> int:
    """Delete what became of each record in runs that ended long ago; for administrators.

    The runs stay in the log, with counts, totals, errors by code, and mail; amounts do not change. Shows in numbers
    what it will do, asks where it is called from a terminal, and then does it.
    """
    stopped = False
    with application() as app:
        by = act.by(app)
        plan = pruning.preview_prune(app, older_than, jobs, actor=by["actor"])
        if not act.as_json:
            _write_pruning(plan)
        if dry_run:
            pruned = plan
        else:
            asks = plan["runs"] and not (yes or act.as_json) and sys.stdin.isatty()
            if asks and not click.confirm("Delete it?", err=True):
                say("Nothing was deleted.", err=True)
                return FAILED
            pruned = pruning.prune_runs(app, plan["older_than"], jobs, expected=plan["runs"], **by)
            with StopOnInterrupt(ROWS_ARE_LEFT) as stop:
                pruned["unfinished"] = pruning.delete_pruned(app, stop)
            stopped = stop()
    if act.as_json:
        write_json({"dry_run": dry_run, **pruned})
    elif dry_run:
        say("Nothing was deleted: a dry run.")
    else:
        say(f"Pruned {counted(pruned['runs'], 'run')}.")
        if pruned["unfinished"]:
            say(f"Records of {counted(pruned['unfinished'], 'run')} are left: {ROWS_LATER}")
    return INTERRUPTED if stopped else DONE


def _write_pruning(plan: View) -> None:
    ended = f"before {shown.instant(plan['older_than'])} UTC"
    facts = [(f"Runs that ended {ended}", f"{plan['runs']:,}")]
    if plan["runs"]:
        facts += [
            ("By job", "\n".join(f"{one['runs']:,} {one['job']}" for one in plan["by_job"])),
            ("Records", f"{plan['records']:,}, in {counted(plan['scopes'], 'scope')}"),
            ("The first ended", shown.instant(plan["oldest"])),
        ]
    if plan["kept"]:
        facts += [
            ("Kept", f"{plan['kept']:,}: mail about them waits, or a run that follows them has not ended")
        ]
    if plan["unfinished"]:
        facts += [("Pruned before", f"{plan['unfinished']:,}, whose records are not all deleted yet")]
    write_facts(facts)
