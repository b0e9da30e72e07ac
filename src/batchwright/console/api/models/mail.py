"""The shapes of mail."""

from __future__ import annotations

from typing import Any

from batchwright.console.api.models.shapes import Answer, Instant


class Mail(Answer):
    """A mail of the outbox."""

    mail_id: str
    run_id: str | None
    kind: str
    recipient: str | None
    status: str
    attempts: int
    next_attempt_at: Instant | None
    error: str | None
    created_at: Instant
    sent_at: Instant | None


class WholeMail(Mail):
    """A mail with the route it leaves by and the facts it is made from."""

    route: str | None
    facts: Any
