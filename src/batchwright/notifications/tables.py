"""The outbox: one row per mail and recipient, written in the transaction that ends the run."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text, text

from batchwright.engine.store.tables import metadata
from batchwright.engine.store.types import BigKey, PublicId, UtcTime

mail = Table(
    "mail",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column(
        "mail_id", PublicId, unique=True, comment="ML- and the key, eight digits; set right after the insert"
    ),
    Column("run_id", BigKey, ForeignKey("run.id")),
    Column("kind", String(32), nullable=False, comment="which template: run_ended"),
    Column("recipient", Text, comment="an address; empty when the actor has none"),
    Column("facts", Text, nullable=False, comment="JSON: what the message is made from at delivery"),
    Column("status", String(16), nullable=False, comment="waiting, sent, failed or no_recipient"),
    Column("message_id", Text, nullable=False, comment="the same for every attempt"),
    Column("attempts", Integer, nullable=False),
    Column(
        "next_attempt_at",
        UtcTime,
        comment="not before; raised before each attempt, so that a dead sender blocks nobody",
    ),
    Column("error", Text),
    Column("route", String(16), comment="how it leaves: file or smtp; empty: by whichever sender is first"),
    Column("created_at", UtcTime, nullable=False),
    Column("sent_at", UtcTime),
    Index("ix_mail_status_next_attempt_at", "status", "next_attempt_at"),
    Index("ix_mail_run_id_id", "run_id", "id"),
    Index("ix_mail_status_id", "status", "id"),
    Index("ix_mail_kind_id", "kind", "id"),
    Index("ix_mail_recipient_id", text("lower(recipient)"), "id"),
)
