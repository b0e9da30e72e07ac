"""Which faults of a database pass by themselves, and how long to wait before the next try."""

from __future__ import annotations

import random

from sqlalchemy.exc import DBAPIError

from batchwright.config.tracebacks import message_of

# PostgreSQL's SQLSTATE: connection exceptions, insufficient resources, system errors (input and output, files);
# operator intervention (a statement cancelled or timed out, shutdown, restart, a session ended, also for standing
# still or for a long transaction), serialization failure, deadlock, lock not available, damaged data and indexes.
LOCK_NOT_AVAILABLE = "55P03"
TRANSIENT_CLASSES = ("08", "53", "58")
TRANSIENT_STATES = (
    *("57014", "57P01", "57P02", "57P03", "57P05", "25P03", "25P04", "40001", "40P01", LOCK_NOT_AVAILABLE),
    *("XX001", "XX002"),
)
SQLITE_INTERRUPTED = "SQLITE_INTERRUPT"
# The disk is full, gone or damaged, or the file cannot be opened, as when descriptors have run out.
SQLITE_TRANSIENT = (
    *("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL", "SQLITE_NOMEM"),
    *("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_CORRUPT", "SQLITE_NOTADB"),
    SQLITE_INTERRUPTED,
)
DRIVERS = ("psycopg", "sqlite3")
READ_ONLY = "25006"
CANCELLED = "57014"
DISK_FULL = "53100"
SQLITE_READ_ONLY = "SQLITE_READONLY"

# Ten doublings, then a quarter of a minute each: a restart or a failover fits in.
MAX_ATTEMPTS = 14
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 15.0
MOST_DOUBLINGS = 20
"""More would lead beyond any longest pause."""


class ReadOnlyDatabase(Exception):
    """A write transaction met a database that only reads: a server that was the primary before a failover, a file
    whose disk was remounted.
    """


class NoConnectionFree(Exception):
    """All connections to the database that this process may open are in use, and were for as long as one may wait."""


class ReadTooLong(Exception):
    """A read was ended since it took longer than the ``seconds`` for which its caller waits."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"it would take longer than {seconds:g} seconds to read this")


def is_transient(error: BaseException) -> bool:
    """True for a fault of the surroundings, which says nothing about the records and may well pass.

    Also as the raw driver raises it.
    """
    if isinstance(error, ReadOnlyDatabase) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    ):
        return True
    raised = error.orig if isinstance(error, DBAPIError) else error
    if is_out_of_connections(error):
        return True
    if type(raised).__module__.partition(".")[0] not in DRIVERS:
        return False
    state = getattr(raised, "sqlstate", None)
    if state is not None:
        return state in TRANSIENT_STATES or state[:2] in TRANSIENT_CLASSES
    name = getattr(raised, "sqlite_errorname", None)
    if name is not None:
        return str(name).startswith(SQLITE_TRANSIENT)
    # psycopg says so without a state when nobody answers, or when the line went dead.
    return type(raised).__module__.startswith("psycopg") and type(raised).__name__ == "OperationalError"


def is_out_of_connections(error: BaseException) -> bool:
    """True where this process has no connection free, and may open no other: the database itself may be well."""
    return isinstance(getattr(error, "orig", error), NoConnectionFree)


def is_read_only(error: BaseException) -> bool:
    """True for a write that is refused because the database only reads; in a transaction that should only read, it is
    the fault of who writes.
    """
    raised = getattr(error, "orig", error)
    if getattr(raised, "sqlstate", None) == READ_ONLY:
        return True
    return str(getattr(raised, "sqlite_errorname", "")).startswith(SQLITE_READ_ONLY)


def is_damage(error: BaseException) -> bool:
    """True where the file of the database, or a part of it, cannot be read as one."""
    raised = getattr(error, "orig", error)
    if getattr(raised, "sqlstate", None) in ("XX001", "XX002"):
        return True
    return str(getattr(raised, "sqlite_errorname", "")).startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def is_cancelled(error: BaseException) -> bool:
    """True for a statement that was called off: by somebody, or since it took longer than `READ_SECONDS`."""
    raised = getattr(error, "orig", error)
    if getattr(raised, "sqlite_errorname", None) == SQLITE_INTERRUPTED:
        return True
    return getattr(raised, "sqlstate", None) == CANCELLED


def is_lock_timeout(error: BaseException) -> bool:
    """True where PostgreSQL gave a lock to somebody else for longer than we wait for it."""
    return getattr(getattr(error, "orig", error), "sqlstate", None) == LOCK_NOT_AVAILABLE


def reason_of(error: BaseException) -> str:
    """What the driver said, without the statement that SQLAlchemy adds; of any other exception its text."""
    return message_of(error)


def database_error_text(error: BaseException) -> tuple[str, str] | None:
    """What a fault of the surroundings is, and the remedy, for people; ``None`` for any other exception."""
    if not is_transient(error):
        return None
    raised, said = getattr(error, "orig", error), reason_of(error)
    if is_out_of_connections(error):
        return said, "Do it again; if it stays so, raise max_overflow (BATCHWRIGHT_MAX_OVERFLOW)"
    code = str(getattr(raised, "sqlite_errorname", None) or getattr(raised, "sqlstate", None) or "")
    if code in ("SQLITE_FULL", DISK_FULL):
        return (
            f"the disk of the database is full: {said}",
            "Make room there and do it again; nothing is half done",
        )
    if is_damage(error):
        return f"the database is damaged: {said}", "See `batchwright db check`, and restore a backup"
    if code.startswith(("SQLITE_BUSY", LOCK_NOT_AVAILABLE)):
        return said, "Do it again when that process is done, or give it longer with --timeout SECONDS"
    return said, "Do it again; if it stays so, look at the database and its disk"


def pause_before(attempt: int, chance: random.Random) -> float:
    """Seconds to wait before try number ``attempt`` (from 2): doubling, with jitter, so that rivals part."""
    pause = exponential_pause(attempt - 1, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
    return pause * (0.5 + chance.random() / 2)


def exponential_pause(failures: int, first: float, longest: float) -> float:
    """Seconds to wait after so many failures: ``first``, then twice as long each time, at most ``longest``."""
    doublings: int = 2 ** min(failures - 1, MOST_DOUBLINGS)
    return min(first * doublings, longest)
