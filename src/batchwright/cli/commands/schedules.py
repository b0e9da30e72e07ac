"""`batchwright schedules`: what runs when, made one by one or by a file, and what became of its times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

import click

from batchwright.cli.driving import Way, finish_submitted
from batchwright.cli.groups import Group
from batchwright.cli.options import actor_option, as_json_option, limit_option, read_text, reason_option
from batchwright.cli.output import say, write_facts, write_json, write_rows
from batchwright.cli.schedule_options import Moment, schedule_options
from batchwright.cli.schedule_views import (
    BACKFILL_COLUMNS,
    FIRE_COLUMNS,
    NEXT_COLUMNS,
    SCHEDULE_COLUMNS,
    TROUBLE_COLUMN,
    bound,
    difference_lines,
    next_line,
    schedule_facts,
    window_line,
)
from batchwright.cli.session import acting, application
from batchwright.cli.show import instant
from batchwright.cli.verbosity import Verbosity
from batchwright.engine.schedule import ScheduleRequest
from batchwright.operations.app import Application
from batchwright.operations.runs.jobs import described_job
from batchwright.operations.runs.parameters import read_parameters
from batchwright.operations.schedules import schedules as operation
from batchwright.operations.schedules.backfill import backfill_schedule, backfill_window
from batchwright.operations.schedules.files import apply_schedules
from batchwright.operations.views import View


@click.group("schedules", cls=Group, example="batchwright schedules list")
def schedules() -> None:
    """Schedules: make, change, hold, look at their times."""


@schedules.command(
    "add",
    example="batchwright schedules add 'Draft Rating Job' '0 0 0 ? * * *' draft-usage-rating\n"
    "batchwright schedules add 'Rate usage' '0 30 5 ? * MON-FRI' usage-rating --time-zone Europe/Berlin "
    "--finish-within 120",
)
@click.argument("name")
@click.argument("cron")
@click.argument("job")
@schedule_options
@actor_option
@as_json_option
def add(
    name: str,
    cron: str,
    job: str,
    texts: Sequence[str],
    fields: dict[str, Any],
    actor: str | None,
    as_json: bool,
) -> None:
    """Run a job whenever a Salesforce or Quartz expression says so.

    The parameters are checked and frozen now. A worker has to run when the time comes; one that comes late does what
    `--misfire` says.
    """
    with application() as app:
        parameters = _parameters(app, job, texts)
        request = ScheduleRequest(name=name, cron=cron, job=job, parameters=parameters, **fields)
        made = operation.add_schedule(app, request, actor=acting(app, actor))
    _answer(made, f"{name} is scheduled and {next_line(made)}.{window_line(made)}", as_json=as_json)


@schedules.command("list", example="batchwright schedules list --json")
@limit_option
@as_json_option
def list_(limit: int | None, as_json: bool) -> None:
    """List schedules by name."""
    with application() as app:
        rows = operation.list_schedules(app, limit)
        troubles = operation.list_troubles(app)
        hold = operation.read_hold(app)
    if hold["held_at"] is not None and hold["released_at"] is None:
        since = instant(hold["held_at"])
        say(f"All schedules are held since {since} UTC: `batchwright schedules release-all`.", err=True)
    rows = [{**row, "trouble": troubles.get(row["name"])} for row in rows]
    columns = (*SCHEDULE_COLUMNS, TROUBLE_COLUMN) if troubles else SCHEDULE_COLUMNS
    write_rows(rows, columns, format=_format(as_json), nothing="There is no schedule.")


@schedules.command("show", example="batchwright schedules show 'Draft Rating Job'")
@click.argument("name")
@as_json_option
def show(name: str, as_json: bool) -> None:
    """Show all of a schedule."""
    with application() as app:
        schedule = operation.show_schedule(app, name)
    if as_json:
        write_json(schedule)
    else:
        write_facts(schedule_facts(schedule))


@schedules.command(
    "update",
    example="batchwright schedules update 'Draft Rating Job' --cron '0 0 1 ? * * *' --notify jane@example.com\n"
    "batchwright schedules update 'Draft Rating Job' --end none",
)
@click.argument("name")
@click.option("--cron", metavar="CRON", help="Another expression; counts from now on.")
@click.option("--job", metavar="JOB", help="Another job; its parameters are those given with --param.")
@schedule_options
@actor_option
@as_json_option
def update(
    name: str,
    cron: str | None,
    job: str | None,
    texts: Sequence[str],
    fields: dict[str, Any],
    actor: str | None,
    as_json: bool,
) -> None:
    """Change fields of a schedule; those that are not named stay.

    The word none takes away what can be without a value, such as --end. Parameters are given all anew.
    """
    changes = dict(fields)
    if cron is not None:
        changes["cron"] = cron
    if job is not None:
        changes["job"] = job
    with application() as app:
        if texts or job is not None:
            described = job or operation.show_schedule(app, name)["job"]
            changes["parameters"] = _parameters(app, described, texts)
        changed = operation.update_schedule(app, name, changes, actor=acting(app, actor))
    said = window_line(changed) if {"start", "end", "time_zone"} & changes.keys() else ""
    _answer(changed, f"{name} is changed and {next_line(changed)}.{said}", as_json=as_json)


@schedules.command(
    "pause", example="batchwright schedules pause 'Draft Rating Job' --reason 'year-end close'"
)
@click.argument("name")
@actor_option
@reason_option
@as_json_option
def pause(name: str, actor: str | None, reason: str | None, as_json: bool) -> None:
    """Let a schedule fire nothing until it is resumed."""
    with application() as app:
        paused = operation.pause_schedule(app, name, actor=acting(app, actor), reason=reason)
    _answer(paused, f"{name} is paused.", as_json=as_json)


@schedules.command("resume", example="batchwright schedules resume 'Draft Rating Job'")
@click.argument("name")
@actor_option
@reason_option
@as_json_option
def resume(name: str, actor: str | None, reason: str | None, as_json: bool) -> None:
    """Let a paused schedule fire again; its misfire policy decides about the times of the pause."""
    with application() as app:
        resumed = operation.resume_schedule(app, name, actor=acting(app, actor), reason=reason)
    _answer(resumed, f"{name} is resumed and {next_line(resumed)}.", as_json=as_json)


@schedules.command("rewind", example="batchwright schedules rewind 'Draft Rating Job'")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@actor_option
@reason_option
@as_json_option
def rewind(names: Sequence[str], actor: str | None, reason: str | None, as_json: bool) -> None:
    """Let schedules fire again of which a clock that was ahead recorded times to come; without a NAME all such.

    `schedules list` says which they are. They fire from now on; `backfill` makes up for times since then.
    """
    with application() as app:
        rewound = operation.rewind_schedules(app, names or None, actor=acting(app, actor), reason=reason)
    if as_json:
        write_json(rewound)
        return
    for name in rewound:
        say(f"{name} fires again from now on.")
    if not rewound:
        say("Nothing is recorded ahead of the clock.")


@schedules.command("remove", example="batchwright schedules remove 'Draft Rating Job'")
@click.argument("name")
@actor_option
@reason_option
@as_json_option
def remove(name: str, actor: str | None, reason: str | None, as_json: bool) -> None:
    """Delete a schedule and the record of its times; its runs stay."""
    with application() as app:
        removed = operation.remove_schedule(app, name, actor=acting(app, actor), reason=reason)
    _answer(removed, f"{name} is removed.", as_json=as_json)


@schedules.command("run-now", example="batchwright schedules run-now 'Draft Rating Job'")
@click.argument("name")
@click.option("--enqueue", is_flag=True, help="Only submit it and print its id; a worker drives it.")
@actor_option
@reason_option
@as_json_option
@click.pass_obj
def run_now(
    verbosity: Verbosity, name: str, enqueue: bool, actor: str | None, reason: str | None, as_json: bool
) -> int:
    """Run what a schedule runs, here and now; the schedule itself is left alone."""
    with application() as app:
        submitted = operation.run_now(app, name, actor=acting(app, actor), reason=reason, claim=not enqueue)
        way: Way = "enqueue" if enqueue else "batch"
        return finish_submitted(app, verbosity, submitted, way=way, as_json=as_json)


@schedules.command("next", example="batchwright schedules next 'Draft Rating Job'")
@click.argument("name")
@click.option(
    "--limit", type=click.IntRange(min=1), default=operation.NEXT, metavar="N", help="How many (default: 10)."
)
@as_json_option
def next_(name: str, limit: int, as_json: bool) -> None:
    """Tell when a schedule fires next, in its zone and in UTC."""
    with application() as app:
        rows = operation.next_fires(app, name, limit)
        schedule = operation.show_schedule(app, name)
    if schedule["paused"] or schedule["held"]:
        still = "The schedule is paused" if schedule["paused"] else "All schedules are held"
        say(f"{still}: these are the times at which it would fire.", err=True)
    write_rows(rows, NEXT_COLUMNS, format=_format(as_json), nothing="It fires no more.")


@schedules.command("fires", example="batchwright schedules fires 'Draft Rating Job' --limit 20")
@click.argument("name")
@limit_option
@as_json_option
def fires(name: str, limit: int | None, as_json: bool) -> None:
    """What became of a schedule's times, newest first: which run each started, or why it was not run."""
    with application() as app:
        rows = operation.list_fires(app, name, limit)
    write_rows(rows, FIRE_COLUMNS, format=_format(as_json), nothing="No time of it has come yet.")


