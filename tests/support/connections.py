"""Connections to SQLite that a test leaves open fail it, where it stands, on every Python.

Else 3.13 alone warns of one, once it is freed: that may be in the middle of another test, or never.
"""

from __future__ import annotations

import sqlite3
import sys
import traceback
from pathlib import Path
from typing import Any

_made: list[tuple[sqlite3.Connection, traceback.StackSummary]] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "sqlite3.connect/handle":
        stack = traceback.walk_stack(sys._getframe(1))
        _made.append((arguments[0], traceback.StackSummary.extract(stack, lookup_lines=False)))


sys.addaudithook(_note)


def left_open(folder: Path) -> list[str]:
    """Close the connections to files below the folder that were made since the last call and are open; the lines, of
    the tests where there is one, that made them.
    """
    lines = []
    for connection, stack in _made:
        file = _file(connection)
        if file is not None and file.is_relative_to(folder.resolve()):
            lines.append(_line(stack))
            connection.close()
    _made.clear()
    return lines


def _file(connection: sqlite3.Connection) -> Path | None:
    try:
        return Path(connection.execute("PRAGMA database_list").fetchone()[2])
    except sqlite3.ProgrammingError:  # it is closed, or for another thread alone
        return None


def _line(stack: traceback.StackSummary) -> str:
    """The innermost line of a test, or else of whoever called ``connect``."""
    of_tests = [frame for frame in stack if "/tests/" in frame.filename]
    frame = (of_tests or stack)[0]
    return f"{frame.filename}:{frame.lineno}: {frame.line}"
