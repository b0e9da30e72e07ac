"""A comment on a column that says what is so today: a run's id is written with its row."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision: str | None = "0013"


def upgrade() -> None:
    """SQLite keeps no comments."""
    if op.get_bind().dialect.name == "postgresql":
        kind = sa.String(64, collation="C")
        op.alter_column("run", "run_id", existing_type=kind, comment="JR- and the key, eight digits")