@schedules.command(
    "apply",
    example="batchwright schedules apply crontab.example --dry-run\nbatchwright schedules apply crontab.example",
)
@click.argument("file")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--prune", is_flag=True, help="Remove the schedules that the file does not name.")
@actor_option
@reason_option
@as_json_option
def apply(
    file: str, dry_run: bool, prune: bool, actor: str | None, reason: str | None, as_json: bool
) -> None:
    """Make the schedules as a file has them: it shows what it adds, changes, removes and leaves.

    All of it is one transaction. A line is an expression (of Salesforce, Quartz or Unix), the schedule's name in double
    quotes, a job and options; crontab.example explains. FILE may be - for standard input.
    """
    text = read_text(file, "FILE")
    with application() as app:
        difference = apply_schedules(
            app, text, file=file, actor=acting(app, actor), reason=reason, dry_run=dry_run, prune=prune
        )
    if as_json:
        write_json(difference.view)
        return
    for line in difference_lines(difference, dry_run=dry_run):
        say(line)


@schedules.command(
    "backfill",
    example="batchwright schedules backfill 'Draft Rating Job' --from 2026-11-01 --to 2026-11-03 --preview",
)
@click.argument("name")
@click.option(
    "--from", "begin", type=Moment(), required=True, metavar="T", help="ISO 8601, in the schedule's zone."
)
@click.option(
    "--to",
    "end",
    type=Moment(last=True),
    required=True,
    metavar="T",
    help="Both ends are included; a date alone is the whole day.",
)
@click.option("--preview", is_flag=True, help="Only list what would run.")
@actor_option
@reason_option
@as_json_option
def backfill(
    name: str,
    begin: datetime,
    end: date | datetime,
    preview: bool,
    actor: str | None,
    reason: str | None,
    as_json: bool,
) -> None:
    """Run what a schedule missed: a run for each of its times in a window that has none yet."""
    with application() as app:
        window = backfill_window(app, name, begin, end)
        say(f"Its times from {bound(window, 'from')} to {bound(window, 'to')}.", err=True)
        rows = backfill_schedule(
            app, name, begin, end, actor=acting(app, actor), reason=reason, preview=preview
        )
    write_rows(
        rows, BACKFILL_COLUMNS, format=_format(as_json), nothing="Every time in that window has its run."
    )


