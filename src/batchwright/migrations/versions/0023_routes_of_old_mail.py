"""Mail from before it had a route gets the one that its facts tell of: what its sender's settings were then."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision: str | None = "0022"

_TO_FILES = '%"mail_only_to_files": {}%'


def upgrade() -> None:
    """Set the route of what has not left. In a text of the facts' own the quotes would be escaped."""
    mail = sa.table("mail", *(sa.column(name, sa.Text) for name in ("route", "facts", "status")))
    for said, route in (("true", "file"), ("false", "smtp")):
        op.execute(
            sa.update(mail)
            .where(mail.c.route.is_(None), mail.c.status != "sent", mail.c.facts.like(_TO_FILES.format(said)))
            .values(route=route)
        )
