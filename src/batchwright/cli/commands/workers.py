"""`batchwright workers`."""

from __future__ import annotations

import click

from batchwright.cli import show
from batchwright.cli.groups import Group
from batchwright.cli.options import json_option, limit_option
from batchwright.cli.output import Column, Format, write_rows
from batchwright.cli.session import application
from batchwright.operations.workers import list_workers

COLUMNS = (
    Column("host", "Host"),
    Column("process", "Process", numeric=True),
    Column("version", "Version"),
    Column("revision", "Revision"),
    Column("started_at", "Started UTC", show=show.instant),
    Column("beat_at", "Last sign UTC", show=show.instant),
    Column("silent", "Silent", show=lambda silent: "yes" if silent else ""),
    Column("processes", "Processes", numeric=True, optional=True),
    Column("pss_bytes", "Memory (PSS)", numeric=True, show=show.megabytes),
    Column("rss_bytes", "RSS", numeric=True, show=show.megabytes, optional=True),
    Column("connections", "Connections", numeric=True),
    Column("runs", "Drives", show=show.joined),
    Column("left_runs", "Leaves", show=show.joined),
    Column("jobs", "Jobs", show=show.joined),
)


@click.group("workers", cls=Group, example="batchwright workers list")
def workers() -> None:
    """The workers there are, and which jobs they have."""


@workers.command("list", example="batchwright workers list --limit 10")
@limit_option
@json_option
def list_(limit: int | None, format: Format) -> None:
    """List the workers, the newest first: where each runs, which jobs it has, what it drives and what it takes.

    Memory and connections to the database are those of the worker and of the processes that it has started.
    One that has given no sign for a minute is silent: killed, stopped, or cut off. It is listed for a day.
    """
    with application() as app:
        rows = list_workers(app, limit)
    write_rows(rows, COLUMNS, format=format, nothing="There is no worker.")
