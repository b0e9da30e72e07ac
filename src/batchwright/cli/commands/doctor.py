"""`batchwright doctor`: one look at everything that a run, a schedule or a mail needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import click

from batchwright.cli.commands.config import problems_of
from batchwright.cli.exits import DONE, FAILED
from batchwright.cli.groups import Command
from batchwright.cli.options import as_json_option
from batchwright.cli.output import say, write_json
from batchwright.cli.session import application, current_settings
from batchwright.cli.show import instant
from batchwright.config.errors import Problem
from batchwright.config.settings import SettingsError
from batchwright.notifications.humanize import counted
from batchwright.operations.app import Application
from batchwright.operations.database import check_database
from batchwright.operations.runs.waiting import list_waiting
from batchwright.operations.schedules.schedules import list_schedules, list_troubles
from batchwright.operations.troubles import service_troubles


class Finding(NamedTuple):
    """What is wrong, where, and what to do about it."""

    part: str
    message: str
    remedy: str | None = None


@click.command("doctor", cls=Command, example="batchwright doctor")
@as_json_option
def doctor(as_json: bool) -> int:
    """Check settings, database, workers, schedules and mail; exit code 1 and every problem, if there is one."""
    findings = list(_findings())
    if as_json:
        write_json([finding._asdict() for finding in findings])
    for part, message, remedy in () if as_json else findings:
        say(f"{part}: {message}. {remedy or ''}".rstrip())
    if not findings and not as_json:
        say("Settings, database, workers, schedules and mail are in order.")
    return FAILED if findings else DONE


def _findings() -> Iterator[Finding]:
    try:
        settings = current_settings()
    except SettingsError as error:
        yield from map(_of_setting, error.problems)
        return
    yield from map(_of_setting, problems_of(settings))
    with application() as app:
        faults = check_database(app)
        yield from (Finding("database", fault) for fault in faults)
        if not faults:  # of a damaged database, or that of another version, nothing more can be read
            yield from _of_service(app)


def _of_setting(one: Problem) -> Finding:
    return Finding("settings", f"{one.setting} (from {one.origin}) {one.reason}", one.remedy)


def _of_service(app: Application) -> Iterator[Finding]:
    troubles = service_troubles(app)
    is_needed = list_waiting(app, 1) or any(not one["paused"] for one in list_schedules(app))
    if troubles["no_worker"] and is_needed:
        message = "none is there, and runs or schedules wait for one"
        yield Finding("workers", message, "Start `batchwright worker` or `batchwright serve`")
    for clock in troubles["clocks"]:
        message = (
            f"the clock of {clock['host']} is {clock['ahead_seconds']:+,.0f} s from the database server's"
        )
        yield Finding("workers", message, "Set it right: until then that machine fires no schedule")
    if troubles["held_at"]:
        message = f"all are held since {instant(troubles['held_at'])} UTC"
        yield Finding("schedules", message, "`batchwright schedules release-all`")
    for name, why in list_troubles(app).items():
        yield Finding("schedules", f"{name}: {why}", f"`batchwright schedules show '{name}'`")
    for name, what in (("mail_stuck", "due for an hour"), ("mail_refused", "refused one after another")):
        if troubles[name]:
            yield Finding("mail", f"{counted(troubles[name], 'mail')} {what}", "`batchwright mail list`")
