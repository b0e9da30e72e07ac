"""The mail of the outbox: looking at it, and sending again what waits or failed."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any

import structlog

from batchwright.notifications import outbox
from batchwright.operations import views
from batchwright.operations.access import audit
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.checks import check_limit
from batchwright.operations.views import View

log = structlog.get_logger()


def list_mail(app: Application, limit: int | None = None, *, actor: Actor | None = None) -> list[View]:
    """Every mail, newest first, without the facts it is made from."""
    permit(app, actor, Right.LOOK, "mail.list")
    check_limit(limit)
    with app.database.read() as connection:
        return [views.mail(line) for line in outbox.listing(connection, limit)]


def show_mail(app: Application, mail_id: str, *, actor: Actor | None = None) -> View:
    """One mail with the `facts` it is made from. Refuses an unknown id."""
    permit(app, actor, Right.LOOK, "mail.show")
    with app.database.read() as connection:
        mail = outbox.by_id(connection, mail_id)
    return {**views.mail(mail), "facts": mail.facts}


def retry_mail(app: Application, mail_id: str, *, actor: Actor, reason: str | None = None) -> View:
    """Try to send a waiting or failed mail now, and return it as it is afterwards.

    Refuses one that was sent, that has no recipient, or that another process is sending.
    """
    permit(app, actor, Right.OPERATE, "mail.retry")
    with app.database.write() as connection:
        now = app.clock.now()
        before = outbox.by_id(connection, mail_id)
        outbox.make_due(connection, mail_id, now)
        audit.record(
            connection,
            actor=actor,
            act="mail.retry",
            subject=mail_id,
            reason=reason,
            before=_state(before),
            after=_state(outbox.by_id(connection, mail_id)),
            now=now,
        )
    app.mailer.send(mail_id)
    with app.database.read() as connection:
        return views.mail(outbox.by_id(connection, mail_id))


def send_due_mail(app: Application) -> None:
    """Send what is due, if it can be sent; what cannot waits in the outbox."""
    try:
        app.mailer.send_due()
    except Exception:
        # Whatever was done before is done, whatever becomes of its mail.
        log.exception("mail could not be sent; it waits")


def preview_mail(app: Application, job_name: str, *, actor: Actor | None = None) -> EmailMessage:
    """The mail that a run of this job would send, made from an example of a run. Refuses an unknown job."""
    permit(app, actor, Right.LOOK, "mail.preview")
    # Not at the top: what makes mail is heavy, and other operations do without.
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
