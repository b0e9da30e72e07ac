"""The audit trail with the chain that seals it, the users with their roles, tokens and sessions, and what their calls
were answered.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from batchwright.engine.store.tables import metadata
from batchwright.engine.store.types import BigKey, PublicId, PublicName, UtcTime

# Mail addresses and login names compare byte by byte, whatever collation the database has.
Name = String(254).with_variant(String(254, collation="C"), "postgresql")

LONGEST_TOKEN_NAME: Final = 64
TokenName = String(LONGEST_TOKEN_NAME).with_variant(String(LONGEST_TOKEN_NAME, collation="C"), "postgresql")

UNSEALED: Final = text("NOT sealed")
"""Also where the sealer looks: SQLite takes a partial index only for the very words of its condition."""


class TimeOfEntry(UtcTime):
    """A time that somebody may have changed: what is not a time is given as it stands."""

    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        try:
            found = super().process_result_value(value, dialect)
            return found and found.astimezone(UTC)
        except (TypeError, ValueError, OverflowError):
            return value

    @property
    def python_type(self) -> type[Any]:
        """What the cursor of a page holds: text, for it may be no time."""
        return str

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        if not isinstance(value, str):
            return super().process_bind_param(value, dialect)
        try:
            return super().process_bind_param(datetime.fromisoformat(value), dialect)
        except (ValueError, OverflowError):
            return value if dialect.name == "sqlite" else None  # PostgreSQL keeps nothing but times


audit_entry = Table(
    "audit_entry",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("at", TimeOfEntry, nullable=False),
    Column("actor", Text, nullable=False, comment="who it was, as claimed"),
    Column("os_user", Text, nullable=False, comment="who it was, as the operating system says"),
    Column(
        "door", String(16), comment="cli, python, api, console, schedule, worker; empty: before that was kept"
    ),
    Column("credential", Text, comment="what a web door knew them by: token and its number"),
    Column("address", Text, comment="where they called a web door from"),
    Column("act", String(64), nullable=False),
    Column("subject", Text, nullable=False, comment="id of what was acted on, or a count of them"),
    Column("reason", Text),
    Column("before", Text, comment="JSON"),
    Column("after", Text, comment="JSON"),
    Column("sealed", Boolean, nullable=False, server_default=false(), comment="it has a row in audit_seal"),
    Index("ix_audit_entry_at_id", "at", "id"),
    *(Index(f"ix_audit_entry_{name}_at_id", name, "at", "id") for name in ("act", "actor", "door")),
    Index("ix_audit_entry_subject", "subject"),
    Index("ix_audit_entry_unsealed", "id", sqlite_where=UNSEALED, postgresql_where=UNSEALED),
)

# The members of an act on several, by the ids and names that people see: an entry says how many they are.
audit_record = Table(
    "audit_record",
    metadata,
    Column("record_id", PublicName, primary_key=True),
    Column("entry_id", BigInteger, primary_key=True),
)

audit_seal = Table(
    "audit_seal",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False, comment="from 1, without a gap"),
    Column("entry_id", BigInteger, nullable=False, unique=True, comment="kept when the entry is deleted"),
    Column("hash", String(64), nullable=False, comment="SHA-256 of the entry and the hash before it"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", BigKey, primary_key=True, comment="always 1"),
    Column("count", BigInteger, nullable=False, comment="how many seals there are"),
    Column("hash", String(64), nullable=False, comment="the newest of them"),
)

# Made with its row when the database is upgraded.
signing_key = Table(
    "signing_key",
    metadata,
    Column("id", BigKey, primary_key=True, comment="always 1"),
    Column("value", String(64), nullable=False, comment="256 random bits in hex"),
)

app_user = Table(
    "app_user",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("email", Name, nullable=False, unique=True, comment="in lower case"),
    Column("role", String(32), nullable=False),
    Column("os_user", Name, unique=True, comment="who they are for the operating system"),
    Column("password_hash", Text, comment="argon2"),
    Column("mail", String(8), nullable=False, comment="always, errors, never or digest"),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", UtcTime, nullable=False),
)

user_token = Table(
    "user_token",
    metadata,
    Column("id", BigKey, primary_key=True, comment="given once, also on SQLite: audit entries name it"),
    Column("user_id", BigKey, ForeignKey("app_user.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", TokenName, nullable=False),
    Column("hash", String(64), nullable=False, unique=True, comment="SHA-256"),
    Column("prefix", String(16), comment="its first characters, to tell it by"),
    Column("role", String(32), comment="what it allows at most; empty: all its user may"),
    Column("created_at", UtcTime, comment="empty: before that was kept"),
    Column("created_by", Text, comment="who made it, as claimed"),
    Column("expires_at", UtcTime, nullable=False),
    Column("told_at", UtcTime, comment="when its user was told that it expires"),
    Column("last_used_at", UtcTime, comment="to the hour"),
    Column("revoked_at", UtcTime),
    sqlite_autoincrement=True,
)

ABSOLUTE_END: Final = timedelta(days=7)
"""So long after it began a session ends, whatever its use."""
IDLE_END: Final = timedelta(hours=8)
"""So long after its last use a session ends."""

user_session = Table(
    "user_session",
    metadata,
    Column("id", BigKey, primary_key=True, comment="given once, also on SQLite: audit entries name it"),
    Column("user_id", BigKey, ForeignKey("app_user.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("hash", String(64), nullable=False, unique=True, comment="SHA-256 of what the cookie holds"),
    Column("address", Text, nullable=False, comment="where they signed in from"),
    Column("browser", String(200), comment="what it calls itself"),
    Column("created_at", UtcTime, nullable=False),
    Column("last_used_at", UtcTime, nullable=False, comment="to the minute"),
    Column("expires_at", UtcTime, nullable=False, comment="whatever its use"),
    Column("password_at", UtcTime, comment="when the password was given again; empty: not since it began"),
    Column("ended_at", UtcTime, comment="signed out, or ended by somebody"),
    Column(
        "ended_by",
        String(16),
        comment="signed_out, replaced, own, administrator, password or disabled; empty: not ended, or nobody knows",
    ),
    sqlite_autoincrement=True,
)

# How often somebody tried what only few tries are good for: in the database, so that every web process counts alike.
sign_in_try = Table(
    "sign_in_try",
    metadata,
    Column("hash", String(64), primary_key=True, comment="SHA-256 of what the tries are counted for"),
    Column("tries", Integer, nullable=False),
    Column("last_at", UtcTime, nullable=False),
    Column("free_at", UtcTime, nullable=False, comment="before that no other try is taken"),
    Index("ix_sign_in_try_last_at", "last_at"),
)

one_time_link = Table(
    "one_time_link",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("hash", String(64), nullable=False, unique=True, comment="SHA-256 of what the link ends with"),
    Column(
        "user_id",
        BigKey,
        ForeignKey("app_user.id", ondelete="CASCADE"),
        index=True,
        comment="whose password it sets; empty: it makes the first administrator",
    ),
    Column("os_user", Name, comment="who the first administrator is for the operating system"),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("used_at", UtcTime),
)

acknowledgement = Table(
    "acknowledgement",
    metadata,
    Column("kind", String(16), primary_key=True, comment="run, schedule or mail"),
    Column("subject", PublicName, primary_key=True, comment="its id or name"),
    Column("version", String(32), nullable=False, comment="of what was wrong with it then"),
    Column("actor", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("note", Text),
)

LONGEST_IDEMPOTENCY_KEY: Final = 255
IdempotencyKey = String(LONGEST_IDEMPOTENCY_KEY).with_variant(
    String(LONGEST_IDEMPOTENCY_KEY, collation="C"), "postgresql"
)

keyed_call = Table(
    "keyed_call",
    metadata,
    Column("id", BigKey, primary_key=True),
    Column("user_id", BigKey, ForeignKey("app_user.id", ondelete="CASCADE"), nullable=False),
    Column("key", IdempotencyKey, nullable=False, comment="as the caller chose it"),
    Column("fingerprint", String(64), nullable=False, comment="SHA-256 of what was asked"),
    Column("created_at", UtcTime, nullable=False),
    Column("run_id", PublicId, comment="of a synchronous run that was begun for it"),
    Column(
        "status", Integer, comment="of the answer; empty: the run is still at work, or its process is gone"
    ),
    Column("headers", Text, comment="JSON"),
    Column("body", LargeBinary, comment="as it was sent; empty where it held a secret"),
    UniqueConstraint("user_id", "key", name="uq_keyed_call_user_id_key"),
    Index("ix_keyed_call_created_at", "created_at"),
)
