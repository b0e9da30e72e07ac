"""`batchwright mail`."""

from __future__ import annotations

import click

from batchwright.cli.groups import Group
from batchwright.cli.interrupt import MAIL_IS_LEFT, StopOnInterrupt
from batchwright.cli.mail_text import as_json as message_as_json
from batchwright.cli.mail_text import as_text
from batchwright.cli.options import actor_option, as_json_option, json_option, limit_option
from batchwright.cli.output import Column, Format, write_answer, write_rows, write_view
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
ROUTE = Column("route", "Leaves by")


@click.group("mail", cls=Group, example="batchwright mail list")
def mail() -> None:
    """Mail: look, retry, preview."""


@mail.command("list", example="batchwright mail list --status failed")
@click.option("--status", metavar="S", help="Only mail in this status, such as failed or waiting.")
@limit_option
@json_option
def list_(status: str | None, limit: int | None, format: Format) -> None:
    """List mail, the newest first."""
    with application() as app:
        rows = operation.list_mail(app, limit, status)
    nothing = "There is no mail." if status is None else f"There is no mail in the status {status}."
    write_rows(rows, COLUMNS, format=format, nothing=nothing)


@mail.command("show", example="batchwright mail show ML-00000001")
@click.argument("mail_id", metavar="ID")
@as_json_option
def show(mail_id: str, as_json: bool) -> None:
    """Show one mail: to whom, its state, what it was made from."""
    with application() as app:
        shown = operation.show_mail(app, mail_id)
    write_view(shown, (*COLUMNS, ROUTE), as_json=as_json)


@mail.command("retry", example="batchwright mail retry ML-00000001\nbatchwright mail retry --status failed")
@click.argument("mail_ids", metavar="[ID]...", nargs=-1)
@click.option("--status", metavar="S", help="All mail in this status: failed or waiting.")
@click.option("--again", is_flag=True, help="Also mail that was sent, where it has not arrived.")
@actor_option
@as_json_option
def retry(
    mail_ids: tuple[str, ...], status: str | None, again: bool, actor: str | None, as_json: bool
) -> None:
    """Try now to deliver mail that waits or has failed. Ctrl-C leaves what is not sent yet."""
    if bool(mail_ids) == (status is not None):
        raise click.UsageError("Give ids of mails, or --status failed.")
    if again and not mail_ids:
        raise click.UsageError("Give ids of mails with --again.")
    with application() as app, StopOnInterrupt(MAIL_IS_LEFT) as stop:
        retried = operation.retry_mails(
            app, mail_ids, status=status, again=again, actor=acting(app, actor), stop=stop
        )
    if status is None and len(mail_ids) == 1:
        write_view(retried[0], COLUMNS, as_json=as_json)
        return
    nothing = f"There is no {status} mail that can be tried here."
    write_rows(retried, COLUMNS, format="json" if as_json else "table", nothing=nothing)


@mail.command("preview", example="batchwright mail preview draft-usage-rating")
@click.argument("job", metavar="JOB")
@as_json_option
def preview(job: str, as_json: bool) -> None:
    """Show what the mail of a job looks like, with made-up figures; nothing is sent."""
    with application() as app:
        message = operation.preview_mail(app, job)
    write_answer(message_as_json(message), as_text(message), as_json=as_json)
