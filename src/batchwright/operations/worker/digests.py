"""The daily digest: what was kept for it becomes one mail for each recipient."""

from __future__ import annotations

from typing import Any

from batchwright.notifications import outbox
from batchwright.notifications.digest import DIGEST_KIND, digest_facts
from batchwright.notifications.preferences import bare_address
from batchwright.operations.announce import mail_domain
from batchwright.operations.app import Application


def make_digests(app: Application) -> int:
    """Record the digests that are due, for the mailer to send, and return how many they are.

    Whatever was kept is taken once, however many workers look: the one whose statement marks it has it.
    """
    now = app.clock.now()
    with app.database.read() as connection:
        if not outbox.digest_is_due(connection, now):
            return 0
    by_address: dict[tuple[str, str | None], tuple[str, list[dict[str, Any]]]] = {}
    with app.database.write() as connection:
        for each in outbox.take_for_digest(connection, now):
            # Named in different ways ("Jane <jane@example.com>") they are one, and get one mail.
            _, kept = by_address.setdefault((bare_address(each.recipient), each.route), (each.recipient, []))
            kept.append(each.facts)
        for (_, route), (recipient, kept) in by_address.items():
            outbox.record(
                connection,
                kind=DIGEST_KIND,
                run_key=None,
                recipients=[recipient],
                facts=digest_facts(kept),
                now=now,
                domain=mail_domain(app.settings),
                route=route,
            )
    return len(by_address)
