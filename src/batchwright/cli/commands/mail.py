"""`batchwright mail`."""

from __future__ import annotations

import click

from batchwright.cli.answers import Column, write_facts, write_json, write_rows
from batchwright.cli.groups import Group
from batchwright.cli.mail_text import as_json as message_as_json
from batchwright.cli.mail_text import as_text
from batchwright.cli.options import actor_option, as_json_option, limit_option
from batchwright.cli.session import acting, application
from batchwright.cli.show import instant
from batchwright.operations import mail as operation

COLUMNS = (
    Column("mail_id", "Mail"),
    Column("run_id", "Job ID"),
    Column("recipient", "To"),
    Column("status", "Status"),
    Column("attempts", "Attempts", numeric=True),
    Column("created_at", "Created UTC", show=instant),
    Column("sent_at", "Sent UTC", show=instant),
    Column("next_attempt_at", "Next attempt UTC", show=instant),
    Column("error", "Error"),
)


@click.group("mail", cls=Group, example="batchwright mail list")
def mail() -> None:
    """Mail: look, retry, preview."""


@mail.command("list", example="batchwright mail list --json")
@limit_option
@as_json_option
def list_(limit: int | None, as_json: bool) -> None:
    """List mail, the newest first."""
    with application() as app:
        rows = operation.list_mail(app, limit)
    write_rows(rows, COLUMNS, format="json" if as_json else "table", nothing="There is no mail.")


@mail.command("show", example="batchwright mail show ML-00000001")
@click.argument("mail_id", metavar="ID")
@as_json_option
def show(mail_id: str, as_json: bool) -> None:
    """Show one mail: to whom, its state, what it was made from."""
    with application() as app:
        shown = operation.show_mail(app, mail_id)
    if as_json:
        write_json(shown)
    else:
        write_facts((column.title, column.text(shown)) for column in COLUMNS)


@mail.command("retry", example="batchwright mail retry ML-00000001")
@click.argument("mail_id", metavar="ID")
@actor_option
@as_json_option
def retry(mail_id: str, actor: str | None, as_json: bool) -> None:
    """Try now to deliver a mail that waits or has failed."""
    with application() as app:
        retried = operation.retry_mail(app, mail_id, actor=acting(app, actor))
    if as_json:
        write_json(retried)
    else:
        write_facts((column.title, column.text(retried)) for column in COLUMNS)


@mail.command("preview", example="batchwright mail preview draft-usage-rating")
@click.argument("job", metavar="JOB")
@as_json_option
def preview(job: str, as_json: bool) -> None:
    """Show what the mail of a job looks like, with made-up figures; nothing is sent."""
    with application() as app:
        message = operation.preview_mail(app, job)
    if as_json:
        write_json(message_as_json(message))
    else:
        click.echo(as_text(message))
