"""`batchwright cron`: works without a database."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click

from batchwright.cli.groups import Group
from batchwright.cli.options import as_json_option
from batchwright.cli.output import Column, write_facts, write_json, write_rows
from batchwright.cli.schedule_options import Moment
from batchwright.cli.show import instant
from batchwright.engine.errors import Refused
from batchwright.operations.schedules import cron as operation
from batchwright.operations.schedules.cron import ExpressionRefused


def _local(text: str) -> str:
    return datetime.fromisoformat(text).strftime("%a %Y-%m-%d %H:%M:%S %z")


COLUMNS = (Column("local_time", "Local time", show=_local), Column("fire_at", "UTC", show=instant))


@click.group("cron", cls=Group, example="batchwright cron explain '0 0 22 ? * 6L'")
def cron() -> None:
    """Cron expressions: what they mean, when they fire."""


@cron.command("explain", example="batchwright cron explain '0 0 0 ? * * *'")
@click.argument("expression")
@as_json_option
def explain(expression: str, as_json: bool) -> None:
    """Say in words what a Salesforce or Quartz expression means.

    Six fields or seven: second, minute, hour, day of month, month, day of week (1 is Sunday), year; one of the day
    fields is `?`. Quote it, or the shell takes `*` and `?` for file names.
    """
    with _pointing_at_the_fault(as_json):
        facts = operation.explain(expression)
    if as_json:
        write_json(facts)
        return
    write_facts(
        [
            ("Expression", facts["expression"]),
            ("Fires", facts["description"]),
            ("Clock changes", facts["clock_changes"]),
        ]
    )


@cron.command(
    "next",
    example="batchwright cron next '0 30 2 ? * MON-FRI' --time-zone Europe/Berlin\n"
    "batchwright cron next '0 30 1 * * ?' --time-zone America/New_York --from 2026-10-31 -n 3",
)
@click.argument("expression")
@click.option("--time-zone", default="UTC", metavar="Z", help="Time zone, an IANA name (default: UTC).")
@click.option(
    "--from",
    "begin",
    metavar="T",
    type=Moment(),
    help="Fires after this time, ISO 8601, in that zone unless T names one (default: now).",
)
@click.option(
    "-n",
    "count",
    type=click.IntRange(min=1, max=100_000),
    default=10,
    metavar="N",
    help="How many (default: 10).",
)
@as_json_option
def next_(expression: str, time_zone: str, begin: datetime | None, count: int, as_json: bool) -> None:
    """Tell when an expression fires next, in its zone and in UTC."""
    with _pointing_at_the_fault(as_json):
        read = operation.read_expression(expression, time_zone)
    after = datetime.now(UTC) if begin is None else operation.bound_of(begin, read.time_zone, field="from")
    rows = operation.next_fires(read, after, count)
    write_rows(
        rows, COLUMNS, format="json" if as_json else "table", nothing="It never fires after that time."
    )


@contextmanager
def _pointing_at_the_fault(as_json: bool) -> Iterator[None]:
    """On a terminal, show a refused expression with a caret below its fault."""
    try:
        yield
    except ExpressionRefused as refused:
        is_shown = not as_json and sys.stderr.isatty() and refused.text.isprintable()
        if refused.position is None or not is_shown:
            raise
        pointed = f"{refused.message}\n  {refused.text}\n  {' ' * refused.position}^"
        raise Refused(pointed, field=refused.field, remedy=refused.remedy) from refused
