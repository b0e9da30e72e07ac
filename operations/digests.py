"""The daily digest: what was kept for it becomes one mail for each recipient."""

from __future__ import annotations

from typing import Any

from notifications import outbox
from notifications.digest import DIGEST_KIND, digest_facts
from operations.announce import mail_domain
from operations.app import Application


def make_digests(app: Application) -> int:
    """Record the digests that are due, for the mailer to send, and return how many they are.

    Whatever was kept is taken once, however many workers look: the one whose statement marks it has it.
    """
    now = app.clock.now()
    with app.database.read() as connection:
        if not outbox.digest_is_due(connection, now):
            return 0
    by_recipient: dict[str, list[dict[str, Any]]] = {}
    with app.database.write() as connection:
        for recipient, facts in outbox.take_for_digest(connection, now):
            by_recipient.setdefault(recipient, []).append(facts)
        for recipient, runs in by_recipient.items():
            outbox.record(
                connection,
                kind=DIGEST_KIND,
                run_key=None,
                recipients=[recipient],
                facts=digest_facts(runs),
                now=now,
                domain=mail_domain(app.settings),
            )
    return len(by_recipient)
