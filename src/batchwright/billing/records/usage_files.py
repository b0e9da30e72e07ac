"""Files of usage inputs that were imported: lines without ids would be loaded twice, and nothing could tell."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, or_, select, update

from batchwright.billing.records.loading import insert_rows, stored
from batchwright.billing.tables import usage_file


def imported_at(connection: Connection, lines: str, sha256: str) -> datetime | None:
    """When a file with the same lines without ids was imported last; older ones are known by their bytes alone."""
    same = or_(usage_file.c.lines == lines, usage_file.c.lines.is_(None) & (usage_file.c.sha256 == sha256))
    found: datetime | None = connection.execute(
        select(func.max(usage_file.c.imported_at, type_=usage_file.c.imported_at.type)).where(same)
    ).scalar_one()
    return found


def remember(connection: Connection, lines: str, sha256: str, now: datetime) -> None:
    """Keep that a file is imported. Raises ``Refused`` where another import of it is under way at the same time."""
    seen = update(usage_file).where(usage_file.c.lines == lines).values(sha256=sha256, imported_at=now)
    if not connection.execute(seen).rowcount:
        insert_rows(
            connection, usage_file, ("lines", "sha256", "imported_at"), [(lines, sha256, stored(now))]
        )
