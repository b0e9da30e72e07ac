"""`batchwright audit`."""

from __future__ import annotations

import click

from cli.answers import Column, write_rows
from cli.groups import Group
from cli.options import as_json_option, limit_option
from cli.session import application
from cli.show import instant
from operations.audit import list_audit

COLUMNS = (
    Column("at", "At (UTC)", show=instant),
    Column("actor", "Actor"),
    Column("os_user", "System user"),
    Column("act", "Act"),
    Column("subject", "Subject"),
    Column("reason", "Reason"),
    Column("before", "Before"),
    Column("after", "After"),
)


@click.group("audit", cls=Group, example="batchwright audit list --limit 20")
def audit() -> None:
    """Who did what, and when."""


@audit.command("list", example="batchwright audit list --limit 20")
@limit_option
@as_json_option
def list_(limit: int | None, as_json: bool) -> None:
    """List the audit entries, newest first."""
    with application() as app:
        rows = list_audit(app, limit)
        write_rows(rows, COLUMNS, format="json" if as_json else "table", nothing="Nothing was done yet.")
