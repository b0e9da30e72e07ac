"""Column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, String
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.types import TypeDecorator, TypeEngine

# SQLite numbers rows by itself only in a column that is literally INTEGER PRIMARY KEY.
BigKey = BigInteger().with_variant(Integer(), "sqlite")

# Ids that people see compare byte by byte everywhere, so that a page of a listing
# does not depend on the collation a database happened to be created with.
PublicId = String(64).with_variant(String(64, collation="C"), "postgresql")
PublicName = String(255).with_variant(String(255, collation="C"), "postgresql")
"""The same for names that people give."""


class UtcTime(TypeDecorator[datetime]):
    """An instant. Refuses a naive ``datetime``; gives back one in UTC.

    TIMESTAMPTZ on PostgreSQL; on SQLite ISO 8601 text with microseconds and ``Z``, which sorts as it reads.
    """

    impl = String(27)
    cache_ok = True

    @property
    def python_type(self) -> type[Any]:
        """What a column of it gives, whatever it is kept as."""
        return datetime

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(String(27))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive time {value!r}: give a time with a zone, for example datetime.now(UTC)")
        instant = value.astimezone(UTC)
        return instant if dialect.name == "postgresql" else instant_text(instant)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        return datetime.fromisoformat(value)


def instant_text(instant: datetime) -> str:
    """``2026-11-21T23:05:00.000000Z``: the text SQLite keeps for an instant in UTC; it sorts as instants do."""
    # Not strftime, whose year has four digits only from 1000 on.
    return instant.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
