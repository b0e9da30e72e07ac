"""Users with their roles, and the chain of hashes that seals the audit trail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import BigKey, UtcTime

revision = "0005"
down_revision: str | None = "0004"

NAME = sa.String(254).with_variant(sa.String(254, collation="C"), "postgresql")
UNSEALED = "NOT sealed"
FIRST_HASH = "0" * 64


def upgrade() -> None:
    """Add the tables; what the audit trail holds already is sealed by the next worker."""
    op.create_table(
        "app_user",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("email", NAME, nullable=False, comment="in lower case"),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("os_user", NAME, nullable=True, comment="who they are for the operating system"),
        sa.Column("password_hash", sa.Text(), nullable=True, comment="argon2"),
        sa.Column("token_hash", sa.String(64), nullable=True, comment="SHA-256"),
        sa.Column("mail", sa.String(8), nullable=False, comment="always, errors, never or digest"),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_app_user")),
        sa.UniqueConstraint("email", name=op.f("uq_app_user_email")),
        sa.UniqueConstraint("os_user", name=op.f("uq_app_user_os_user")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_app_user_token_hash")),
    )
    _chain()


def _chain() -> None:
    op.add_column(
        "audit_entry",
        sa.Column(
            "sealed",
            sa.Boolean(),
            nullable=False,
            server_default=sa.false(),
            comment="it has a row in audit_seal",
        ),
    )
    op.create_index(
        "ix_audit_entry_unsealed",
        "audit_entry",
        ["id"],
        sqlite_where=sa.text(UNSEALED),
        postgresql_where=sa.text(UNSEALED),
    )
    op.create_table(
        "audit_seal",
        sa.Column(
            "number", sa.BigInteger(), autoincrement=False, nullable=False, comment="from 1, without a gap"
        ),
        sa.Column("entry_id", sa.BigInteger(), nullable=False, comment="kept when the entry is deleted"),
        sa.Column(
            "hash", sa.String(64), nullable=False, comment="SHA-256 of the entry and the hash before it"
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_seal")),
        sa.UniqueConstraint("entry_id", name=op.f("uq_audit_seal_entry_id")),
    )
    head = op.create_table(
        "audit_head",
        sa.Column("id", BigKey, nullable=False, comment="always 1"),
        sa.Column("count", sa.BigInteger(), nullable=False, comment="how many seals there are"),
        sa.Column("hash", sa.String(64), nullable=False, comment="the newest of them"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.bulk_insert(head, [{"id": 1, "count": 0, "hash": FIRST_HASH}])