@schedules.command("hold-all", example="batchwright schedules hold-all --reason 'database upgrade'")
@actor_option
@reason_option
@as_json_option
def hold_all(actor: str | None, reason: str | None, as_json: bool) -> None:
    """Let no schedule fire until `release-all`, for maintenance. Runs continue."""
    _hold(
        operation.hold_all,
        "No schedule fires until `batchwright schedules release-all`.",
        actor,
        reason,
        as_json,
    )


@schedules.command("release-all", example="batchwright schedules release-all")
@actor_option
@reason_option
@as_json_option
def release_all(actor: str | None, reason: str | None, as_json: bool) -> None:
    """Let schedules fire again; the misfire policy of each decides about the times since."""
    _hold(operation.release_all, "Schedules fire again.", actor, reason, as_json)


def _hold(act: Callable[..., View], said: str, actor: str | None, reason: str | None, as_json: bool) -> None:
    with application() as app:
        hold = act(app, actor=acting(app, actor), reason=reason)
    _answer(hold, said, as_json=as_json)


def _answer(view: View, said: str, *, as_json: bool) -> None:
    if as_json:
        write_json(view)
    else:
        say(said)


def _parameters(app: Application, job: str, texts: Sequence[str]) -> dict[str, Any]:
    app.database.require()
    return read_parameters(described_job(app, job)["parameters"], texts)


def _format(as_json: bool) -> Any:
    return "json" if as_json else "table"
