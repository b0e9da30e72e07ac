"""The mail of the outbox: looking at it, and sending again what waits or failed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from email.message import EmailMessage
from functools import partial
from typing import Any, Literal

import structlog
from sqlalchemy import RowMapping

from batchwright.engine.claim import Stop
from batchwright.engine.errors import Conflict
from batchwright.engine.store import runs
from batchwright.notifications import outbox
from batchwright.notifications.account import ACCOUNT, RESET
from batchwright.operations import views
from batchwright.operations.access import audit
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.checks import check_limit, check_one_of, check_storable
from batchwright.operations.links import of_reader
from batchwright.operations.outcomes import outcome_rows
from batchwright.operations.paging import PAGE, Page, page_of
from batchwright.operations.views import View

log = structlog.get_logger()

MailKind = Literal["run_ended", "digest", "schedule_late", "account", "token_expires"]

MOST_ATTACHED = 5_000
"""Records of a run whose attachments are made for who looks at a mail."""


def list_mail(
    app: Application, limit: int | None = None, status: str | None = None, *, actor: Actor | None = None
) -> list[View]:
    """Every mail, or each in that `status`, newest first, without the facts it is made from."""
    permit(app, actor, Right.LOOK, "mail.list")
    check_limit(limit)
    if status is not None:
        check_one_of(status, outbox.STATUSES, field="status")
    with app.database.read() as connection:
        return [views.mail(line) for line in outbox.listing(connection, limit, status)]


def mail_page(
    app: Application,
    status: str | None = None,
    *,
    kind: str | None = None,
    recipient: str | None = None,
    run_id: str | None = None,
    limit: int = PAGE,
    after: str | None = None,
    actor: Actor | None = None,
) -> Page[View]:
    """A page of every mail, newest first, or of those in that `status`, of that kind, to that address, of that run.

    By more than one of these it may be short, and yet not the last.
    """
    permit(app, actor, Right.LOOK, "mail.list")
    if status is not None:
        check_one_of(status, outbox.STATUSES, field="status")
    for field, value in (("kind", kind), ("recipient", recipient), ("run_id", run_id)):
        check_storable(value or "", field=field)

    def view(row: RowMapping) -> View:
        return views.mail(outbox.line_of(row))

    wanted = {"status": status, "kind": kind, "recipient": recipient, "run_id": run_id}
    listing, walk = outbox.pages_of(**wanted)
    return page_of(app.database, "mail", listing, wanted, view, limit=limit, after=after, walk=walk)


def failed_mail(app: Application, most: int, *, actor: Actor | None = None) -> View:
    """Of the newest mails that failed, so many at most: `number, recipients, error`; the last is that of the newest."""
    permit(app, actor, Right.LOOK, "mail.list")
    with app.database.read() as connection:
        number, recipients, error = outbox.summary(connection, outbox.FAILED, most)
    return {"number": number, "recipients": recipients, "error": error}


def show_mail(app: Application, mail_id: str, *, actor: Actor | None = None) -> View:
    """One mail with its `route` and the `facts` it is made from. Refuses an unknown id.

    Mail about somebody's account, such as where they signed in from, is for administrators.
    """
    mail = _mail_to_show(app, mail_id, actor)
    return {**views.mail(mail), "route": mail.route, "facts": mail.facts}


def read_message(app: Application, mail_id: str, *, actor: Actor | None = None) -> EmailMessage:
    """The message of a mail as it would be made now; a link that is good once is only hinted at.

    What is attached is there for runs of at most `MOST_ATTACHED` records. Refuses as `show_mail` does, and a mail
    without a recipient.
    """
    # Not at the top: what makes mail is heavy, and other operations do not need it.
    from batchwright.notifications.records import Excerpt, RunRecords, gather

    mail = _mail_to_show(app, mail_id, actor)
    if mail.recipient is None:
        raise Conflict(f"{mail_id} has no recipient, so no message is made of it", field="mail_id")
    records = RunRecords(errored=Excerpt(), processed=Excerpt())
    if mail.kind == outbox.RUN_ENDED:
        whole = (mail.facts.get("total") or 0) <= MOST_ATTACHED
        outcomes = partial(outcome_rows, app.database, app.registry, without_job=True, mark_edited=True)
        records = gather(outcomes, mail.facts["run_id"], app.settings.mail.attachment_limit if whole else 0)
    if mail.facts.get("event") == RESET:
        link = f"{app.settings.base_url.rstrip('/')}/reset?code=…"
        mail = replace(mail, facts={**mail.facts, "link": link})
    with app.database.read() as connection:
        mail = replace(mail, facts={**mail.facts, **of_reader(connection, mail)})
    return app.composer.compose(mail, records, app.clock.now())


def _mail_to_show(app: Application, mail_id: str, actor: Actor | None) -> outbox.Mail:
    permit(app, actor, Right.LOOK, "mail.show")
    with app.database.read() as connection:
        mail = outbox.by_id(connection, mail_id)
    if mail.kind == ACCOUNT:
        permit(app, actor, Right.ADMINISTER, "mail.show")
    return mail


def retry_mail(
    app: Application,
    mail_id: str,
    *,
    again: bool = False,
    actor: Actor,
    reason: str | None = None,
    stop: Stop = lambda: False,
) -> View:
    """Try to send a waiting or failed mail now, and return it as it is afterwards; with `again` also one that was sent.

    Refuses one that was sent otherwise, one without a recipient, one that another process is sending, and one that
    leaves by another route than mail does here.
    """
    (view,) = retry_mails(app, [mail_id], again=again, actor=actor, reason=reason, stop=stop)
    return view


def retry_mails(
    app: Application,
    mail_ids: Sequence[str] = (),
    *,
    status: str | None = None,
    again: bool = False,
    actor: Actor,
    reason: str | None = None,
    stop: Stop = lambda: False,
) -> list[View]:
    """The same of several mails, none of which is tried if one is refused; with `status`, `failed` or `waiting`, of
    all in that status that can be tried here.
    """
    permit(app, actor, Right.OPERATE, "mail.retry")
    route = app.settings.mail.transport
    with app.database.write() as connection:
        now = app.clock.now()
        if status is not None:
            check_one_of(status, (outbox.FAILED, outbox.WAITING), field="status")
            lines = reversed(outbox.listing(connection, status=status))
            mail_ids = [line.mail_id for line in lines if line.leaves_by(route) and line.is_at_rest(now)]
        wanted = list(dict.fromkeys(mail_ids))
        for mail_id in wanted:
            before = outbox.by_id(connection, mail_id)
            _check_route(before, route)
            outbox.make_due(connection, mail_id, now, again=again)
            audit.record(
                connection,
                actor,
                "mail.retry",
                mail_id,
                reason=reason,
                before=_state(before),
                after=_state(outbox.by_id(connection, mail_id)),
                now=now,
            )
    if wanted:
        app.database.when_committed(lambda: app.mailer.send(*wanted, stop=stop))
    with app.database.read() as connection:
        return [views.mail(outbox.by_id(connection, mail_id)) for mail_id in wanted]


def _check_route(mail: outbox.MailLine, route: str) -> None:
    if not mail.leaves_by(route):
        raise Conflict(
            f"{mail.mail_id} was recorded to leave by {mail.route}, and mail leaves by {route} here",
            field="mail_id",
            remedy=f"Use the settings of the service; mail.transport has to be {mail.route}",
        )


SECONDS_FOR_MAIL = 10.0
"""So long a command sends the mail of its own run; what is left is for workers."""


def send_due_mail(app: Application, run_id: str | None = None, stop: Stop = lambda: False) -> None:
    """Send what is due, with `run_id` the mail of that run, for ten seconds at most; what cannot be sent waits."""
    app.database.when_committed(lambda: _send_due_mail(app, run_id, stop))


def _send_due_mail(app: Application, run_id: str | None, stop: Stop) -> None:
    until = time.monotonic() + SECONDS_FOR_MAIL
    try:
        run_key = None
        if run_id is not None:
            with app.database.read() as connection:
                run_key = runs.by_id(connection, run_id).id
                if not outbox.of_run(connection, run_key):
                    return
        app.mailer.send_due(run_key, lambda: stop() or time.monotonic() > until)
    except Exception:
        # Whatever was done before is done, whatever becomes of its mail.
        log.exception("mail could not be sent; it waits")


def preview_mail(app: Application, job_name: str, *, actor: Actor | None = None) -> EmailMessage:
    """The mail that a run of this job would send, made from an example of a run. Refuses an unknown job."""
    permit(app, actor, Right.LOOK, "mail.preview")
    # Not at the top: what makes mail is heavy, and other operations do not need it.
    from batchwright.notifications.preview import compose_preview

    job = app.registry.get(job_name)
    return compose_preview(
        app.composer,
        job=job.name,
        type=job.type,
        now=app.clock.now(),
        base_url=app.settings.console_url,
        database=app.database.display_url,
        error_note=job.error_note,
    )


def _state(mail: outbox.MailLine) -> dict[str, Any]:
    return {"status": mail.status, "attempts": mail.attempts, "error": mail.error}
