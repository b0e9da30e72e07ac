"""What stands in a database, to be compared."""

from __future__ import annotations

import hashlib

from sqlalchemy import select

import batchwright.billing.tables
import batchwright.notifications.tables
import batchwright.operations.tables  # noqa: F401
from batchwright.engine.store.tables import metadata
from batchwright.operations.app import Application


def rows(app: Application) -> dict[str, str]:
    """A digest of every table, without the last use of tokens and sessions."""
    with app.database.read() as connection:
        return {
            table.name: hashlib.sha256(
                repr(
                    sorted(
                        map(
                            repr,
                            connection.execute(select(*(c for c in table.c if c.name != "last_used_at"))),
                        )
                    )
                ).encode()
            ).hexdigest()
            for table in metadata.sorted_tables
        }
