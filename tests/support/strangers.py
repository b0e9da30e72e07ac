"""Processes that keep a lock on a database of SQLite."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

KEEP_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def stranger(file: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    """A program that knows nothing of the turnstile, once it has SQLite's write lock."""
    return saying([sys.executable, "-c", KEEP_LOCK, str(file)], "held")


@contextmanager
def saying(command: list[str], said: str) -> Iterator[subprocess.Popen[str]]:
    """The process of the command, once it has said so much; it is ended with the block."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            while process.stdout.readline() != f"{said}\n":
                assert process.poll() is None
            yield process
        finally:
            process.terminate()
            process.send_signal(signal.SIGCONT)  # it may be stopped
