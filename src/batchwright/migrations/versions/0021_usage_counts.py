"""What each usage schedule holds of each price: a window counts for each price by itself."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from typing import cast

import sqlalchemy as sa
from alembic import op

from batchwright.billing.columns import ExactDecimal
from batchwright.billing.exact import EXACT, canonical
from batchwright.engine.store.types import BigKey

revision = "0021"
down_revision: str | None = "0020"


class _ExactSum:
    """An aggregate of SQLite that sums texts of decimals exactly."""

    def __init__(self) -> None:
        self._sum = Decimal(0)

    def step(self, quantity: str) -> None:
        """Add one."""
        self._sum = EXACT.add(self._sum, Decimal(quantity))

    def finalize(self) -> str:
        """The sum as canonical text."""
        return canonical(self._sum)


def upgrade() -> None:
    """Make the table, and fill it from the Rated inputs."""
    op.create_table(
        "usage_count",
        sa.Column("usage_schedule_key", BigKey, nullable=False),
        sa.Column(
            "price_key", BigKey, nullable=False, comment="the first revision that counts as the same price"
        ),
        sa.Column(
            "quantity", ExactDecimal, nullable=False, comment="of the Rated inputs on it, priced by that"
        ),
        sa.Column("inputs", sa.Integer(), nullable=False, comment="how many these are"),
        sa.PrimaryKeyConstraint("usage_schedule_key", "price_key", name="pk_usage_count"),
        sqlite_with_rowid=False,
    )
    connection, total = op.get_bind(), "sum"
    if connection.dialect.name == "sqlite":
        total = "exact_sum"
        driver = cast(sqlite3.Connection, connection.connection.driver_connection)
        driver.create_aggregate(total, 1, _ExactSum)  # type: ignore[arg-type]
    op.execute(
        "INSERT INTO usage_count (usage_schedule_key, price_key, quantity, inputs)"
        f" SELECT u.rated_schedule_key, s.first, {total}(u.quantity), count(*) FROM usage_input AS u"
        " JOIN (SELECT p.id, (SELECT q.id FROM price AS q WHERE q.price_book_key = p.price_book_key"
        " AND q.product = p.product AND q.effective_from = p.effective_from AND q.model = p.model"
        " AND q.product_uom = p.product_uom"
        " AND coalesce(q.package_size, '0') = coalesce(p.package_size, '0')"
        " ORDER BY q.revision LIMIT 1) AS first FROM price AS p) AS s ON s.id = u.rated_price_key"
        " WHERE u.status = 'Rated' AND NOT u.deleted AND u.rated_schedule_key IS NOT NULL"
        " GROUP BY u.rated_schedule_key, s.first"
    )
