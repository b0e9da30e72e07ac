"""The mails of a run have an index in the order of the list, as those of every other filter have."""

from __future__ import annotations

from alembic import op

revision = "0050"
down_revision: str | None = "0049"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Put the new index in the place of that of the run alone, with which it begins."""
    op.create_index("ix_mail_run_id_id", "mail", ["run_id", "id"])
    op.drop_index("ix_mail_run_id", "mail")
