"""What stands where a dry run would write, and whose money it is; whose records a scope did."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    """Add the columns. The lines of older previews are taken to stand in place of blanks."""
    for name, comment in (
        ("amount_before", "minor units that stand there; empty for a blank"),
        ("amount_after", "minor units that would stand there; empty for a blank"),
    ):
        op.add_column("preview_line", sa.Column(name, sa.BigInteger(), nullable=True, comment=comment))
    op.add_column(
        "preview_line", sa.Column("customer_id", sa.Text(), nullable=True, comment="whose money it is")
    )
    op.execute("UPDATE preview_line SET amount_after = amount")
    op.create_index(op.f("ix_preview_line_scope_id"), "preview_line", ["scope_id"])
    op.add_column(
        "scope",
        sa.Column(
            "about",
            sa.Text(),
            nullable=True,
            comment="JSON: whose records they are, two at most, and their first and last month",
        ),
    )
