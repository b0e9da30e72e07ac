"""A connection to SQLite that is left open is found."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batchwright.engine.store.database import Database
from tests.support.connections import left_open


def test_a_connection_that_is_left_open_is_told_with_the_line_of_the_test_and_closed(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'books.db'}")
    with database.write() as connection:
        driver: Any = connection.connection.driver_connection
    [line] = left_open(tmp_path)
    assert line.startswith(f"{__file__}:")
    assert line.endswith(": with database.write() as connection:")
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        driver.execute("SELECT 1")


def test_one_that_is_closed_or_stands_elsewhere_is_not_told(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "closed.db")):
        pass
    (tmp_path / "here").mkdir()
    with closing(sqlite3.connect(tmp_path / "elsewhere.db")):
        assert left_open(tmp_path / "here") == []
