"""`batchwright schedules`: what runs when, made one by one or by a file, and what became of its times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

import click

from batchwright.cli.driving import Way, finish_submitted
from batchwright.cli.groups import Group
from batchwright.cli.options import actor_option, as_json_option, json_option, limit_option, read_text
from batchwright.cli.output import Format, say, write_answer, write_facts, write_json, write_rows
from batchwright.cli.schedule_options import Moment, schedule_options
from batchwright.cli.schedule_views import (
    BACKFILL_COLUMNS,
    FIRE_COLUMNS,
    NEXT_COLUMNS,
    SCHEDULE_COLUMNS,
    TROUBLE_COLUMN,
    backfill_line,
    bound,
    difference_lines,
    next_line,
    schedule_facts,
    window_line,
)
from batchwright.cli.session import Act, act_options, acting, application
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
    write_answer(made, f"{name} is scheduled and {next_line(made)}.{window_line(made)}", as_json=as_json)


@schedules.command("list", example="batchwright schedules list --json")
@limit_option
@json_option
def list_(limit: int | None, format: Format) -> None:
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
    write_rows(rows, columns, format=format, nothing="There is no schedule.")


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
    write_answer(changed, f"{name} is changed and {next_line(changed)}.{said}", as_json=as_json)


@schedules.command(
    "pause", example="batchwright schedules pause 'Draft Rating Job' --reason 'year-end close'"
)
@click.argument("name")
@act_options
def pause(name: str, act: Act) -> None:
    """Let a schedule fire nothing until it is resumed."""
    with application() as app:
        paused = operation.pause_schedule(app, name, **act.by(app))
    act.answer(paused, f"{name} is paused.")


@schedules.command("resume", example="batchwright schedules resume 'Draft Rating Job'")
@click.argument("name")
@act_options
def resume(name: str, act: Act) -> None:
    """Let a paused schedule fire again; its misfire policy decides about the times of the pause."""
    with application() as app:
        resumed = operation.resume_schedule(app, name, **act.by(app))
    act.answer(resumed, f"{name} is resumed and {next_line(resumed)}.")


@schedules.command("rewind", example="batchwright schedules rewind 'Draft Rating Job'")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@act_options
def rewind(names: Sequence[str], act: Act) -> None:
    """Let schedules fire again of which a clock that was ahead recorded times to come; without a NAME all such.

    `schedules list` says which they are. They fire from now on; `backfill` makes up for times since then.
    """
    with application() as app:
        rewound = operation.rewind_schedules(app, names or None, **act.by(app))
    if act.as_json:
        write_json(rewound)
        return
    for name in rewound:
        say(f"{name} fires again from now on.")
    if not rewound:
        say("Nothing is recorded ahead of the clock.")


@schedules.command("remove", example="batchwright schedules remove 'Draft Rating Job'")
@click.argument("name")
@act_options
def remove(name: str, act: Act) -> None:
    """Delete a schedule and the record of its times; its runs stay."""
    with application() as app:
        removed = operation.remove_schedule(app, name, **act.by(app))
    act.answer(removed, f"{name} is removed.")


@schedules.command("run-now", example="batchwright schedules run-now 'Draft Rating Job'")
@click.argument("name")
@click.option("--enqueue", is_flag=True, help="Only submit it and print its id; a worker drives it.")
@act_options
@click.pass_obj
def run_now(verbosity: Verbosity, name: str, enqueue: bool, act: Act) -> int:
    """Run what a schedule runs, here and now; the schedule itself is left alone."""
    with application() as app:
        submitted = operation.run_now(app, name, **act.by(app), claim=not enqueue)
        way: Way = "enqueue" if enqueue else "batch"
        return finish_submitted(app, verbosity, submitted, way=way, as_json=act.as_json)


@schedules.command("next", example="batchwright schedules next 'Draft Rating Job'")
@click.argument("name")
@click.option(
    "--limit", type=click.IntRange(min=1), default=operation.NEXT, metavar="N", help="How many (default: 10)."
)
@json_option
def next_(name: str, limit: int, format: Format) -> None:
    """Tell when a schedule fires next, in its zone and in UTC."""
    with application() as app:
        rows = operation.next_fires(app, name, limit)
        schedule = operation.show_schedule(app, name)
    if schedule["paused"] or schedule["held"]:
        still = "The schedule is paused" if schedule["paused"] else "All schedules are held"
        say(f"{still}: these are the times at which it would fire.", err=True)
    write_rows(rows, NEXT_COLUMNS, format=format, nothing="It fires no more.")


@schedules.command("fires", example="batchwright schedules fires 'Draft Rating Job' --limit 20")
@click.argument("name")
@limit_option
@json_option
def fires(name: str, limit: int | None, format: Format) -> None:
    """What became of a schedule's times, newest first: which run each started, or why it was not run."""
    with application() as app:
        rows = operation.list_fires(app, name, limit)
    write_rows(rows, FIRE_COLUMNS, format=format, nothing="No time of it has come yet.")


@schedules.command(
    "apply",
    example="batchwright schedules apply crontab.example --dry-run\nbatchwright schedules apply crontab.example",
)
@click.argument("file")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--prune", is_flag=True, help="Remove the schedules that the file does not name.")
@act_options
def apply(file: str, dry_run: bool, prune: bool, act: Act) -> None:
    """Make the schedules as a file has them: it shows what it adds, changes, removes and leaves.

    All of it is one transaction. A line is an expression (of Salesforce, Quartz or Unix), the schedule's name in double
    quotes, a job and options; crontab.example explains. FILE may be - for standard input.
    """
    text = read_text(file, "FILE")
    with application() as app:
        difference = apply_schedules(app, text, file=file, **act.by(app), dry_run=dry_run, prune=prune)
    if act.as_json:
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
@act_options
def backfill(name: str, begin: datetime, end: date | datetime, preview: bool, act: Act) -> None:
    """Run what a schedule missed: a run for each of its times in a window that has none yet."""
    with application() as app:
        window = backfill_window(app, name, begin, end)
        say(f"Its times from {bound(window, 'from')} to {bound(window, 'to')}.", err=True)
        rows = backfill_schedule(app, name, begin, end, **act.by(app), preview=True)
        if rows:
            say(backfill_line(rows, window), err=True)
        if not preview:
            rows = backfill_schedule(app, name, begin, end, **act.by(app))
    write_rows(rows, BACKFILL_COLUMNS, format=act.format, nothing="Every time in that window has its run.")


@schedules.command("hold-all", example="batchwright schedules hold-all --reason 'database upgrade'")
@act_options
def hold_all(act: Act) -> None:
    """Let no schedule fire until `release-all`, for maintenance. Runs continue."""
    _hold(operation.hold_all, "No schedule fires until `batchwright schedules release-all`.", act)


@schedules.command("release-all", example="batchwright schedules release-all")
@act_options
def release_all(act: Act) -> None:
    """Let schedules fire again; the misfire policy of each decides about the times since."""
    _hold(operation.release_all, "Schedules fire again.", act)


def _hold(change: Callable[..., View], said: str, act: Act) -> None:
    with application() as app:
        hold = change(app, **act.by(app))
    act.answer(hold, said)


def _parameters(app: Application, job: str, texts: Sequence[str]) -> dict[str, Any]:
    app.database.require()
    return read_parameters(described_job(app, job)["parameters"], texts)
