"""The audit trail: one entry per act, written in the act's own transaction."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table, Text

from engine.store.tables import metadata
from engine.store.types import BigKey, UtcTime

audit_entry = Table(
    "audit_entry",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("actor", Text, nullable=False, comment="who it was, as claimed"),
    Column("os_user", Text, nullable=False, comment="who it was, as the operating system says"),
    Column("act", String(64), nullable=False),
    Column("subject", Text, nullable=False, comment="id of what was acted on, or a count of them"),
    Column("reason", Text),
    Column("before", Text, comment="JSON"),
    Column("after", Text, comment="JSON"),
    Index("ix_audit_entry_at", "at"),
)
