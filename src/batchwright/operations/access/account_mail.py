"""News of somebody's account, which they get by mail, whatever mail of runs they want."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from batchwright.engine.store.notify import notify
from batchwright.notifications import outbox
from batchwright.notifications.account import ACCOUNT
from batchwright.operations.announce import mail_domain
from batchwright.operations.app import Application
from batchwright.operations.views import instant


def record_account_mail(
    app: Application,
    connection: Connection,
    event: str,
    email: str,
    *,
    address: str | None = None,
    browser: str | None = None,
    failures: int = 0,
    now: datetime,
) -> None:
    """Record the mail in the caller's transaction; a worker sends it."""
    facts = {
        "event": event,
        "email": email,
        "at": instant(now),
        "address": address,
        "browser": browser,
        "failures": failures,
        "database": app.database.display_url,
        "label": app.settings.label,
        "mail_only_to_files": app.settings.mail.transport == "file",
    }
    outbox.record(
        connection,
        kind=ACCOUNT,
        run_key=None,
        recipients=[email],
        facts=facts,
        now=now,
        domain=mail_domain(app.settings),
        route=app.settings.mail.transport,
    )
    notify(connection)
