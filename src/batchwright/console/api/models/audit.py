"""The shapes of the audit trail."""

from __future__ import annotations

from typing import Any, Literal

from batchwright.console.api.models.shapes import Answer


class AuditEntry(Answer):
    """An act that somebody did or tried; `before` and `after` are JSON values."""

    entry_id: int
    at: str
    actor: str | None
    os_user: str | None
    door: str | None
    credential: str | None
    address: str | None
    act: str | None
    subject: str | None
    reason: str | None
    before: Any
    after: Any


class Unsealed(Answer):
    """The entries that wait for their seal: `count` of them, or `more`."""

    count: int
    more: bool
    first_entry_id: int | None
    last_entry_id: int | None


class AuditProblem(Answer):
    """Where the audit trail is not as it was sealed."""

    kind: Literal["edited", "missing", "cut_off"]
    entry_id: int | None
    message: str


class AuditVerification(Answer):
    """Whether the audit trail is as it was sealed; `next_after` is the `after` of the next part, `null` if it ended."""

    sealed: int
    newest_hash: str | None
    next_after: int | None
    unsealed: Unsealed
    problems: list[AuditProblem]
