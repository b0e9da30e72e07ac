"""Files of usage inputs that were imported are known again. Of those before this, the audit trail has the hashes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import BigKey, UtcTime

revision = "0020"
down_revision: str | None = "0019"

_AUDIT_ENTRY = sa.table(
    "audit_entry",
    sa.column("id", sa.BigInteger),
    sa.column("at", UtcTime),
    sa.column("act", sa.String),
    sa.column("after", sa.Text),
)


def upgrade() -> None:
    """Add the table, and fill it from the audit entries of imports."""
    made = op.create_table(
        "usage_file",
        sa.Column("id", BigKey, nullable=False),
        sa.Column(
            "lines",
            sa.String(64),
            nullable=True,
            comment="digest of its lines without ids; empty of a file from before such were kept",
        ),
        sa.Column("sha256", sa.String(64), nullable=False, comment="of its bytes"),
        sa.Column("imported_at", UtcTime(), nullable=False, comment="the last time"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_file")),
        sa.UniqueConstraint("lines", name=op.f("uq_usage_file_lines")),
    )
    op.create_index("ix_usage_file_sha256", "usage_file", ["sha256"])
    entry = _AUDIT_ENTRY.c
    imports = sa.select(entry.at, entry.after).where(entry.act == "import").order_by(entry.id)
    hashes: dict[str, datetime] = {}
    for at, after in op.get_bind().execute(imports):
        hashes |= dict.fromkeys(_usage_files(after), at)
    if hashes:
        op.bulk_insert(made, [{"sha256": sha256, "imported_at": at} for sha256, at in hashes.items()])


def _usage_files(after: str | None) -> Iterator[str]:
    """The hashes of the files of usage inputs that brought new ones."""
    said: dict[str, Any] = json.loads(after or "{}")
    for file in said.get("files", ()):
        if file["file"] == "usage_inputs.csv" and file["loaded"]:
            yield file["sha256"]


def downgrade() -> None:
    """Drop it."""
    op.drop_table("usage_file")
