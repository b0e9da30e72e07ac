"""Faults of a database, as its driver raises them."""

from __future__ import annotations

import sqlite3


def sqlite_fault(name: str, text: str) -> sqlite3.OperationalError:
    """An error with the name that SQLite has for its kind."""
    error = sqlite3.OperationalError(text)
    error.sqlite_errorname = name
    return error


def sqlite_busy() -> sqlite3.OperationalError:
    """What SQLite raises when another holds the lock: a fault that passes."""
    return sqlite_fault("SQLITE_BUSY", "database is locked")
