"""Tokens that expire: their users get a mail, once, in time to replace them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import RowMapping

from batchwright.notifications import outbox
from batchwright.notifications.token_expires import TOKEN_EXPIRES
from batchwright.operations import token_store
from batchwright.operations.access.tokens import NOTICE_PERIOD
from batchwright.operations.announce import mail_domain
from batchwright.operations.app import Application
from batchwright.operations.views import picked


def notify_of_expiring_tokens(app: Application) -> int:
    """Record the mails that are due, for the mailer to send, and return how many they are.

    Each once, however many workers look: the one whose statement marks the token records it. Whatever mail of runs a
    user wants, they get this one. A token that expired while no worker looked is included.
    """
    now = app.clock.now()
    with app.database.read() as connection:
        found = token_store.tokens_expiring(connection, now + NOTICE_PERIOD)
    notified = 0
    for token in found:
        with app.database.write() as connection:
            if not token_store.note_notified(connection, token["id"], now):
                continue
            outbox.record(
                connection,
                kind=TOKEN_EXPIRES,
                run_key=None,
                recipients=[token["email"]],
                facts=_facts(app, token, expired=token["expires_at"] <= now),
                now=now,
                domain=mail_domain(app.settings),
                route=app.settings.mail.transport,
            )
            notified += 1
    return notified


def _facts(app: Application, token: RowMapping, *, expired: bool) -> dict[str, Any]:
    return {
        **picked(token, "email name prefix role expires_at last_used_at"),
        "expired": expired,
        "database": app.database.display_url,
        "label": app.settings.label,
        "base_url": app.settings.console_url,
        "mail_only_to_files": app.settings.mail.transport == "file",
    }
